//! Attempts: one try of one task instance, the thing an executor launches.

use std::sync::Arc;

use crate::id::NodeId;

/// The state of an attempt. It closes only when its processes are proven gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AttemptState {
    /// Committed, may be launched.
    Queued,
    /// Its command has started.
    Running,
    /// A cancel is committed; holds its slots until it is gone.
    Canceling,
    /// Gone; the outcome says how.
    Closed,
}

impl AttemptState {
    pub const ALL: [Self; 4] = [Self::Queued, Self::Running, Self::Canceling, Self::Closed];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Canceling => "canceling",
            Self::Closed => "closed",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// How an attempt ended, as its executor saw it. Reported once nothing of it is left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// The command ended by itself.
    Exited { code: i32 },
    /// A signal that Gridflow did not send ended the command.
    Signaled { signal: i32 },
    /// The kernel ended it with SIGKILL, because it took more memory than there is.
    OutOfMemory,
    /// Ended by its execution timeout.
    TimedOut,
    /// Ended, after its start, because Gridflow was asked to.
    Canceled,
    /// Its claim was taken by a cancel: the command never started and never will.
    NeverStarted,
    /// The command could not be started: missing interpreter, no permission, …
    SpawnFailed { message: String },
    /// Exit code 0, but the output was no JSON or too large.
    OutputInvalid { message: String },
    /// Nobody knows how it ended: its host, node or boot is gone.
    Lost { reason: String },
}

impl AttemptOutcome {
    /// A stable name for tables and logs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Exited { .. } => "exited",
            Self::Signaled { .. } | Self::OutOfMemory => "signaled",
            Self::TimedOut => "timed_out",
            Self::Canceled => "canceled",
            Self::NeverStarted => "never_started",
            Self::SpawnFailed { .. } => "spawn_failed",
            Self::OutputInvalid { .. } => "output_invalid",
            Self::Lost { .. } => "lost",
        }
    }
}

/// What an attempt used, of all its processes together where the executor can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    pub cpu_user_ms: u64,
    pub cpu_system_ms: u64,
    pub rss_peak_bytes: u64,
}

/// The JSON an attempt left as its output (Airflow's XCom `return_value`).
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    pub value: Arc<serde_json::Value>,
    /// The size of the JSON text as the task wrote it.
    pub bytes: u64,
}

/// Which executor launches the attempts of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ExecutorKind {
    /// Processes of the leader's own node.
    Local,
    /// Pods.
    Kubernetes,
    /// SparkApplications, whose driver pods are confirmed like any pod.
    Spark,
}

impl ExecutorKind {
    pub const ALL: [Self; 3] = [Self::Local, Self::Kubernetes, Self::Spark];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Kubernetes => "kubernetes",
            Self::Spark => "spark",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|executor| executor.as_str() == text)
    }

    /// Whether an attempt may start on one node only. Any leader can launch and cancel those of the others.
    pub fn is_bound_to_node(self) -> bool {
        match self {
            Self::Local => true,
            Self::Kubernetes | Self::Spark => false,
        }
    }
}

/// Where a local attempt may start: this node in this boot and nowhere else.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeBinding {
    pub node: NodeId,
    /// Boot id + pid namespace + its start: after a reboot, processes of the old boot are gone.
    pub boot: Arc<str>,
}

impl AttemptState {
    /// LEGAL for attempts. Creation makes `queued`.
    pub fn may_become(self, to: Self) -> bool {
        match self {
            Self::Queued => matches!(to, Self::Running | Self::Canceling | Self::Closed),
            Self::Running => matches!(to, Self::Canceling | Self::Closed),
            Self::Canceling => matches!(to, Self::Closed),
            Self::Closed => false,
        }
    }
}
