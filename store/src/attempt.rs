//! Attempts: written only by the leader's turns.

use std::borrow::Cow;

use gridflow_core::{AttemptOutcome, AttemptWrite, Timestamp};
use uuid::Uuid;

use crate::{text::clean, turn_row::turn_row};

/// What the kernel sends to what takes too much memory.
const SIGKILL: i32 = 9;

/// An attempt as a turn leaves it.
#[derive(Debug, sqlx::Encode)]
pub(crate) struct TurnRow<'a> {
    dag_run_id: Uuid,
    attempt_id: Uuid,
    /// None: the turn queues it.
    from_state: Option<&'static str>,
    state: &'static str,
    task_no: i32,
    map_index: i32,
    try_number: i32,
    executor: &'static str,
    node_id: Option<Uuid>,
    boot: Option<Cow<'a, str>>,
    claim: Option<Cow<'a, str>>,
    place: Option<Cow<'a, str>>,
    queued_turn: i64,
    spec_hash: Option<&'a [u8]>,
    queued_at: Timestamp,
    started_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    pid: Option<i64>,
    outcome: Option<&'static str>,
    exit_code: Option<i32>,
    signal: Option<i32>,
    message: Option<Cow<'a, str>>,
    cpu_user_ms: Option<i64>,
    cpu_system_ms: Option<i64>,
    rss_peak_bytes: Option<i64>,
}

turn_row!(TurnRow<'_>, "turn_v1_attempt");

impl<'a> From<&'a AttemptWrite> for TurnRow<'a> {
    fn from(write: &'a AttemptWrite) -> Self {
        let big = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let outcome = write.outcome.as_ref();
        Self {
            dag_run_id: write.run.0,
            attempt_id: write.attempt.0,
            from_state: write.from.map(|state| state.as_str()),
            state: write.to.as_str(),
            task_no: write.task_no.0 as i32,
            map_index: write.map_index.0,
            try_number: write.try_number.0 as i32,
            executor: write.executor.as_str(),
            node_id: write.binding.as_ref().map(|binding| binding.node.0),
            boot: write.binding.as_ref().map(|binding| clean(&binding.boot)),
            claim: write.claim.as_deref().map(clean),
            place: write.place.as_deref().map(clean),
            queued_turn: write.queued_turn.0,
            spec_hash: write.spec_hash.as_ref().map(|hash| &hash[..]),
            queued_at: write.queued_at,
            started_at: write.started_at,
            ended_at: write.ended_at,
            pid: write.pid.map(i64::from),
            outcome: outcome.map(AttemptOutcome::kind),
            exit_code: outcome.and_then(exit_code),
            signal: outcome.and_then(signal),
            message: outcome.and_then(message),
            cpu_user_ms: write.usage.map(|usage| big(usage.cpu_user_ms)),
            cpu_system_ms: write.usage.map(|usage| big(usage.cpu_system_ms)),
            rss_peak_bytes: write.usage.map(|usage| big(usage.rss_peak_bytes)),
        }
    }
}

fn exit_code(outcome: &AttemptOutcome) -> Option<i32> {
    match outcome {
        AttemptOutcome::Exited { code } => Some(*code),
        AttemptOutcome::Signaled { .. }
        | AttemptOutcome::OutOfMemory
        | AttemptOutcome::TimedOut
        | AttemptOutcome::Canceled
        | AttemptOutcome::NeverStarted
        | AttemptOutcome::SpawnFailed { .. }
        | AttemptOutcome::OutputInvalid { .. }
        | AttemptOutcome::Lost { .. } => None,
    }
}

fn signal(outcome: &AttemptOutcome) -> Option<i32> {
    match outcome {
        AttemptOutcome::Signaled { signal } => Some(*signal),
        AttemptOutcome::OutOfMemory => Some(SIGKILL),
        AttemptOutcome::Exited { .. }
        | AttemptOutcome::TimedOut
        | AttemptOutcome::Canceled
        | AttemptOutcome::NeverStarted
        | AttemptOutcome::SpawnFailed { .. }
        | AttemptOutcome::OutputInvalid { .. }
        | AttemptOutcome::Lost { .. } => None,
    }
}

fn message(outcome: &AttemptOutcome) -> Option<Cow<'_, str>> {
    match outcome {
        AttemptOutcome::SpawnFailed { message } | AttemptOutcome::OutputInvalid { message } => Some(clean(message)),
        AttemptOutcome::Lost { reason } => Some(clean(reason)),
        AttemptOutcome::OutOfMemory => Some("out of memory".into()),
        AttemptOutcome::Exited { .. }
        | AttemptOutcome::Signaled { .. }
        | AttemptOutcome::TimedOut
        | AttemptOutcome::Canceled
        | AttemptOutcome::NeverStarted => None,
    }
}
