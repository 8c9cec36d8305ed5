//! The rows that `recover` reads: all that is unfinished, and what it stands on.

use std::sync::Arc;

use crate::{
    attempt::{AttemptState, ExecutorKind, NodeBinding},
    dag::Dag,
    id::{AttemptId, DagId, DagVersionId, PoolName, RunKey, TaskInstanceKey, Timestamp, TryNumber, Turn},
    run::QueuedRun,
    state::{RunState, TaskState},
    timetable::ScheduleCursor,
};

/// Everything a new leader reads before its first turn.
#[derive(Debug, Clone, Default)]
pub struct RecoveryRows {
    pub dags: Vec<DagRow>,
    /// Versions that unfinished runs are pinned to, besides the current ones.
    pub versions: Vec<(DagVersionId, Result<Arc<Dag>, String>)>,
    pub pools: Vec<PoolRow>,
    /// Running runs with all their rows, and finished ones that still have open attempts.
    pub runs: Vec<ActiveRunRow>,
    /// The first queued runs of each DAG, by (run_after, key), up to the fetch limit.
    pub queued: Vec<QueuedRun>,
    /// Runs about which nothing is to be decided, each with the reason: a row of it can't be read, or a decision about
    /// it panicked. Those in `runs` keep the slots that they hold.
    pub aside: Vec<(RunKey, String)>,
}

#[derive(Debug, Clone)]
pub struct DagRow {
    pub dag: DagId,
    /// None: gone from its bundle, or its stored version can't be compiled any more.
    pub current: Option<(DagVersionId, Arc<Dag>)>,
    pub is_paused: bool,
    pub cursor: ScheduleCursor,
    /// How many queued runs the database holds, in memory or not.
    pub queued_count: u64,
    /// The newest finished runs by (run_after, key): as many as the current version's
    /// `max_consecutive_failed_runs`, none where that is not set. In any order.
    pub finished: Vec<FinishedRunRow>,
}

/// What `max_consecutive_failed_runs` needs to know of a finished run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FinishedRunRow {
    pub run: RunKey,
    pub run_after: Timestamp,
    pub state: RunState,
}

#[derive(Debug, Clone)]
pub struct PoolRow {
    pub pool: PoolName,
    /// None: unlimited.
    pub slots: Option<u32>,
}

#[derive(Debug, Clone)]
pub struct ActiveRunRow {
    pub run: QueuedRun,
    pub state: RunState,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub reason: Option<String>,
    pub task_instances: Vec<TaskInstanceRow>,
    /// Attempts that are not closed.
    pub open_attempts: Vec<AttemptRow>,
}

#[derive(Debug, Clone)]
pub struct TaskInstanceRow {
    pub key: TaskInstanceKey,
    pub state: TaskState,
    pub try_number: TryNumber,
    pub tries_max: u32,
    pub attempt: Option<AttemptId>,
    pub scheduled_at: Option<Timestamp>,
    pub queued_at: Option<Timestamp>,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub retry_at: Option<Timestamp>,
    pub wait: Option<WaitRow>,
    pub reason: Option<String>,
    pub losses: u32,
}

/// What a deferred task instance waits for, with what became of it meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitRow {
    pub run: RunKey,
    /// None: the run was deleted.
    pub state: Option<RunState>,
}

#[derive(Debug, Clone)]
pub struct AttemptRow {
    pub attempt: AttemptId,
    pub key: TaskInstanceKey,
    pub try_number: TryNumber,
    pub state: AttemptState,
    pub executor: ExecutorKind,
    pub binding: Option<NodeBinding>,
    pub claim: Option<Arc<str>>,
    pub place: Option<Arc<str>>,
    pub queued_turn: Turn,
    pub spec_hash: Option<[u8; 32]>,
    pub queued_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub pid: Option<u32>,
}
