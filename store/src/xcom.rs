//! XComs: the outputs of tasks.

use std::borrow::Cow;

use gridflow_core::{MapIndex, RunKey, TaskInstanceKey, TaskNo, XcomWrite};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{Error, decode::Row, text::clean, turn_row::turn_row};

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

/// An output as a turn writes it; that of an earlier try is replaced.
#[derive(Debug, sqlx::Encode)]
pub(crate) struct TurnRow<'a> {
    dag_run_id: Uuid,
    task_no: i32,
    map_index: i32,
    name: Cow<'a, str>,
    /// JSON.
    value: String,
    bytes: i64,
}

turn_row!(TurnRow<'_>, "turn_v1_xcom");

impl<'a> From<&'a XcomWrite> for TurnRow<'a> {
    fn from(write: &'a XcomWrite) -> Self {
        Self {
            dag_run_id: write.key.run.0,
            task_no: write.key.task_no.0 as i32,
            map_index: write.key.map_index.0,
            name: clean(&write.name),
            value: write.output.value.to_string(),
            bytes: i64::try_from(write.output.bytes).unwrap_or(i64::MAX),
        }
    }
}
