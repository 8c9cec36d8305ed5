//! Task instances: written only by the leader's turns.

use gridflow_core::{RunKey, TaskInstanceWrite, Timestamp};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{Error, error::expect_rows, text::cleaned};

/// Inserts those that the turn made.
pub(crate) async fn insert(conn: &mut PgConnection, writes: &[TaskInstanceWrite]) -> Result<(), Error> {
    let new: Vec<_> = writes.iter().filter(|write| write.from.is_none()).collect();
    if new.is_empty() {
        return Ok(());
    }
    let columns = Columns::of(&new);
    let done = sqlx::query_file!(
        "queries/task_instance_insert.sql",
        &columns.run,
        &columns.task_no,
        &columns.map_index,
        &columns.to,
        &columns.try_number,
        &columns.tries_max,
        &columns.losses,
        &columns.attempt as &[Option<Uuid>],
        &columns.scheduled_at as &[Option<Timestamp>],
        &columns.queued_at as &[Option<Timestamp>],
        &columns.started_at as &[Option<Timestamp>],
        &columns.ended_at as &[Option<Timestamp>],
        &columns.retry_at as &[Option<Timestamp>],
        &columns.waits_for_run as &[Option<Uuid>],
        &columns.reason as &[Option<String>],
    )
    .execute(conn)
    .await?;
    expect_rows("task_instance", new.len(), done.rows_affected())
}

/// Changes those that were there, each only from the state it is expected in.
pub(crate) async fn update(conn: &mut PgConnection, writes: &[TaskInstanceWrite]) -> Result<(), Error> {
    let changed: Vec<_> = writes.iter().filter(|write| write.from.is_some()).collect();
    let Some((lowest, highest)) = bounds(changed.iter().map(|write| write.key.run)) else {
        return Ok(());
    };
    let columns = Columns::of(&changed);
    let from: Vec<String> =
        changed.iter().filter_map(|write| write.from).map(|state| state.as_str().to_owned()).collect();
    let done = sqlx::query_file!(
        "queries/task_instance_update.sql",
        &columns.run,
        &columns.task_no,
        &columns.map_index,
        &columns.to,
        &columns.try_number,
        &columns.tries_max,
        &columns.losses,
        &columns.attempt as &[Option<Uuid>],
        &columns.scheduled_at as &[Option<Timestamp>],
        &columns.queued_at as &[Option<Timestamp>],
        &columns.started_at as &[Option<Timestamp>],
        &columns.ended_at as &[Option<Timestamp>],
        &columns.retry_at as &[Option<Timestamp>],
        &columns.waits_for_run as &[Option<Uuid>],
        &columns.reason as &[Option<String>],
        &from,
        lowest,
        highest,
    )
    .execute(conn)
    .await?;
    expect_rows("task_instance", changed.len(), done.rows_affected())
}

/// The lowest and highest run of a set: what prunes partitions.
pub(crate) fn bounds(runs: impl Iterator<Item = RunKey> + Clone) -> Option<(Uuid, Uuid)> {
    Some((runs.clone().min()?.0, runs.max()?.0))
}

/// One array a column, as UNNEST wants them.
struct Columns {
    run: Vec<Uuid>,
    task_no: Vec<i32>,
    map_index: Vec<i32>,
    to: Vec<String>,
    try_number: Vec<i32>,
    tries_max: Vec<i32>,
    losses: Vec<i32>,
    attempt: Vec<Option<Uuid>>,
    scheduled_at: Vec<Option<Timestamp>>,
    queued_at: Vec<Option<Timestamp>>,
    started_at: Vec<Option<Timestamp>>,
    ended_at: Vec<Option<Timestamp>>,
    retry_at: Vec<Option<Timestamp>>,
    waits_for_run: Vec<Option<Uuid>>,
    reason: Vec<Option<String>>,
}

impl Columns {
    fn of(writes: &[&TaskInstanceWrite]) -> Self {
        Self {
            run: column(writes, |write| write.key.run.0),
            task_no: column(writes, |write| write.key.task_no.0 as i32),
            map_index: column(writes, |write| write.key.map_index.0),
            to: column(writes, |write| write.to.as_str().to_owned()),
            try_number: column(writes, |write| write.try_number.0 as i32),
            tries_max: column(writes, |write| i32::try_from(write.tries_max).unwrap_or(i32::MAX)),
            losses: column(writes, |write| i32::try_from(write.losses).unwrap_or(i32::MAX)),
            attempt: column(writes, |write| write.attempt.map(|attempt| attempt.0)),
            scheduled_at: column(writes, |write| write.scheduled_at),
            queued_at: column(writes, |write| write.queued_at),
            started_at: column(writes, |write| write.started_at),
            ended_at: column(writes, |write| write.ended_at),
            retry_at: column(writes, |write| write.retry_at),
            waits_for_run: column(writes, |write| write.waits_for_run.map(|run| run.0)),
            reason: column(writes, |write| cleaned(write.reason.as_deref())),
        }
    }
}

fn column<T>(writes: &[&TaskInstanceWrite], value: impl Fn(&TaskInstanceWrite) -> T) -> Vec<T> {
    writes.iter().map(|write| value(write)).collect()
}
