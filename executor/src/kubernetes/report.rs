//! What the scheduler hears about pods.

use std::sync::Arc;

use gridflow_core::{AttemptId, AttemptOutcome, Output, RunKey, Timestamp, Turn, Usage};

/// A page of another system about an attempt, which may be gone when the attempt is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The same for all attempts of its kind: `Spark UI`.
    pub name: &'static str,
    pub url: Arc<str>,
}

/// Repeated reports are normal: after a takeover everything that is not acknowledged is told again.
#[derive(Debug, Clone, PartialEq)]
pub enum Report {
    /// Every namespace was listed once. What it holds is reported as soon as its node has told its boot and its log is
    /// read, so partly after this; no attempt is given up for not having been seen before.
    Synced {
        /// The highest turn of any pod that this term did not order; above the database's at its begin, time went back
        /// there.
        turn_max: Turn,
    },
    /// The attempt's pod exists, gated: it runs once this name of it, `CLUSTER/NAMESPACE/UID`, is committed and
    /// confirmed.
    Claimed { run: RunKey, attempt: AttemptId, claim: Arc<str> },
    Started {
        run: RunKey,
        attempt: AttemptId,
        at: Timestamp,
        /// `NODE/BOOT-ID`: what proves later that it is gone.
        place: Option<Arc<str>>,
    },
    /// Why it does not begin, or does not end. Information for people: nothing follows from it. Told when it changes.
    Waits {
        run: RunKey,
        attempt: AttemptId,
        /// Why it does not end. Otherwise why it has not begun, which counts for nothing once it has.
        has_started: bool,
        /// None: nothing is in its way any more.
        reason: Option<Arc<str>>,
    },
    /// Where else people can look at it, all such places. Information for people, as above.
    Links { run: RunKey, attempt: AttemptId, links: Vec<Link> },
    /// No container of the attempt is left.
    Finished {
        run: RunKey,
        attempt: AttemptId,
        at: Timestamp,
        outcome: AttemptOutcome,
        usage: Usage,
        /// What it left as its output, also when it failed.
        output: Option<Output>,
    },
}
