//! DAG runs, as lists and pages show them.

use gridflow_core::{DagVersionId, RunKey, RunState, RunType, Timestamp, TriggeredBy};
use sqlx::{FromRow, PgConnection, Row, postgres::PgRow, types::Json};
use uuid::Uuid;

use super::{
    dag_version::{self, VersionRow},
    list::{self, Filter, Order, Page, Pattern, Range, Source},
    read,
};
use crate::{Error, decode, text};

/// A run with the version it is pinned to.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRow {
    pub key: RunKey,
    pub dag_id: String,
    pub run_id: String,
    pub run_type: RunType,
    pub state: RunState,
    pub logical_date: Option<Timestamp>,
    pub data_interval_start: Option<Timestamp>,
    pub data_interval_end: Option<Timestamp>,
    pub run_after: Timestamp,
    pub queued_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub triggered_by: TriggeredBy,
    pub actor: Option<String>,
    pub conf: serde_json::Value,
    pub note: Option<String>,
    /// Why it failed, if not by a task.
    pub reason: Option<String>,
    pub version_id: DagVersionId,
    /// None: the version is gone.
    pub version: Option<VersionRow>,
}

/// Which runs a list shows.
#[derive(Debug, Clone, Default)]
pub struct RunFilter {
    /// None: of all DAGs.
    pub dag_id: Option<String>,
    pub dag_id_like: Vec<Pattern>,
    pub run_id_like: Vec<Pattern>,
    pub actor_like: Vec<Pattern>,
    pub states: Vec<String>,
    pub run_types: Vec<String>,
    pub version_numbers: Vec<i32>,
    pub bundle_version: Option<String>,
    pub conf_contains: Option<String>,
    /// Bounds of columns of `dag_run r`.
    pub instants: Vec<Range>,
    /// Bounds of [`DURATION`].
    pub durations: Vec<Range<f64>>,
}

/// Seconds from a run's start to its end, or until now while it runs.
pub const DURATION: &str = "extract(epoch FROM coalesce(r.ended_at, now()) - r.started_at)::float8";

const FROM: &str = "FROM dag_run r \
    LEFT JOIN dag_version v ON v.id = r.dag_version_id \
    LEFT JOIN dag d ON d.dag_id = r.dag_id AND d.workspace_id = r.workspace_id \
    LEFT JOIN bundle b ON b.id = d.bundle_id";

impl FromRow<'_, PgRow> for RunRow {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let Json(conf) = row.try_get("conf")?;
        let version: Option<Uuid> = row.try_get("version_id")?;
        Ok(Self {
            key: RunKey(row.try_get("id")?),
            dag_id: row.try_get("dag_id")?,
            run_id: row.try_get("run_id")?,
            run_type: read::run_type(row, "run_type")?,
            state: read::run_state(row, "state")?,
            logical_date: row.try_get("logical_date")?,
            data_interval_start: row.try_get("data_interval_start")?,
            data_interval_end: row.try_get("data_interval_end")?,
            run_after: row.try_get("run_after")?,
            queued_at: row.try_get("queued_at")?,
            started_at: row.try_get("started_at")?,
            ended_at: row.try_get("ended_at")?,
            triggered_by: read::triggered_by(row, "triggered_by")?,
            actor: row.try_get("actor")?,
            conf,
            note: row.try_get("note")?,
            reason: row.try_get("reason")?,
            version_id: DagVersionId(row.try_get("dag_version_id")?),
            version: version.map(|_| VersionRow::from_row(row)).transpose()?,
        })
    }
}

fn columns() -> String {
    format!(
        "r.id, r.dag_id, r.run_id, r.run_type, r.state, r.logical_date, r.data_interval_start, r.data_interval_end, \
         r.run_after, r.queued_at, r.started_at, r.ended_at, r.triggered_by, r.actor, r.conf, r.note, r.reason, \
         r.dag_version_id, {}",
        dag_version::COLUMNS
    )
}

/// A page of runs, and how many there are. Order columns: of `dag_run r`, and [`DURATION`].
pub async fn list(
    conn: &mut PgConnection,
    filter: &RunFilter,
    order: &[Order],
    page: Page,
) -> Result<(Vec<RunRow>, i64), Error> {
    let source = Source { columns: &columns(), from: FROM, tie_breaker: &["r.id"] };
    list::page(conn, source, |it| apply(filter, it), order, page).await
}

fn apply(filter: &RunFilter, mut it: Filter<'_>) {
    it.statement.push(" AND r.workspace_id = 1");
    it.equals("r.dag_id", filter.dag_id.as_deref());
    it.like("r.dag_id", &filter.dag_id_like);
    it.like("r.run_id", &filter.run_id_like);
    it.like("r.actor", &filter.actor_like);
    it.any_of("r.state", &filter.states);
    it.any_of("r.run_type", &filter.run_types);
    it.any_number("v.number", &filter.version_numbers);
    it.equals("v.bundle_version", filter.bundle_version.as_deref());
    if let Some(text) = &filter.conf_contains {
        it.like("r.conf::text", &[Pattern::Contains(vec![text.clone()])]);
    }
    it.instants(&filter.instants);
    it.numbers(&filter.durations);
}

/// The run of this DAG and name.
pub async fn by_id(conn: &mut PgConnection, dag_id: &str, run_id: &str) -> Result<Option<RunRow>, Error> {
    let statement = format!("SELECT {} {FROM} WHERE r.dag_id = $1 AND r.run_id = $2 AND r.workspace_id = 1", columns());
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(statement)).bind(dag_id).bind(run_id).fetch_optional(conn).await?)
}

/// The states of these runs; those that are gone are left out.
pub async fn states(conn: &mut PgConnection, keys: &[RunKey]) -> Result<Vec<(RunKey, RunState)>, Error> {
    let keys: Vec<Uuid> = keys.iter().map(|key| key.0).collect();
    let rows = sqlx::query!("SELECT id, state FROM dag_run WHERE id = ANY($1)", &keys).fetch_all(conn).await?;
    let states = rows.into_iter().map(|row| {
        let at = decode::Row { table: "dag_run", key: &row.id };
        Ok((RunKey(row.id), at.run_state(&row.state)?))
    });
    states.collect()
}

/// Sets or removes the note of a run; false where there is no such run.
///
/// The one column of a run that is not the leader's: it decides nothing.
pub async fn set_note(conn: &mut PgConnection, key: RunKey, note: Option<&str>) -> Result<bool, Error> {
    let note = text::cleaned(note);
    let done = sqlx::query!("UPDATE dag_run SET note = $2 WHERE id = $1", key.0, note).execute(conn).await?;
    Ok(done.rows_affected() == 1)
}
