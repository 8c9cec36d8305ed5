//! XComs: the outputs of tasks.

use gridflow_core::{MapIndex, RunKey, TaskInstanceKey, TaskNo, Timestamp, XcomWrite};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{Error, decode::Row, error::expect_rows, text::clean};

/// The name of what a task returns.
pub const RETURN_VALUE: &str = "return_value";

/// An output as its downstreams read it.
#[derive(Debug, Clone, PartialEq)]
pub struct Xcom {
    pub key: TaskInstanceKey,
    pub name: String,
    /// None: too large for the database; see `uri`.
    pub value: Option<serde_json::Value>,
    pub uri: Option<String>,
}

/// The outputs of some runs.
pub async fn of_runs(conn: &mut PgConnection, runs: &[RunKey]) -> Result<Vec<Xcom>, Error> {
    let keys: Vec<Uuid> = runs.iter().map(|run| run.0).collect();
    let rows = sqlx::query!(
        "SELECT dag_run_id, task_no, map_index, name, value, uri FROM xcom WHERE dag_run_id = ANY($1)",
        &keys
    )
    .fetch_all(conn)
    .await?;
    let mut xcoms = Vec::with_capacity(rows.len());
    for row in rows {
        let at = Row { table: "xcom", key: &row.dag_run_id };
        let key = TaskInstanceKey {
            run: RunKey(row.dag_run_id),
            task_no: TaskNo(at.number("task_no", row.task_no)?),
            map_index: MapIndex(row.map_index),
        };
        xcoms.push(Xcom { key, name: row.name, value: row.value, uri: row.uri });
    }
    Ok(xcoms)
}

/// Writes outputs; those of an earlier try are replaced.
pub(crate) async fn write(conn: &mut PgConnection, writes: &[XcomWrite], at: Timestamp) -> Result<(), Error> {
    if writes.is_empty() {
        return Ok(());
    }
    let done = sqlx::query!(
        "INSERT INTO xcom (dag_run_id, task_no, map_index, name, value, bytes, created_at)
         SELECT run, task_no, map_index, name, value::json, bytes, $7
         FROM unnest($1::uuid[], $2::int[], $3::int[], $4::text[], $5::text[], $6::bigint[])
             AS t (run, task_no, map_index, name, value, bytes)
         ON CONFLICT (dag_run_id, task_no, map_index, name)
         DO UPDATE SET value = excluded.value, uri = NULL, bytes = excluded.bytes, created_at = excluded.created_at",
        &column(writes, |write| write.key.run.0),
        &column(writes, |write| write.key.task_no.0 as i32),
        &column(writes, |write| write.key.map_index.0),
        &column(writes, |write| clean(&write.name).into_owned()),
        &column(writes, |write| write.output.value.to_string()),
        &column(writes, |write| i64::try_from(write.output.bytes).unwrap_or(i64::MAX)),
        at,
    )
    .execute(conn)
    .await?;
    expect_rows("xcom", writes.len(), done.rows_affected())
}

fn column<T>(writes: &[XcomWrite], value: impl Fn(&XcomWrite) -> T) -> Vec<T> {
    writes.iter().map(value).collect()
}
