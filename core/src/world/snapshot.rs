//! The whole state in one canonical order: two worlds that decide alike have equal snapshots.
//!
//! Left out is what only orders equals (the turns of DAGs in the rings), how far admission has
//! looked (ready or parked), how much of the queue memory holds, the past results behind
//! `max_consecutive_failed_runs` (a version that newly asks for them begins to count), and metrics.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    attempt::{AttemptState, NodeBinding},
    id::{AttemptId, DagId, DagVersionId, PoolName, RunKey, TaskId, TaskInstanceKey, Timestamp, TryNumber, Turn},
    run::QueuedRun,
    state::{RunState, TaskState},
    timetable::ScheduleCursor,
    trigger_rule::UpstreamCounts,
};

use super::{
    World,
    active::{ActiveRun, OpenAttempt, Place, TaskInstance},
    dag_state::DagState,
    lane::Capacity,
    queue::QueueKey,
    timers::Timer,
};

/// For comparing; `{:#?}` is for people.
#[derive(Debug, PartialEq)]
pub struct Snapshot {
    dags: BTreeMap<DagId, DagSnapshot>,
    pools: BTreeMap<PoolName, (Capacity, u32)>,
    limits: BTreeMap<(DagId, TaskId), u32>,
    timers: BTreeSet<(Timestamp, Timer)>,
    waits: BTreeMap<RunKey, BTreeSet<TaskInstanceKey>>,
    open_attempts: u32,
    runs: BTreeMap<RunKey, RunSnapshot>,
    quarantined: BTreeMap<RunKey, String>,
}

#[derive(Debug, PartialEq)]
struct DagSnapshot {
    current: Option<DagVersionId>,
    is_paused: bool,
    cursor: ScheduleCursor,
    running: u32,
    running_backfill: u32,
}

#[derive(Debug, PartialEq)]
struct RunSnapshot {
    queued: QueuedRun,
    state: RunState,
    started_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    reason: Option<String>,
    unfinished: u32,
    failed_leaves: u32,
    task_instances: Vec<TaskInstanceSnapshot>,
}

#[derive(Debug, PartialEq)]
struct TaskInstanceSnapshot {
    state: TaskState,
    stands_in_line: bool,
    try_number: TryNumber,
    tries_max: u32,
    losses: u32,
    upstream: UpstreamCounts,
    attempt: Option<AttemptId>,
    times: [Option<Timestamp>; 5],
    waits_for_run: Option<RunKey>,
    reason: Option<String>,
    open: Option<AttemptSnapshot>,
}

#[derive(Debug, PartialEq)]
struct AttemptSnapshot {
    id: AttemptId,
    state: AttemptState,
    try_number: TryNumber,
    binding: Option<NodeBinding>,
    claim: Option<Arc<str>>,
    place: Option<Arc<str>>,
    queued_turn: Turn,
    spec_hash: Option<[u8; 32]>,
    queued_at: Timestamp,
    started_at: Option<Timestamp>,
    pid: Option<u32>,
}

impl World {
    /// What recovery must rebuild exactly.
    pub fn snapshot(&self) -> Snapshot {
        let shared = &self.shared;
        Snapshot {
            dags: shared.dags.iter().filter(|dag| dag.is_loaded).map(|dag| (dag.id.clone(), dag.into())).collect(),
            pools: shared
                .lanes
                .pools()
                .iter()
                .filter(|pool| pool.capacity != Capacity::Unknown || 0 < pool.used)
                .map(|pool| (pool.name.clone(), (pool.capacity, pool.used)))
                .collect(),
            limits: shared
                .dags
                .iter()
                .flat_map(|dag| dag.limits.iter().map(|(task, limit)| ((dag.id.clone(), task.clone()), limit)))
                .map(|(task, limit)| (task, shared.limits[limit.0 as usize].active))
                .filter(|(_, active)| 0 < *active)
                .collect(),
            // A DAG's timer carries this world's own number of it, and is set by `admit`.
            timers: shared.timers.iter().filter(|(_, timer)| !matches!(timer, Timer::Dag(_))).collect(),
            waits: shared.waits.iter().map(|(run, waiters)| (*run, waiters.iter().copied().collect())).collect(),
            open_attempts: shared.open_attempts,
            runs: self.runs.iter().map(|(key, run)| (*key, (&**run).into())).collect(),
            quarantined: shared.quarantined.iter().map(|(run, reason)| (*run, reason.clone())).collect(),
        }
    }

    /// The queued runs of a DAG that memory holds, in order, and whether these are all.
    pub fn queued_runs(&self, dag: &DagId) -> (Vec<RunKey>, bool) {
        let Some(ix) = self.shared.dag_by_id.get(dag) else { return (Vec::new(), true) };
        let dag = &self.shared.dags[ix.0 as usize];
        let mut keys: Vec<QueueKey> = dag.queued.keys().chain(dag.queued_backfill.keys()).copied().collect();
        keys.sort_unstable();
        (keys.into_iter().map(|(_, run)| run).collect(), dag.horizon.is_none())
    }
}

impl From<&DagState> for DagSnapshot {
    fn from(dag: &DagState) -> Self {
        Self {
            current: dag.current,
            is_paused: dag.is_paused,
            cursor: dag.cursor,
            running: dag.running,
            running_backfill: dag.running_backfill,
        }
    }
}

impl From<&ActiveRun> for RunSnapshot {
    fn from(run: &ActiveRun) -> Self {
        Self {
            queued: run.queued.clone(),
            state: run.state,
            started_at: run.started_at,
            ended_at: run.ended_at,
            reason: run.reason.clone(),
            unfinished: run.unfinished,
            failed_leaves: run.failed_leaves,
            task_instances: run.tis.iter().map(TaskInstanceSnapshot::from).collect(),
        }
    }
}

impl From<&TaskInstance> for TaskInstanceSnapshot {
    fn from(ti: &TaskInstance) -> Self {
        Self {
            state: ti.state,
            stands_in_line: ti.place != Place::Nowhere,
            try_number: ti.try_number,
            tries_max: ti.tries_max,
            losses: ti.losses,
            upstream: ti.upstream,
            attempt: ti.attempt,
            times: [ti.scheduled_at, ti.queued_at, ti.started_at, ti.ended_at, ti.retry_at],
            waits_for_run: ti.waits_for_run,
            reason: ti.reason.clone(),
            open: ti.open.as_deref().map(AttemptSnapshot::from),
        }
    }
}

impl From<&OpenAttempt> for AttemptSnapshot {
    fn from(open: &OpenAttempt) -> Self {
        Self {
            id: open.id,
            state: open.state,
            try_number: open.try_number,
            binding: open.binding.clone(),
            claim: open.claim.clone(),
            place: open.place.clone(),
            queued_turn: open.queued_turn,
            spec_hash: open.spec_hash,
            queued_at: open.queued_at,
            started_at: open.started_at,
            pid: open.pid,
        }
    }
}
