//! The invariants, from the tables and from the node's own records.

use std::collections::{BTreeMap, BTreeSet};

use gridflow_core::{
    AttemptOutcome, AttemptState, AttemptWrite, Dag, DagId, EventOutcome, InboxId, MapIndex, Plan, RunKey, RunState,
    RunType, Task, TaskInstanceKey, TaskNo, TaskState, Timestamp, Turn, World, WorldConfig, Writes, admit, recover,
};

use crate::{
    Mutation,
    cluster::Cluster,
    db::{Db, Inbox},
    host::Host,
    shell::TurnContext,
    truth::{self, Tables},
};

/// What a turn's rows replace.
pub struct Before {
    retry_at: BTreeMap<TaskInstanceKey, Timestamp>,
    paused: BTreeSet<DagId>,
}

impl Before {
    pub fn of(db: &Db, writes: &Writes, consumed: &[InboxId]) -> Self {
        let old = |key: &TaskInstanceKey| db.tis.get(&(key.run, key.task_no));
        // Unpaused by the turn; it may pause the DAG again, when the run that it starts fails at once.
        let stays = |dag: &DagId| {
            !consumed
                .iter()
                .any(|id| matches!(db.inbox.get(id), Some(Inbox::Pause(_, unpaused, false)) if unpaused == dag))
        };
        let keys = writes.task_instances.iter().map(|row| row.key);
        Self {
            retry_at: keys.filter_map(|key| Some((key, old(&key)?.retry_at?))).collect(),
            paused: db.dags.iter().filter(|(_, rec)| rec.is_paused).map(|(dag, _)| dag.clone()).filter(stays).collect(),
        }
    }
}

/// After each commit.
pub fn turn(cx: &TurnContext<'_>, before: &Before, writes: &Writes) -> Result<(), String> {
    limits(cx.db, cx.config, writes)?;
    starts(cx.db, before, writes, cx.now)?;
    processes(cx.db, cx.hosts, cx.cluster)?;
    for row in &writes.task_instances {
        let open = row.attempt.and_then(|attempt| cx.db.attempts.get(&attempt)).map(|attempt| attempt.to);
        if row.to.is_finished() && matches!(open, Some(AttemptState::Queued | AttemptState::Running)) {
            return Err(format!("{:?} is {}, its attempt goes on", row.key, row.to.as_str()));
        }
        let is_tried = row.scheduled_at.is_some() && row.to != TaskState::UpForRetry && row.to != TaskState::Skipped;
        if let Some(retry_at) = before.retry_at.get(&row.key)
            && is_tried
            && row.scheduled_at < Some(*retry_at)
            && row.to != TaskState::Failed
        {
            return Err(format!("{:?} was tried again before {retry_at}", row.key));
        }
    }
    Ok(())
}

/// Every living process belongs to an attempt that the database holds open, and no two of them to one
/// task instance, on whatever nodes.
pub fn processes(db: &Db, hosts: &[Host], cluster: &Cluster) -> Result<(), String> {
    let mut living = BTreeMap::new();
    for attempt in hosts.iter().flat_map(Host::living).chain(cluster.living()) {
        let Some(row) = db.attempts.get(&attempt).filter(|row| row.to != AttemptState::Closed) else {
            return Err(format!("ONE-LAUNCH: {attempt} is closed, its command lives"));
        };
        if let Some(other) = living.insert((row.run, row.task_no, row.map_index), attempt) {
            return Err(format!("ONE-LAUNCH: {attempt} lives beside {other} of the same task instance"));
        }
    }
    Ok(())
}

/// LIMITS: wherever this turn queued an attempt, the sum of what is open is within every limit.
fn limits(db: &Db, config: &WorldConfig, writes: &Writes) -> Result<(), String> {
    let queued: Vec<&AttemptWrite> =
        writes.attempts.iter().filter(|row| row.from.is_none() && row.to != AttemptState::Closed).collect();
    if queued.is_empty() {
        return Ok(());
    }
    let open: Vec<&AttemptWrite> = db.open_attempts().collect();
    let over = |what: &str, used: u32, max: u32| Err(format!("LIMITS: {what}: {used} of {max}"));
    if config.parallelism < open.len() as u32 {
        return over("parallelism", open.len() as u32, config.parallelism);
    }
    for row in queued {
        let task = task_of(db, row);
        let twins = open.iter().filter(|other| other.run == row.run && other.task_no == row.task_no).count();
        if twins != 1 {
            return Err(format!("ONE-LAUNCH: {twins} open attempts of {} {}", row.run, row.task_no));
        }
        let used: u32 = open
            .iter()
            .map(|other| task_of(db, other))
            .filter(|other| other.pool == task.pool)
            .map(|other| other.pool_slots.get())
            .sum();
        match db.pools.get(&task.pool) {
            None => return Err(format!("LIMITS: the pool {} does not exist", task.pool)),
            Some(Some(slots)) if *slots < used => return over(task.pool.as_str(), used, *slots),
            Some(_) => {}
        }
        let in_run = open.iter().filter(|other| other.run == row.run).count() as u32;
        let max = dag_of(db, row.run).parts().max_active_tasks.get();
        if max < in_run {
            return over("max_active_tasks", in_run, max);
        }
        if let Some(max) = task.max_active_per_dag {
            let dag = &db.runs[&row.run].queued.dag;
            let is_same = |other: &&&AttemptWrite| {
                let other_task = task_of(db, other);
                db.runs[&other.run].queued.dag == *dag
                    && other_task.id == task.id
                    && other_task.max_active_per_dag.is_some()
            };
            let same: Vec<_> = open.iter().filter(is_same).collect();
            // The current version's limit holds for all; without one each goes by its own.
            let own = same.iter().filter_map(|other| task_of(db, other).max_active_per_dag).max();
            let current = db.dags[dag].current.map(|version| &db.versions[&version]);
            let current = current.and_then(|dag| dag.task(dag.task_no(task.id.as_str())?).max_active_per_dag);
            let (used, max) = (same.len() as u32, current.or(own).unwrap_or(max));
            if max.get() < used {
                return over("max_active_per_dag", used, max.get());
            }
        }
    }
    Ok(())
}

/// Runs start only when they are due, their DAG is not paused, and there is room.
fn starts(db: &Db, before: &Before, writes: &Writes, now: Timestamp) -> Result<(), String> {
    for row in &writes.runs {
        let was_queued = matches!(row.from, None | Some(RunState::Queued));
        let run = &db.runs[&row.key];
        if !was_queued || row.started_at.is_none() || row.to == RunState::Queued {
            continue;
        }
        if now < run.queued.run_after {
            return Err(format!("run {} started before its run_after", row.key));
        }
        let dag = &db.dags[&run.queued.dag];
        if before.paused.contains(&run.queued.dag) && dag.is_paused {
            return Err(format!("run {} of a paused DAG started", row.key));
        }
        let max = dag.current.map_or(16, |version| db.versions[&version].parts().max_active_runs.get());
        let is_backfill = |kind: RunType| kind == RunType::Backfill;
        let running = db
            .runs
            .values()
            .filter(|other| other.queued.dag == run.queued.dag && other.state == RunState::Running)
            .filter(|other| is_backfill(other.queued.run_type) == is_backfill(run.queued.run_type))
            .count() as u32;
        if row.to == RunState::Running && max < running {
            return Err(format!("LIMITS: max_active_runs: {running} of {max}"));
        }
    }
    Ok(())
}

/// The live world is what recovery would rebuild, and admission has left nothing undone.
pub fn memory(world: &World, cx: &TurnContext<'_>) -> Result<(), String> {
    if matches!(cx.mutation, Mutation::ForgetsOpenAttempts | Mutation::ForgetsRetries) {
        return Ok(()); // There the comparison itself would tell; the others shall.
    }
    let config = WorldConfig { binding: Some(cx.hosts[cx.node].binding()), ..cx.config.clone() };
    let (mut recovered, _) = recover(cx.db.recovery_rows(cx.mutation), config, cx.now);
    let (live, rebuilt) = (world.snapshot(), recovered.snapshot());
    if live != rebuilt {
        return Err(format!("recovered state differs\nlive {live:#?}\nrecovered {rebuilt:#?}"));
    }
    let mut is_complete = true;
    for dag in cx.db.dags.keys() {
        let (queued, all) = world.queued_runs(dag);
        let (table, _) = cx.db.queued_after(dag, None, usize::MAX);
        let known: BTreeSet<RunKey> = cx
            .db
            .inbox
            .values()
            .filter_map(|row| if let Inbox::RunQueued(run) = row { Some(*run) } else { None })
            .collect();
        let mut expected = table.iter().map(|run| run.key).filter(|run| queued.contains(run) || !known.contains(run));
        is_complete &= all && known.is_empty() && recovered.queued_runs(dag).1;
        let fits = queued.iter().all(|run| expected.next() == Some(*run)) && (!all || expected.next().is_none());
        if all && !fits {
            return Err(format!("the queue of {dag} is {queued:?}, complete {all}; the table has {table:?}"));
        }
    }
    if world.has_more() {
        return Ok(());
    }
    let is_settled = world.next_deadline().is_none_or(|at| cx.now < at);
    truth::reasons(
        world,
        is_settled,
        &Tables {
            db: cx.db,
            config: cx.config,
            node: cx.hosts[cx.node].binding().node,
            now: cx.now,
            mutation: cx.mutation,
        },
    )?;
    if is_complete && world.next_deadline().is_none_or(|at| cx.now < at) {
        let mut plan = Plan::begin(Turn(cx.db.turn + 1), 1);
        admit(&mut recovered, cx.now, &mut plan);
        let needs = plan.take_needs();
        if !needs.is_empty() || plan.seal().writes() != &Writes::default() {
            return Err(format!("NO-STUCK: a new leader would go on at once: {needs:?}"));
        }
        if recovered.next_deadline() != world.next_deadline() {
            let dags = cx.db.dags.iter().map(|(dag, rec)| {
                let version = rec.current.map(|version| cx.db.versions[&version].parts().clone());
                let (queued, _) = cx.db.queued_after(dag, None, 9);
                let timetable = version.map(|parts| (parts.timetable, parts.max_active_runs));
                format!("{dag}: {timetable:?}, paused {}, {:?}, queued {queued:?}", rec.is_paused, rec.cursor)
            });
            return Err(format!(
                "the next deadline is {:?}, a new leader's {:?}\n{}",
                world.next_deadline(),
                recovered.next_deadline(),
                dags.collect::<Vec<_>>().join("\n")
            ));
        }
    }
    Ok(())
}

/// At the end, when faults have stopped: everything has ended, and ended right.
pub fn end(db: &Db, hosts: &[Host], cluster: &Cluster, config: &WorldConfig) -> Result<(), String> {
    if !db.inbox.is_empty() || db.commands.values().any(Option::is_none) {
        return Err("NO-LOSS: a command or a run was never taken".to_owned());
    }
    for (id, event) in &db.events {
        match &event.outcome {
            None => return Err(format!("NO-LOSS: event {id} was never answered")),
            Some(EventOutcome::Ignored { .. }) => {}
            Some(EventOutcome::Run(run)) => {
                let holders: Vec<_> = db.runs.values().filter(|run| run.events.contains(id)).collect();
                if holders.len() != 1 || holders[0].queued.key != *run {
                    return Err(format!("ONE-RUN: event {id} belongs to {} runs", holders.len()));
                }
            }
        }
    }
    for attempt in db.attempts.keys() {
        let starts = hosts.iter().map(|host| &host.starts).chain([&cluster.starts]);
        let starts: u32 = starts.filter_map(|starts| starts.get(attempt)).sum();
        if 1 < starts {
            return Err(format!("ONE-LAUNCH: {attempt} started {starts} times"));
        }
    }
    for run in db.runs.values() {
        verdict(db, run.queued.key)?;
    }
    for ti in db.tis.values() {
        tries(db, ti.key, config)?;
    }
    Ok(())
}

/// The run's state, worked out again from its leaves.
fn verdict(db: &Db, key: RunKey) -> Result<(), String> {
    let run = &db.runs[&key];
    if run.reason.is_some() {
        return if run.state == RunState::Failed { Ok(()) } else { Err(format!("run {key} succeeded with a reason")) };
    }
    let dag = dag_of(db, key);
    let state_of = |no: TaskNo| db.tis[&(key, no)].to;
    let has_failed = |state: TaskState| matches!(state, TaskState::Failed | TaskState::UpstreamFailed);
    let leaf_failed = dag.tasks().any(|(no, _)| dag.is_leaf(no) && has_failed(state_of(no)));
    let stopped = dag.parts().fail_fast && dag.tasks().any(|(no, _)| state_of(no) == TaskState::Failed);
    let expected = if leaf_failed || stopped { RunState::Failed } else { RunState::Success };
    if run.state == expected { Ok(()) } else { Err(format!("run {key} is {}", run.state.as_str())) }
}

/// No task instance was tried more often than its retries and the loss budget allow.
fn tries(db: &Db, key: TaskInstanceKey, config: &WorldConfig) -> Result<(), String> {
    let ti = &db.tis[&(key.run, key.task_no)];
    let attempts: Vec<&AttemptWrite> =
        db.attempts.values().filter(|attempt| attempt.run == key.run && attempt.task_no == key.task_no).collect();
    let numbers: BTreeSet<_> = attempts.iter().map(|attempt| attempt.try_number).collect();
    let is_loss = |outcome: &AttemptOutcome| {
        matches!(outcome, AttemptOutcome::Lost { .. } | AttemptOutcome::NeverStarted | AttemptOutcome::Canceled)
    };
    let lost = attempts.iter().filter(|attempt| attempt.outcome.as_ref().is_some_and(is_loss)).count() as u32;
    let task = dag_of(db, key.run).task(key.task_no);
    let own = attempts.len() as u32 - lost;
    let newest = attempts.iter().max_by_key(|attempt| attempt.try_number).map(|attempt| attempt.attempt);
    let succeeded_late = ti.to == TaskState::Success && ti.attempt != newest;
    if numbers.len() != attempts.len() || task.retries + 1 < own || config.losses_max + 1 < lost || succeeded_late {
        return Err(format!("{key:?} has the attempts {attempts:?}, retries {}", task.retries));
    }
    // Whoever fails by its own fault has had all its tries; losses used none of them.
    let last = attempts.iter().max_by_key(|attempt| attempt.try_number).and_then(|attempt| attempt.outcome.as_ref());
    let was_stopped = matches!(ti.reason.as_deref(), Some("canceled" | "timed_out" | "fail_fast"));
    let failed_itself = ti.to == TaskState::Failed && !was_stopped && last.is_some_and(|outcome| !is_loss(outcome));
    if failed_itself && own != task.retries + 1 {
        return Err(format!("{key:?} failed after {own} tries of its own and {lost} losses, retries {}", task.retries));
    }
    if key.map_index != MapIndex::UNMAPPED || ti.try_number.0 < attempts.len() as u32 {
        return Err(format!("{key:?} says try {}, {} attempts", ti.try_number, attempts.len()));
    }
    Ok(())
}

pub fn dag_of(db: &Db, run: RunKey) -> &Dag {
    &db.versions[&db.runs[&run].queued.version]
}

pub fn task_of<'a>(db: &'a Db, row: &AttemptWrite) -> &'a Task {
    dag_of(db, row.run).task(row.task_no)
}
