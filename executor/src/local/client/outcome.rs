//! From the host's records to the core's words.

use chrono::DateTime;
use gridflow_core::{AttemptOutcome, Timestamp, Usage};

use super::super::wire::{self, End};

pub(super) fn outcome(end: End) -> AttemptOutcome {
    match end {
        End::Exited { code } => AttemptOutcome::Exited { code },
        End::Signaled { signal } => AttemptOutcome::Signaled { signal },
        End::OutOfMemory => AttemptOutcome::OutOfMemory,
        End::TimedOut => AttemptOutcome::TimedOut,
        End::Canceled => AttemptOutcome::Canceled,
        End::NeverStarted => AttemptOutcome::NeverStarted,
        End::SpawnFailed { message } => AttemptOutcome::SpawnFailed { message },
        End::Lost { reason } => AttemptOutcome::Lost { reason },
    }
}

pub(super) fn usage(usage: wire::Usage) -> Usage {
    Usage {
        cpu_user_ms: usage.cpu_user_us / 1000,
        cpu_system_ms: usage.cpu_system_us / 1000,
        rss_peak_bytes: usage.rss_peak_bytes,
    }
}

pub(super) fn timestamp(us: i64) -> Timestamp {
    DateTime::from_timestamp_micros(us).unwrap_or_default()
}
