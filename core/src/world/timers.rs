//! Instants at which something falls due, kept inside the world: there is nothing to persist.

use std::collections::BTreeSet;

use crate::id::{RunKey, TaskNo, Timestamp};

use super::DagIx;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// An `up_for_retry` task instance may be tried again.
    Retry(RunKey, TaskNo),
    /// A running run has lasted as long as it may.
    RunTimeout(RunKey),
    /// The first queued run of a DAG comes to its `run_after`, or its schedule to its next tick.
    Dag(DagIx),
}

/// Exact: a timer that no longer holds is removed, so the next deadline is true.
#[derive(Debug, Default)]
pub(super) struct Timers(BTreeSet<(Timestamp, Timer)>);

impl Timers {
    pub fn set(&mut self, at: Timestamp, timer: Timer) {
        self.0.insert((at, timer));
    }

    pub fn unset(&mut self, at: Timestamp, timer: Timer) {
        self.0.remove(&(at, timer));
    }

    pub fn next(&self) -> Option<Timestamp> {
        self.0.first().map(|&(at, _)| at)
    }

    pub fn pop_due(&mut self, now: Timestamp) -> Option<Timer> {
        let &(at, timer) = self.0.first()?;
        (at <= now).then(|| {
            self.0.pop_first();
            timer
        })
    }

    pub fn iter(&self) -> impl Iterator<Item = (Timestamp, Timer)> + '_ {
        self.0.iter().copied()
    }
}
