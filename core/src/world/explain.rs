//! Why is it not running? The true answer, from the state that admission itself decides on.

use crate::{
    attempt::AttemptState,
    id::{NodeId, PoolName, RunKey, TaskId, TaskInstanceKey, TaskNo, Timestamp},
    state::{RunState, TaskState},
    trigger_rule::TriggerRule,
};

use super::{
    World,
    active::{ActiveRun, Place},
    lane::Capacity,
};

/// One thing that a run or a task instance waits for. All that hold are given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// Neither queued nor running, as far as memory knows.
    UnknownRun,
    /// The run could not be read, for this reason.
    Quarantined(String),
    Finished(TaskState),
    RunFinished(RunState),
    /// Nothing: it may run, or runs.
    Running,
    /// An attempt is queued and on its way to its executor.
    Launching,
    /// Its open attempt is bound to another node than the leader's: only that node's scheduler can tell of it.
    OnNode(NodeId),
    /// The last attempt's processes are not known to be gone.
    OldAttemptOpen {
        is_canceling: bool,
    },
    DagPaused,
    /// The run is not due yet.
    RunAfter(Timestamp),
    MaxActiveRuns {
        running: u32,
        max: u32,
    },
    /// Earlier runs of the DAG come first.
    EarlierRunsQueued(u64),
    WaitsForUpstream {
        rule: TriggerRule,
        unfinished: Vec<TaskId>,
    },
    RetryAt(Timestamp),
    WaitsForRun(RunKey),
    Parallelism {
        open: u32,
        max: u32,
    },
    UnknownPool(PoolName),
    PoolFull {
        pool: PoolName,
        used: u32,
        slots: u32,
        needed: u32,
    },
    MaxActiveTasks {
        open: u32,
        max: u32,
    },
    MaxActivePerDag {
        task: TaskId,
        open: u32,
        max: u32,
    },
    /// Others of higher priority, or whose turn it is, come first.
    InLine,
    /// In a state that only something outside ends.
    InState(TaskState),
}

/// What a task instance waits for.
pub fn explain(world: &World, key: TaskInstanceKey) -> Vec<Reason> {
    let Some(run) = world.runs.get(&key.run) else { return explain_run(world, key.run) };
    let Some(ti) = run.tis.get(key.task_no.0 as usize) else { return vec![Reason::UnknownRun] };
    match ti.state {
        TaskState::Success
        | TaskState::Failed
        | TaskState::Skipped
        | TaskState::UpstreamFailed
        | TaskState::Removed => vec![Reason::Finished(ti.state)],
        TaskState::NoStatus => vec![run.explain_upstream(key.task_no)],
        TaskState::Queued => [Reason::Launching].into_iter().chain(world.other_node(run, key.task_no)).collect(),
        TaskState::Running => [Reason::Running].into_iter().chain(world.other_node(run, key.task_no)).collect(),
        TaskState::UpForRetry => ti.retry_at.map(Reason::RetryAt).into_iter().collect(),
        TaskState::Deferred => ti.waits_for_run.map(Reason::WaitsForRun).into_iter().collect(),
        TaskState::UpForReschedule | TaskState::AwaitingInput | TaskState::Restarting => {
            vec![Reason::InState(ti.state)]
        }
        TaskState::Scheduled => world.explain_scheduled(run, key.task_no),
    }
}

/// What a run waits for.
pub fn explain_run(world: &World, key: RunKey) -> Vec<Reason> {
    if let Some(reason) = world.shared.quarantined.get(&key) {
        return vec![Reason::Quarantined(reason.clone())];
    }
    if let Some(run) = world.runs.get(&key) {
        return vec![if run.state.is_finished() { Reason::RunFinished(run.state) } else { Reason::Running }];
    }
    let Some(&(ix, queue_key)) = world.shared.queued_index.get(&key) else { return vec![Reason::UnknownRun] };
    let dag = &world.shared.dags[ix.0 as usize];
    let is_backfill = dag.queued_backfill.contains_key(&queue_key);
    let (queue, running) =
        if is_backfill { (&dag.queued_backfill, dag.running_backfill) } else { (&dag.queued, dag.running) };
    let max = world.shared.max_active_runs(ix);
    let mut reasons = Vec::new();
    if dag.is_paused {
        reasons.push(Reason::DagPaused);
    }
    if dag.timer.is_some_and(|at| at <= queue_key.0) {
        reasons.push(Reason::RunAfter(queue_key.0));
    }
    if max <= running {
        reasons.push(Reason::MaxActiveRuns { running, max });
    }
    let earlier = queue.range(..queue_key).count() as u64;
    if 0 < earlier {
        reasons.push(Reason::EarlierRunsQueued(earlier));
    }
    if reasons.is_empty() {
        reasons.push(Reason::InLine);
    }
    reasons
}

impl ActiveRun {
    fn explain_upstream(&self, task_no: TaskNo) -> Reason {
        let unfinished = self
            .dag
            .upstream(task_no)
            .filter(|upstream| !self.tis[upstream.0 as usize].state.is_finished())
            .map(|upstream| self.dag.task(upstream).id.clone())
            .collect();
        Reason::WaitsForUpstream { rule: self.dag.task(task_no).trigger_rule, unfinished }
    }
}

impl World {
    fn other_node(&self, run: &ActiveRun, task_no: TaskNo) -> Option<Reason> {
        let theirs = run.tis[task_no.0 as usize].open.as_ref()?.binding.as_ref()?;
        let own = self.shared.config.binding.as_ref()?;
        (theirs.node != own.node).then_some(Reason::OnNode(theirs.node))
    }

    fn explain_scheduled(&self, run: &ActiveRun, task_no: TaskNo) -> Vec<Reason> {
        let shared = &self.shared;
        let ti = &run.tis[task_no.0 as usize];
        if let Some(open) = &ti.open {
            let is_canceling = open.state == AttemptState::Canceling;
            let why = [Reason::OldAttemptOpen { is_canceling }];
            return why.into_iter().chain(self.other_node(run, task_no)).collect();
        }
        let task = run.dag.task(task_no);
        let mut reasons = Vec::new();
        let max = shared.config.parallelism;
        if max <= shared.open_attempts {
            reasons.push(Reason::Parallelism { open: shared.open_attempts, max });
        }
        let lane = run.routes.lanes[task_no.0 as usize];
        let (pool, needed) = (shared.lanes.pool_of(lane), shared.lanes.slots_of(lane));
        match pool.capacity {
            Capacity::Unknown => reasons.push(Reason::UnknownPool(pool.name.clone())),
            Capacity::Slots(slots) if !pool.has_room_for(needed) => {
                reasons.push(Reason::PoolFull { pool: pool.name.clone(), used: pool.used, slots, needed });
            }
            Capacity::Slots(_) | Capacity::Unlimited => {}
        }
        if !run.has_room() {
            let max = run.dag.parts().max_active_tasks.get();
            reasons.push(Reason::MaxActiveTasks { open: run.open.len() as u32, max });
        }
        if let (Some(limit), Some(max)) = (run.routes.limits[task_no.0 as usize], task.max_active_per_dag) {
            let limit = &shared.limits[limit.0 as usize];
            if limit.is_full(max) {
                let max = limit.max.unwrap_or(max.get());
                reasons.push(Reason::MaxActivePerDag { task: task.id.clone(), open: limit.active, max });
            }
        }
        if reasons.is_empty() {
            debug_assert!(ti.place != Place::Nowhere, "a scheduled instance stands in a queue");
            reasons.push(Reason::InLine);
        }
        reasons
    }
}
