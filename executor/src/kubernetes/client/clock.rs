//! The time of day of a term.

use std::time::{Instant, SystemTime};

use gridflow_core::Timestamp;

/// What time it was when the term began, carried on by a stopwatch: whoever sets the clock meanwhile stretches no pause
/// and ends no pod before its time.
#[derive(Debug)]
pub(super) struct Clock {
    began: Timestamp,
    stopwatch: Instant,
}

impl Clock {
    pub(super) fn start() -> Self {
        Self { began: SystemTime::now().into(), stopwatch: Instant::now() }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.began + self.stopwatch.elapsed()
    }
}
