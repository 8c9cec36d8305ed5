//! Attempts: written only by the leader's turns.

use gridflow_core::{AttemptOutcome, AttemptWrite, Timestamp};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    Error,
    error::expect_rows,
    task_instance::bounds,
    text::{clean, cleaned},
};

/// Inserts those that the turn queued.
pub(crate) async fn insert(conn: &mut PgConnection, writes: &[AttemptWrite]) -> Result<(), Error> {
    let new: Vec<_> = writes.iter().filter(|write| write.from.is_none()).collect();
    if new.is_empty() {
        return Ok(());
    }
    let ends = Ends::of(&new);
    let done = sqlx::query_file!(
        "queries/attempt_insert.sql",
        &column(&new, |write| write.run.0),
        &column(&new, |write| write.attempt.0),
        &column(&new, |write| write.to.as_str().to_owned()),
        &column(&new, |write| write.task_no.0 as i32),
        &column(&new, |write| write.map_index.0),
        &column(&new, |write| write.try_number.0 as i32),
        &column(&new, |write| write.executor.as_str().to_owned()),
        &ends.node as &[Option<Uuid>],
        &ends.boot as &[Option<String>],
        &column(&new, |write| write.queued_turn.0),
        &ends.spec_hash as &[Option<Vec<u8>>],
        &column(&new, |write| write.queued_at),
        &ends.started_at as &[Option<Timestamp>],
        &ends.ended_at as &[Option<Timestamp>],
        &ends.pid as &[Option<i64>],
        &ends.outcome as &[Option<String>],
        &ends.exit_code as &[Option<i32>],
        &ends.signal as &[Option<i32>],
        &ends.message as &[Option<String>],
        &ends.cpu_user_ms as &[Option<i64>],
        &ends.cpu_system_ms as &[Option<i64>],
        &ends.rss_peak_bytes as &[Option<i64>],
    )
    .execute(conn)
    .await?;
    expect_rows("attempt", new.len(), done.rows_affected())
}

/// Changes those that were there, each only from the state it is expected in.
pub(crate) async fn update(conn: &mut PgConnection, writes: &[AttemptWrite]) -> Result<(), Error> {
    let changed: Vec<_> = writes.iter().filter(|write| write.from.is_some()).collect();
    let Some((lowest, highest)) = bounds(changed.iter().map(|write| write.run)) else {
        return Ok(());
    };
    let ends = Ends::of(&changed);
    let from: Vec<String> =
        changed.iter().filter_map(|write| write.from).map(|state| state.as_str().to_owned()).collect();
    let done = sqlx::query_file!(
        "queries/attempt_update.sql",
        &column(&changed, |write| write.run.0),
        &column(&changed, |write| write.attempt.0),
        &from,
        &column(&changed, |write| write.to.as_str().to_owned()),
        &ends.node as &[Option<Uuid>],
        &ends.boot as &[Option<String>],
        &ends.spec_hash as &[Option<Vec<u8>>],
        &ends.started_at as &[Option<Timestamp>],
        &ends.ended_at as &[Option<Timestamp>],
        &ends.pid as &[Option<i64>],
        &ends.outcome as &[Option<String>],
        &ends.exit_code as &[Option<i32>],
        &ends.signal as &[Option<i32>],
        &ends.message as &[Option<String>],
        &ends.cpu_user_ms as &[Option<i64>],
        &ends.cpu_system_ms as &[Option<i64>],
        &ends.rss_peak_bytes as &[Option<i64>],
        lowest,
        highest,
    )
    .execute(conn)
    .await?;
    expect_rows("attempt", changed.len(), done.rows_affected())
}

/// The columns that change over an attempt's life, one array each.
struct Ends {
    node: Vec<Option<Uuid>>,
    boot: Vec<Option<String>>,
    spec_hash: Vec<Option<Vec<u8>>>,
    started_at: Vec<Option<Timestamp>>,
    ended_at: Vec<Option<Timestamp>>,
    pid: Vec<Option<i64>>,
    outcome: Vec<Option<String>>,
    exit_code: Vec<Option<i32>>,
    signal: Vec<Option<i32>>,
    message: Vec<Option<String>>,
    cpu_user_ms: Vec<Option<i64>>,
    cpu_system_ms: Vec<Option<i64>>,
    rss_peak_bytes: Vec<Option<i64>>,
}

impl Ends {
    fn of(writes: &[&AttemptWrite]) -> Self {
        let big = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        Self {
            node: column(writes, |write| write.binding.as_ref().map(|binding| binding.node.0)),
            boot: column(writes, |write| cleaned(write.binding.as_ref().map(|binding| &*binding.boot))),
            spec_hash: column(writes, |write| write.spec_hash.map(|hash| hash.to_vec())),
            started_at: column(writes, |write| write.started_at),
            ended_at: column(writes, |write| write.ended_at),
            pid: column(writes, |write| write.pid.map(i64::from)),
            outcome: column(writes, |write| write.outcome.as_ref().map(|outcome| outcome.kind().to_owned())),
            exit_code: column(writes, |write| write.outcome.as_ref().and_then(exit_code)),
            signal: column(writes, |write| write.outcome.as_ref().and_then(signal)),
            message: column(writes, |write| write.outcome.as_ref().and_then(message)),
            cpu_user_ms: column(writes, |write| write.usage.map(|usage| big(usage.cpu_user_ms))),
            cpu_system_ms: column(writes, |write| write.usage.map(|usage| big(usage.cpu_system_ms))),
            rss_peak_bytes: column(writes, |write| write.usage.map(|usage| big(usage.rss_peak_bytes))),
        }
    }
}

fn exit_code(outcome: &AttemptOutcome) -> Option<i32> {
    match outcome {
        AttemptOutcome::Exited { code } => Some(*code),
        AttemptOutcome::Signaled { .. }
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
        AttemptOutcome::Exited { .. }
        | AttemptOutcome::TimedOut
        | AttemptOutcome::Canceled
        | AttemptOutcome::NeverStarted
        | AttemptOutcome::SpawnFailed { .. }
        | AttemptOutcome::OutputInvalid { .. }
        | AttemptOutcome::Lost { .. } => None,
    }
}

fn message(outcome: &AttemptOutcome) -> Option<String> {
    match outcome {
        AttemptOutcome::SpawnFailed { message } | AttemptOutcome::OutputInvalid { message } => {
            Some(clean(message).into_owned())
        }
        AttemptOutcome::Lost { reason } => Some(clean(reason).into_owned()),
        AttemptOutcome::Exited { .. }
        | AttemptOutcome::Signaled { .. }
        | AttemptOutcome::TimedOut
        | AttemptOutcome::Canceled
        | AttemptOutcome::NeverStarted => None,
    }
}

fn column<T>(writes: &[&AttemptWrite], value: impl Fn(&AttemptWrite) -> T) -> Vec<T> {
    writes.iter().map(|write| value(write)).collect()
}
