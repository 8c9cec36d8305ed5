//! Everything that can make the core decide something.

use std::sync::Arc;

use crate::{
    attempt::{AttemptOutcome, Output, Usage},
    dag::Dag,
    id::{
        AttemptId, CommandId, DagId, DagVersionId, EventId, NodeId, PoolName, RunId, RunKey, TaskInstanceKey, Timestamp,
    },
    run::{DataInterval, QueuedRun, RunType, TriggeredBy},
    timetable::ScheduleCursor,
};

/// One event. Those of closed attempts and finished runs change nothing and are counted.
#[derive(Debug, Clone)]
pub enum Event {
    /// A DAG has a new current version, or is seen for the first time.
    DagChanged(DagChanged),
    /// A DAG left the bundle: no new scheduled runs; what is active goes on.
    DagRemoved {
        dag: DagId,
    },
    /// A person paused or unpaused a DAG.
    DagPaused {
        dag: DagId,
        is_paused: bool,
        command: Option<CommandId>,
    },
    PoolChanged {
        pool: PoolName,
        slots: Option<u32>,
    },
    /// A queued run is committed. May come more than once.
    RunQueued(QueuedRun),
    /// The queued runs that [`crate::Action::FetchQueued`] asked for, in the order of (run_after, key).
    QueuedFetched {
        dag: DagId,
        /// As it was asked.
        after: Option<(Timestamp, RunKey)>,
        runs: Vec<QueuedRun>,
        /// Whether the database holds more behind the last of these.
        has_more: bool,
    },
    /// A trigger asks for a run in this turn.
    RunRequested(RunRequest),
    /// A trigger's own rule (its filter, or `on_pause: drop`) says that an outside event makes no run.
    EventIgnored {
        event: EventId,
        reason: String,
    },
    /// What was made outside for a queued attempt: it may run once this name of it is committed.
    AttemptClaimed {
        run: RunKey,
        attempt: AttemptId,
        claim: Arc<str>,
    },
    AttemptStarted {
        run: RunKey,
        attempt: AttemptId,
        at: Timestamp,
        pid: Option<u32>,
        /// Where it runs, if that is not the node it is bound to.
        place: Option<Arc<str>>,
    },
    /// Nothing of the attempt is left.
    AttemptFinished {
        run: RunKey,
        attempt: AttemptId,
        at: Timestamp,
        outcome: AttemptOutcome,
        usage: Usage,
        output: Option<Output>,
    },
    /// A node has been silent for so long that its attempts are given up, though nobody saw them go.
    NodeLost {
        node: NodeId,
        at: Timestamp,
        reason: String,
    },
    /// A person marks a run as failed: running tasks are stopped and fail, the rest is skipped.
    /// For a queued run that may not be in memory the shell sends [`Event::RunQueued`] first.
    CancelRun {
        run: RunKey,
        command: Option<CommandId>,
    },
    /// What a person asked for can't be done at all: the shell says why.
    CommandRefused {
        command: CommandId,
        reason: String,
    },
    /// Timers whose instant has come; `step` looks which.
    TimersDue,
    /// The answer to one of the plan's [`crate::Need`]s.
    Answer(Answer),
}

impl Event {
    /// The run that it is about, if it is about one.
    pub fn run(&self) -> Option<RunKey> {
        match self {
            Self::RunQueued(run) => Some(run.key),
            Self::AttemptClaimed { run, .. }
            | Self::AttemptStarted { run, .. }
            | Self::AttemptFinished { run, .. }
            | Self::CancelRun { run, .. } => Some(*run),
            Self::Answer(answer) => answer.run(),
            Self::DagChanged(_)
            | Self::DagRemoved { .. }
            | Self::DagPaused { .. }
            | Self::PoolChanged { .. }
            | Self::QueuedFetched { .. }
            | Self::RunRequested(_)
            | Self::EventIgnored { .. }
            | Self::CommandRefused { .. }
            | Self::NodeLost { .. }
            | Self::TimersDue => None,
        }
    }
}

impl Answer {
    fn run(&self) -> Option<RunKey> {
        match self {
            Self::Prepared { run, .. } | Self::PrepareFailed { run, .. } => Some(*run),
            Self::Child { parent, .. } => Some(parent.run),
            Self::Version { .. } | Self::Taken { .. } => None,
        }
    }
}

/// See [`Event::DagChanged`].
#[derive(Debug, Clone)]
pub struct DagChanged {
    pub version: DagVersionId,
    pub definition: Arc<Dag>,
    pub is_paused: bool,
    pub cursor: ScheduleCursor,
}

/// A run that does not exist yet. Its key is made by the core.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRequest {
    pub dag: DagId,
    /// None: `<type>__<run_after>` with a suffix where there is no logical date.
    pub run_id: Option<RunId>,
    pub run_type: RunType,
    pub triggered_by: TriggeredBy,
    pub logical_date: Option<Timestamp>,
    pub data_interval: Option<DataInterval>,
    pub run_after: Option<Timestamp>,
    pub conf: Arc<serde_json::Value>,
    pub trigger: Option<Arc<serde_json::Value>>,
    pub events: Vec<EventId>,
    pub actor: Option<String>,
}

/// What the shell found out, purely or from the database, before the turn's commit.
#[derive(Debug, Clone)]
pub enum Answer {
    /// The version that a run is pinned to.
    Version { version: DagVersionId, definition: Result<Arc<Dag>, String> },
    /// The attempt's templates are rendered; the hash stands for the whole spec.
    Prepared { run: RunKey, attempt: AttemptId, spec_hash: [u8; 32] },
    /// They could not be: the attempt fails without a launch.
    PrepareFailed { run: RunKey, attempt: AttemptId, message: String },
    /// What a `trigger_dag` task asks for, rendered and checked against its target DAG.
    Child { parent: TaskInstanceKey, request: Result<ChildRequest, String> },
    /// Which of the asked logical dates and run ids are taken.
    Taken { dag: DagId, logical_dates: Vec<Timestamp>, run_ids: Vec<RunId> },
}

/// The run that a `trigger_dag` task wants.
#[derive(Debug, Clone, PartialEq)]
pub struct ChildRequest {
    pub dag: DagId,
    pub version: DagVersionId,
    pub run_id: Option<RunId>,
    pub logical_date: Option<Timestamp>,
    pub conf: Arc<serde_json::Value>,
}
