//! From the database's rows back to the state of a leader that had never stopped.

use std::sync::Arc;

use crate::{
    attempt::AttemptState,
    dag::{Dag, TaskKind},
    hash::FastMap,
    id::{AttemptId, MapIndex, RunKey, TaskNo, Timestamp},
    plan::{Action, Plan},
    rows::{ActiveRunRow, AttemptRow, DagRow, RecoveryRows, TaskInstanceRow},
    run::QueuedRun,
    state::{RunState, TaskState},
};

use super::{
    Shared, World, WorldConfig,
    active::{ActiveRun, OpenAttempt, Routes, TaskInstance},
    child::Recovered,
    lane::Capacity,
    timers::Timer,
};

/// Rebuilds a world. The plan writes nothing; its actions repeat what the last leader may not have
/// done: launch or confirm what is queued in reach, cancel what is canceling.
/// What has fallen due meanwhile is decided by the next [`crate::step`] and [`crate::admit`].
pub fn recover(rows: RecoveryRows, config: WorldConfig, now: Timestamp) -> (World, Plan) {
    recover_watched(rows, config, now, &mut None)
}

/// [`recover`] for shells that outlive its panic: `at_work` then names the run that it was about.
pub fn recover_watched(
    rows: RecoveryRows,
    config: WorldConfig,
    _now: Timestamp,
    at_work: &mut Option<RunKey>,
) -> (World, Plan) {
    let RecoveryRows { dags, versions, pools, runs, queued, aside } = rows;
    let mut world = World::new(config);
    let mut plan = Plan::default();
    for pool in pools {
        world.shared.lanes.set_capacity(&pool.pool, pool.slots.map_or(Capacity::Unlimited, Capacity::Slots));
    }
    let definitions: FastMap<_, _> = versions.into_iter().collect();
    let counts: Vec<_> = dags.iter().map(|row| (row.dag.clone(), row.queued_count)).collect();
    for row in dags {
        world.shared.recover_dag(row);
    }
    world.shared.quarantined.extend(aside);
    for row in runs {
        let version = row.run.version;
        let known = world.shared.versions.get(&version).map(|known| known.definition.clone());
        let definition = match (known, definitions.get(&version)) {
            (Some(Ok((dag, routes))), _) => Ok((dag, routes)),
            (Some(Err(reason)), _) => Err(reason),
            (None, Some(Ok(dag))) => {
                let ix = world.shared.dag_ix(&row.run.dag);
                world.shared.learn_version(version, ix, dag.clone());
                Ok(world.shared.versions[&version].definition.clone().expect("just learnt"))
            }
            (None, Some(Err(reason))) => Err(reason.clone()),
            (None, None) => Err(format!("its DAG version {version} is missing")),
        };
        let key = row.run.key;
        *at_work = Some(key);
        let set_aside = world.shared.quarantined.get(&key).cloned().map_or(Ok(()), Err);
        let sound = definition.clone().and_then(|(dag, _)| set_aside.and_then(|()| check_rows(&row, &dag)));
        match (definition, sound) {
            (Ok((dag, routes)), Ok(())) => {
                let run = world.shared.recover_run(row, dag, routes, &mut plan);
                world.runs.insert(key, run);
            }
            (definition, sound) => {
                world.shared.hold_slots(&row, definition.ok().map(|(_, routes)| routes));
                if let Err(reason) = sound {
                    world.shared.quarantined.insert(key, reason);
                }
            }
        }
    }
    *at_work = None;
    world.shared.recover_queued(queued, counts);
    (world, plan)
}

impl Shared {
    fn recover_dag(&mut self, row: DagRow) {
        let ix = self.dag_ix(&row.dag);
        if let Some((version, definition)) = row.current {
            self.learn_version(version, ix, definition);
            self.versions.get_mut(&version).expect("just learnt").is_current = true;
            self.dag(ix).current = Some(version);
            self.set_limits(ix);
        }
        let dag = self.dag(ix);
        dag.is_loaded = true;
        dag.is_paused = row.is_paused;
        dag.cursor = row.cursor;
        dag.finished = row.finished.into_iter().map(|run| ((run.run_after, run.run), run.state)).collect();
        self.shorten_finished(ix);
        self.stir(ix);
    }

    /// What a run that is set aside holds: it runs, and its commands do.
    fn hold_slots(&mut self, row: &ActiveRunRow, routes: Option<Arc<Routes>>) {
        if row.state == RunState::Running {
            let ix = self.dag_ix(&row.run.dag);
            *self.dag(ix).running_of(row.run.run_type) += 1;
        }
        for attempt in &row.open_attempts {
            let task = attempt.key.task_no.0 as usize;
            self.open_attempts += 1;
            if let Some(lane) = routes.as_ref().and_then(|routes| routes.lanes.get(task)) {
                self.lanes.acquire(*lane);
            }
            if let Some(Some(limit)) = routes.as_ref().and_then(|routes| routes.limits.get(task)) {
                self.limits[limit.0 as usize].active += 1;
            }
        }
    }

    fn recover_queued(&mut self, queued: Vec<QueuedRun>, counts: Vec<(crate::DagId, u64)>) {
        for run in queued {
            if !self.quarantined.contains_key(&run.key) {
                self.queue_run(run);
            }
        }
        for (dag, count) in counts {
            let ix = self.dag_ix(&dag);
            let dag = self.dag(ix);
            if (dag.queued_in_memory() as u64) < count {
                let last = [dag.queued.last_key_value(), dag.queued_backfill.last_key_value()];
                dag.horizon = Some(last.into_iter().flatten().map(|(key, _)| *key).max());
            }
        }
    }

    fn recover_run(
        &mut self,
        row: ActiveRunRow,
        dag: Arc<Dag>,
        routes: Arc<Routes>,
        plan: &mut Plan,
    ) -> Box<ActiveRun> {
        let ActiveRunRow { run: queued, state, started_at, ended_at, reason, task_instances, open_attempts } = row;
        let dag_ix = self.dag_ix(&queued.dag);
        let tis = dag.tasks().map(|(_, task)| TaskInstance::new(task.retries, task.upstream.len() as u32)).collect();
        let mut run = Box::new(ActiveRun {
            queued,
            dag_ix,
            dag,
            routes,
            state,
            started_at,
            ended_at,
            reason,
            tis,
            open: FastMap::default(),
            unfinished: 0,
            failed_leaves: 0,
            ready: Vec::new(),
        });
        self.versions.get_mut(&run.queued.version).expect("learnt before its runs").runs += 1;
        if state == RunState::Running {
            *self.dag(dag_ix).running_of(run.queued.run_type) += 1;
            if let Some(at) = run.times_out_at() {
                self.timers.set(at, Timer::RunTimeout(run.key()));
            }
        }
        for row in open_attempts {
            run.recover_attempt(row, self, plan);
        }
        for row in task_instances {
            run.recover_ti(row, self);
        }
        run
    }
}

/// Rows that no decision can be based on.
fn check_rows(row: &ActiveRunRow, dag: &Dag) -> Result<(), String> {
    if row.task_instances.len() != dag.task_count() {
        return Err(format!(
            "it has {} task instances, its DAG version has {} tasks",
            row.task_instances.len(),
            dag.task_count()
        ));
    }
    let mut is_seen = vec![false; dag.task_count()];
    for ti in &row.task_instances {
        if ti.key.map_index != MapIndex::UNMAPPED {
            return Err(format!("task number {} is mapped, its task is not", ti.key.task_no));
        }
        match is_seen.get_mut(ti.key.task_no.0 as usize) {
            Some(is_seen) if !*is_seen => *is_seen = true,
            Some(_) => return Err(format!("task number {} occurs twice", ti.key.task_no)),
            None => return Err(format!("task number {} is not in its DAG version", ti.key.task_no)),
        }
    }
    let mut open = vec![None; dag.task_count()];
    for attempt in &row.open_attempts {
        match open.get_mut(attempt.key.task_no.0 as usize) {
            Some(open) if open.is_none() => *open = Some(attempt.attempt),
            Some(_) => return Err(format!("task number {} has two open attempts", attempt.key.task_no)),
            None => {
                return Err(format!("an attempt is of task number {}, not in its DAG version", attempt.key.task_no));
            }
        }
    }
    row.task_instances.iter().try_for_each(|ti| check_state(ti, open[ti.key.task_no.0 as usize]))
}

/// What nothing would ever move on: such a run must be seen, not wait in silence.
fn check_state(ti: &TaskInstanceRow, open: Option<AttemptId>) -> Result<(), String> {
    let missing = match ti.state {
        TaskState::Queued | TaskState::Running if open.is_none() || open != ti.attempt => "has no open attempt",
        TaskState::UpForRetry if ti.retry_at.is_none() => "has no time of its retry",
        TaskState::Deferred if ti.wait.is_none() => "waits for nothing",
        TaskState::NoStatus
        | TaskState::Scheduled
        | TaskState::Queued
        | TaskState::Running
        | TaskState::Success
        | TaskState::Failed
        | TaskState::Skipped
        | TaskState::UpstreamFailed
        | TaskState::Removed
        | TaskState::UpForRetry
        | TaskState::UpForReschedule
        | TaskState::Deferred
        | TaskState::AwaitingInput
        | TaskState::Restarting => return Ok(()),
    };
    Err(format!("task number {} is {} and {missing}", ti.key.task_no, ti.state.as_str()))
}

impl ActiveRun {
    fn recover_attempt(&mut self, row: AttemptRow, shared: &mut Shared, plan: &mut Plan) {
        let task_no = row.key.task_no;
        self.open.insert(row.attempt, task_no);
        self.ti(task_no).open = Some(Box::new(OpenAttempt {
            id: row.attempt,
            state: row.state,
            try_number: row.try_number,
            executor: row.executor,
            binding: row.binding,
            claim: row.claim,
            place: row.place,
            queued_turn: row.queued_turn,
            spec_hash: row.spec_hash,
            queued_at: row.queued_at,
            started_at: row.started_at,
            pid: row.pid,
            row: Default::default(),
        }));
        shared.open_attempts += 1;
        shared.lanes.acquire(self.routes.lanes[task_no.0 as usize]);
        if let Some(limit) = self.routes.limits[task_no.0 as usize] {
            shared.limits[limit.0 as usize].active += 1;
        }
        let run = self.key();
        let open = self.tis[task_no.0 as usize].open.as_ref().expect("just set");
        match open.state {
            AttemptState::Queued if !open.executor.is_bound_to_node() || open.binding == shared.config.binding => {
                plan.actions.push(match open.claim.clone() {
                    Some(claim) => Action::Confirm { run, attempt: open.id, executor: open.executor, claim },
                    None => Action::Launch(self.launch_order(task_no)),
                });
            }
            AttemptState::Canceling if open.is_in_reach(shared.config.binding.as_ref()) => {
                plan.actions.push(Action::Cancel { run, attempt: open.id, executor: open.executor });
            }
            // Another node's: its own scheduler tends it. Running ones are watched by their executor.
            AttemptState::Canceling | AttemptState::Queued | AttemptState::Running | AttemptState::Closed => {}
        }
    }

    fn recover_ti(&mut self, row: TaskInstanceRow, shared: &mut Shared) {
        let task_no = row.key.task_no;
        let run = self.key();
        let ti = self.ti(task_no);
        ti.state = row.state;
        ti.try_number = row.try_number;
        ti.tries_max = row.tries_max;
        ti.losses = row.losses;
        ti.attempt = row.attempt;
        ti.scheduled_at = row.scheduled_at;
        ti.queued_at = row.queued_at;
        ti.started_at = row.started_at;
        ti.ended_at = row.ended_at;
        ti.retry_at = row.retry_at;
        ti.reason = row.reason.clone();
        if row.state.is_finished() {
            self.recover_finished(task_no);
            return;
        }
        self.unfinished += 1;
        match row.state {
            TaskState::Scheduled => match self.dag.task(task_no).kind {
                TaskKind::Attempt(_) if self.tis[task_no.0 as usize].open.is_none() => {
                    self.make_ready(task_no, &mut shared.lanes);
                }
                TaskKind::Attempt(_) | TaskKind::Empty => {}
                TaskKind::TriggerDag { .. } => shared.recovered.push(Recovered::AskChild(row.key)),
            },
            TaskState::UpForRetry => {
                if let Some(at) = self.ti(task_no).retry_at {
                    shared.timers.set(at, Timer::Retry(run, task_no));
                }
            }
            TaskState::Deferred => self.recover_wait(&row, shared),
            TaskState::NoStatus
            | TaskState::Queued
            | TaskState::Running
            | TaskState::UpForReschedule
            | TaskState::AwaitingInput
            | TaskState::Restarting
            | TaskState::Success
            | TaskState::Failed
            | TaskState::Skipped
            | TaskState::UpstreamFailed
            | TaskState::Removed => {}
        }
    }

    fn recover_finished(&mut self, task_no: TaskNo) {
        let dag = self.dag.clone();
        let state = self.ti(task_no).state;
        for downstream in dag.downstream(task_no) {
            self.ti(downstream).upstream.add(state);
        }
        if dag.is_leaf(task_no) && matches!(state, TaskState::Failed | TaskState::UpstreamFailed) {
            self.failed_leaves += 1;
        }
    }

    fn recover_wait(&mut self, row: &TaskInstanceRow, shared: &mut Shared) {
        let Some(wait) = row.wait else { return };
        self.ti(row.key.task_no).waits_for_run = Some(wait.run);
        match wait.state {
            Some(RunState::Queued | RunState::Running) => shared.waits.entry(wait.run).or_default().push(row.key),
            Some(RunState::Success | RunState::Failed) | None => {
                shared.recovered.push(Recovered::Awaited { waiter: row.key, run: wait.run, state: wait.state });
            }
        }
    }
}

/// Ids of runs whose rows could not be read stay out of every queue.
impl World {
    pub fn is_quarantined(&self, run: RunKey) -> bool {
        self.shared.quarantined.contains_key(&run)
    }
}
