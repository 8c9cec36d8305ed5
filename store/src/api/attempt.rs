//! Attempts: the tries of a task instance, and where their logs are.

use std::collections::BTreeMap;

use gridflow_core::{AttemptId, AttemptState, MapIndex, RunKey, TaskNo, Timestamp};
use sqlx::{FromRow, PgConnection, Row, postgres::PgRow, types::Json};

use super::read;
use crate::Error;

/// One try of a task instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptRow {
    pub attempt: AttemptId,
    pub try_number: i32,
    pub state: AttemptState,
    pub executor: String,
    pub hostname: Option<String>,
    pub pid: Option<i64>,
    pub queued_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    /// How it ended: the kind of an [`gridflow_core::AttemptOutcome`].
    pub outcome: Option<String>,
    pub exit_code: Option<i32>,
    pub signal: Option<i32>,
    pub message: Option<String>,
    /// Pages of other systems that show it, while it is open.
    pub links: BTreeMap<String, String>,
}

impl FromRow<'_, PgRow> for AttemptRow {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            attempt: AttemptId(row.try_get("attempt_id")?),
            try_number: row.try_get("try_number")?,
            state: read::named(row, "state", AttemptState::parse)?,
            executor: row.try_get("executor")?,
            hostname: row.try_get("hostname")?,
            pid: row.try_get("pid")?,
            queued_at: row.try_get("queued_at")?,
            started_at: row.try_get("started_at")?,
            ended_at: row.try_get("ended_at")?,
            outcome: row.try_get("outcome")?,
            exit_code: row.try_get("exit_code")?,
            signal: row.try_get("signal")?,
            message: row.try_get("message")?,
            links: row.try_get::<Option<Json<_>>, _>("links")?.map(|links| links.0).unwrap_or_default(),
        })
    }
}

const SELECT: &str = "SELECT a.attempt_id, a.try_number, a.state, a.executor, n.hostname, a.pid, a.queued_at, \
    a.started_at, a.ended_at, a.outcome, a.exit_code, a.signal, a.message, \
    CASE WHEN a.is_open THEN a.links END AS links \
    FROM attempt a LEFT JOIN node n ON n.id = a.node_id \
    WHERE a.dag_run_id = $1 AND a.task_no = $2 AND a.map_index = $3";

/// Tries of one task instance that an answer lists at most; the newest are kept.
const TRIES_MAX: i64 = 1_000;

/// The tries of a task instance, oldest first.
pub async fn of_task_instance(
    conn: &mut PgConnection,
    run: RunKey,
    task_no: TaskNo,
    map_index: MapIndex,
) -> Result<Vec<AttemptRow>, Error> {
    let statement = format!("{SELECT} ORDER BY a.try_number DESC, a.attempt_id DESC LIMIT {TRIES_MAX}");
    let mut rows: Vec<AttemptRow> = sqlx::query_as(sqlx::AssertSqlSafe(statement))
        .bind(run.0)
        .bind(i64::from(task_no.0))
        .bind(map_index.0)
        .fetch_all(conn)
        .await?;
    rows.reverse();
    Ok(rows)
}

/// The attempt of this try: the last one, where attempts that were lost share its number.
pub async fn of_try(
    conn: &mut PgConnection,
    run: RunKey,
    task_no: TaskNo,
    map_index: MapIndex,
    try_number: i32,
) -> Result<Option<AttemptRow>, Error> {
    let statement = format!("{SELECT} AND a.try_number = $4 ORDER BY a.attempt_id DESC LIMIT 1");
    let query = sqlx::query_as(sqlx::AssertSqlSafe(statement))
        .bind(run.0)
        .bind(i64::from(task_no.0))
        .bind(map_index.0)
        .bind(try_number);
    Ok(query.fetch_optional(conn).await?)
}

/// Attempts under way, on all nodes. One that is still queued may have started without anybody having been told.
pub async fn open_count(conn: &mut PgConnection) -> Result<i64, Error> {
    let count =
        sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM attempt WHERE is_open"#).fetch_one(conn).await?;
    Ok(count)
}
