//! The states of runs and task instances: Airflow's, and no others, because its clients reject unknown ones.

/// The state of a task instance (reference: Airflow's `TaskInstanceState`, plus "no state yet").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TaskState {
    /// Created; its trigger rule has not decided. Airflow's `null`, shown as `none`.
    NoStatus,
    /// The trigger rule said run; waits for slots.
    Scheduled,
    /// An attempt is committed and on its way.
    Queued,
    Running,
    Success,
    Failed,
    Skipped,
    UpstreamFailed,
    /// The task vanished from the DAG.
    Removed,
    /// Failed with tries left; waits for its retry delay.
    UpForRetry,
    UpForReschedule,
    /// Waits for something outside without a process: another run, an event.
    Deferred,
    AwaitingInput,
    /// Cleared while running: its processes are being stopped.
    Restarting,
}

impl TaskState {
    pub const ALL: [Self; 14] = [
        Self::NoStatus,
        Self::Scheduled,
        Self::Queued,
        Self::Running,
        Self::Success,
        Self::Failed,
        Self::Skipped,
        Self::UpstreamFailed,
        Self::Removed,
        Self::UpForRetry,
        Self::UpForReschedule,
        Self::Deferred,
        Self::AwaitingInput,
        Self::Restarting,
    ];

    /// Airflow's name; `none` for [`TaskState::NoStatus`].
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoStatus => "none",
            Self::Scheduled => "scheduled",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::UpstreamFailed => "upstream_failed",
            Self::Removed => "removed",
            Self::UpForRetry => "up_for_retry",
            Self::UpForReschedule => "up_for_reschedule",
            Self::Deferred => "deferred",
            Self::AwaitingInput => "awaiting_input",
            Self::Restarting => "restarting",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// No further transition happens by itself.
    pub fn is_finished(self) -> bool {
        match self {
            Self::Success | Self::Failed | Self::Skipped | Self::UpstreamFailed | Self::Removed => true,
            Self::NoStatus
            | Self::Scheduled
            | Self::Queued
            | Self::Running
            | Self::UpForRetry
            | Self::UpForReschedule
            | Self::Deferred
            | Self::AwaitingInput
            | Self::Restarting => false,
        }
    }
}

/// The state of a DAG run (Airflow's `DagRunState`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RunState {
    Queued,
    Running,
    Success,
    Failed,
}

impl RunState {
    pub const ALL: [Self; 4] = [Self::Queued, Self::Running, Self::Success, Self::Failed];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Success => "success",
            Self::Failed => "failed",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    pub fn is_finished(self) -> bool {
        match self {
            Self::Success | Self::Failed => true,
            Self::Queued | Self::Running => false,
        }
    }
}

impl TaskState {
    /// LEGAL: every transition the core may make, and no others. Creation makes `none` or `removed`.
    pub fn may_become(self, to: Self) -> bool {
        match self {
            Self::NoStatus => matches!(to, Self::Scheduled | Self::Skipped | Self::UpstreamFailed),
            // `empty` and `trigger_dag` succeed or fail without ever being queued.
            Self::Scheduled => matches!(
                to,
                Self::Queued | Self::Success | Self::Failed | Self::Skipped | Self::UpForRetry | Self::Deferred
            ),
            // Back to `scheduled`: the infrastructure lost the attempt.
            Self::Queued => {
                matches!(to, Self::Running | Self::Failed | Self::Skipped | Self::UpForRetry | Self::Scheduled)
            }
            Self::Running => {
                matches!(to, Self::Success | Self::Failed | Self::Skipped | Self::UpForRetry | Self::Scheduled)
            }
            Self::UpForRetry => matches!(to, Self::Scheduled | Self::Failed | Self::Skipped),
            Self::Deferred => matches!(to, Self::Success | Self::Failed | Self::Skipped | Self::UpForRetry),
            Self::UpForReschedule | Self::AwaitingInput | Self::Restarting => {
                matches!(to, Self::Failed | Self::Skipped)
            }
            Self::Success | Self::Failed | Self::Skipped | Self::UpstreamFailed | Self::Removed => false,
        }
    }
}

impl RunState {
    /// LEGAL for runs. Creation makes `queued`.
    pub fn may_become(self, to: Self) -> bool {
        match self {
            Self::Queued => matches!(to, Self::Running | Self::Failed),
            Self::Running => matches!(to, Self::Success | Self::Failed),
            Self::Success | Self::Failed => false,
        }
    }
}
