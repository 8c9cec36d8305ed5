//! What the scheduler hears about its attempts.

use std::sync::Arc;

use gridflow_core::{AttemptId, AttemptOutcome, Output, RunKey, Timestamp, Turn, Usage};

/// Repeated reports are normal: after a reconnect everything unacknowledged is told again.
#[derive(Debug, Clone, PartialEq)]
pub enum Report {
    /// A host answers, and everything it knows that nobody has acknowledged was reported before this.
    Synced {
        /// The boot whose processes this host can start and see.
        boot: Arc<str>,
        /// The highest turn of any launch the host has seen; above the database's, time went back there.
        turn_max: Turn,
    },
    Started {
        attempt: AttemptId,
        run: RunKey,
        pid: u32,
        at: Timestamp,
    },
    /// No process of the attempt is left.
    Finished {
        attempt: AttemptId,
        run: RunKey,
        at: Timestamp,
        outcome: AttemptOutcome,
        usage: Usage,
        /// What it wrote to `$GRIDFLOW_OUTPUT`, also when it failed.
        output: Option<Output>,
    },
}
