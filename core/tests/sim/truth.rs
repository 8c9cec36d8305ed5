//! What `explain` says is true: each reason is worked out again from the tables, and none is left out.

use gridflow_core::{
    AttemptState, AttemptWrite, NodeId, Reason, RunState, RunType, Task, TaskInstanceWrite, TaskState, Timestamp,
    World, WorldConfig, explain, explain_run,
};

use crate::{
    Mutation,
    check::{dag_of, task_of},
    db::{Db, RunRec},
};

/// The database as a leader's memory stands to it after a commit.
pub struct Tables<'a> {
    pub db: &'a Db,
    pub config: &'a WorldConfig,
    /// The leader's.
    pub node: NodeId,
    pub now: Timestamp,
    pub mutation: Mutation,
}

/// Everything that is unfinished waits for what it is said to wait for.
/// While timers are due that this turn had no room for, `RunAfter` may lie in the past.
pub fn reasons(world: &World, is_settled: bool, tables: &Tables<'_>) -> Result<(), String> {
    for ti in tables.db.tis.values().filter(|ti| !ti.to.is_finished()) {
        let mut said = explain(world, ti.key);
        if tables.mutation == Mutation::ExplainsWrongly {
            said.iter_mut().for_each(falsify);
        }
        let expected = tables.of_task_instance(ti);
        if said != expected {
            return Err(format!(
                "NO-STUCK: {:?} is {} and is said to wait for {said:?}, the tables say {expected:?}",
                ti.key,
                ti.to.as_str()
            ));
        }
    }
    for run in tables.db.runs.values() {
        let said = explain_run(world, run.queued.key);
        for reason in said.iter().filter(|reason| is_settled || !matches!(reason, Reason::RunAfter(_))) {
            tables.check_run(run, reason).map_err(|text| {
                format!(
                    "NO-STUCK: run {} is {} and is said to wait for {said:?}: {text}",
                    run.queued.key,
                    run.state.as_str()
                )
            })?;
        }
    }
    Ok(())
}

fn falsify(reason: &mut Reason) {
    if let Reason::PoolFull { used, .. } = reason {
        *used += 1;
    }
}

impl Tables<'_> {
    fn of_task_instance(&self, ti: &TaskInstanceWrite) -> Vec<Reason> {
        let dag = dag_of(self.db, ti.key.run);
        match ti.to {
            TaskState::NoStatus => {
                let is_unfinished = |no: &gridflow_core::TaskNo| !self.db.tis[&(ti.key.run, *no)].to.is_finished();
                let rule = dag.task(ti.key.task_no).trigger_rule;
                let unfinished = dag.upstream(ti.key.task_no).filter(is_unfinished);
                let unfinished = unfinished.map(|no| dag.task(no).id.clone()).collect();
                vec![Reason::WaitsForUpstream { rule, unfinished }]
            }
            TaskState::Scheduled => self.of_scheduled(ti, dag.task(ti.key.task_no)),
            TaskState::Queued => self.with_node(Reason::Launching, ti),
            TaskState::Running => self.with_node(Reason::Running, ti),
            TaskState::UpForRetry => ti.retry_at.map(Reason::RetryAt).into_iter().collect(),
            TaskState::Deferred => ti.waits_for_run.map(Reason::WaitsForRun).into_iter().collect(),
            state @ (TaskState::UpForReschedule | TaskState::AwaitingInput | TaskState::Restarting) => {
                vec![Reason::InState(state)]
            }
            state @ (TaskState::Success
            | TaskState::Failed
            | TaskState::Skipped
            | TaskState::UpstreamFailed
            | TaskState::Removed) => vec![Reason::Finished(state)],
        }
    }

    /// The reason, and where the open attempt is if not with the leader.
    fn with_node(&self, reason: Reason, ti: &TaskInstanceWrite) -> Vec<Reason> {
        let mut open = self.db.open_attempts().filter(|open| (open.run, open.task_no) == (ti.key.run, ti.key.task_no));
        let node = open.find_map(|open| Some(open.binding.as_ref()?.node)).filter(|node| *node != self.node);
        [reason].into_iter().chain(node.map(Reason::OnNode)).collect()
    }

    fn of_scheduled(&self, ti: &TaskInstanceWrite, task: &Task) -> Vec<Reason> {
        let open: Vec<&AttemptWrite> = self.db.open_attempts().collect();
        let of_run = || open.iter().filter(|other| other.run == ti.key.run);
        if let Some(old) = of_run().find(|other| other.task_no == ti.key.task_no) {
            return self.with_node(Reason::OldAttemptOpen { is_canceling: old.to == AttemptState::Canceling }, ti);
        }
        let mut reasons = Vec::new();
        if self.config.parallelism as usize <= open.len() {
            reasons.push(Reason::Parallelism { open: open.len() as u32, max: self.config.parallelism });
        }
        let in_pool = open.iter().map(|other| task_of(self.db, other)).filter(|other| other.pool == task.pool);
        let (used, needed) = (in_pool.map(|other| other.pool_slots.get()).sum(), task.pool_slots.get());
        match self.db.pools.get(&task.pool) {
            None => reasons.push(Reason::UnknownPool(task.pool.clone())),
            Some(Some(slots)) if *slots < used + needed => {
                reasons.push(Reason::PoolFull { pool: task.pool.clone(), used, slots: *slots, needed });
            }
            Some(_) => {}
        }
        let max = dag_of(self.db, ti.key.run).parts().max_active_tasks.get();
        let in_run = of_run().count() as u32;
        if max <= in_run {
            reasons.push(Reason::MaxActiveTasks { open: in_run, max });
        }
        if let Some(own) = task.max_active_per_dag {
            let dag = &self.db.runs[&ti.key.run].queued.dag;
            let is_same = |other: &&&AttemptWrite| {
                let other_task = task_of(self.db, other);
                self.db.runs[&other.run].queued.dag == *dag
                    && other_task.id == task.id
                    && other_task.max_active_per_dag.is_some()
            };
            let active = open.iter().filter(is_same).count() as u32;
            let current = self.db.dags[dag].current.map(|version| &self.db.versions[&version]);
            let current = current.and_then(|dag| dag.task(dag.task_no(task.id.as_str())?).max_active_per_dag);
            let max = current.unwrap_or(own).get();
            if max <= active {
                reasons.push(Reason::MaxActivePerDag { task: task.id.clone(), open: active, max });
            }
        }
        reasons
    }

    fn check_run(&self, run: &RunRec, reason: &Reason) -> Result<(), String> {
        let dag = &self.db.dags[&run.queued.dag];
        let is_queued = run.state == RunState::Queued;
        let (is_true, tables) = match reason {
            // Behind what memory holds of the queue, or over and forgotten.
            Reason::UnknownRun => (run.state != RunState::Running, String::new()),
            Reason::Running => (run.state == RunState::Running, String::new()),
            Reason::RunFinished(state) => (run.state == *state, String::new()),
            Reason::DagPaused => (is_queued && dag.is_paused, String::new()),
            Reason::RunAfter(at) => {
                (is_queued && run.queued.run_after == *at && self.now < *at, format!("it is {}", self.now))
            }
            Reason::MaxActiveRuns { running, max } => {
                let table = self.of_dag(run).filter(|other| other.state == RunState::Running).count() as u32;
                let table_max =
                    dag.current.map_or(16, |version| self.db.versions[&version].parts().max_active_runs.get());
                (
                    is_queued && (*running, *max) == (table, table_max) && max <= running,
                    format!("{table} of {table_max}"),
                )
            }
            Reason::EarlierRunsQueued(count) => {
                let key = |run: &RunRec| (run.queued.run_after, run.queued.key);
                let earlier = self.of_dag(run).filter(|other| other.state == RunState::Queued && key(other) < key(run));
                let earlier = earlier.count() as u64;
                // A run that was requested since may not have been taken yet.
                (is_queued && 0 < *count && *count <= earlier, format!("{earlier} earlier"))
            }
            Reason::Quarantined(_)
            | Reason::Finished(_)
            | Reason::Launching
            | Reason::OnNode(_)
            | Reason::OldAttemptOpen { .. }
            | Reason::WaitsForUpstream { .. }
            | Reason::RetryAt(_)
            | Reason::WaitsForRun(_)
            | Reason::Parallelism { .. }
            | Reason::UnknownPool(_)
            | Reason::PoolFull { .. }
            | Reason::MaxActiveTasks { .. }
            | Reason::MaxActivePerDag { .. }
            | Reason::InLine
            | Reason::InState(_) => (false, "no run waits for that".to_owned()),
        };
        if is_true { Ok(()) } else { Err(format!("{reason:?} is not true: {tables}")) }
    }

    /// Runs that count together: backfills apart from the others.
    fn of_dag<'a>(&'a self, run: &'a RunRec) -> impl Iterator<Item = &'a RunRec> {
        let is_backfill = |run: &RunRec| run.queued.run_type == RunType::Backfill;
        self.db
            .runs
            .values()
            .filter(move |other| other.queued.dag == run.queued.dag && is_backfill(other) == is_backfill(run))
    }
}
