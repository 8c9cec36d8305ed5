//! DAGs, as lists and pages show them.

use gridflow_core::{RunState, Timestamp};
use sqlx::{FromRow, PgConnection, Row, postgres::PgRow, types::Json};

use super::{
    dag_details::DagDetails,
    dag_version::{self, VersionRow},
    list::{self, Filter, Order, Page, Pattern, Range, Source},
};
use crate::Error;

/// A DAG with its current version.
#[derive(Debug, Clone, PartialEq)]
pub struct DagRow {
    pub dag_id: String,
    pub file: String,
    pub is_paused: bool,
    pub next_run_after: Option<Timestamp>,
    pub owner: Option<String>,
    pub tags: Vec<String>,
    pub description: Option<String>,
    /// What the loader says of it for lists.
    pub details: DagDetails,
    /// When its current version was loaded.
    pub published_at: Timestamp,
    /// When it left its bundle.
    pub removed_at: Option<Timestamp>,
    pub has_import_error: bool,
    pub version: VersionRow,
}

/// Which DAGs a list shows.
#[derive(Debug, Clone, Default)]
pub struct DagFilter {
    pub is_paused: Option<bool>,
    /// DAGs that have left their bundle are not shown.
    pub only_present: bool,
    pub dag_id: Vec<Pattern>,
    /// Any of these tags.
    pub tags_any: Vec<String>,
    /// Each of these tags.
    pub tags_all: Vec<String>,
    pub owners: Vec<String>,
    pub has_import_error: Option<bool>,
    pub bundle: Option<String>,
    pub bundle_version: Option<String>,
    /// The state of its latest run.
    pub last_run_state: Option<RunState>,
    /// It has a run with one of these states.
    pub run_states: Vec<String>,
    /// It has a run within these bounds; columns of `dag_run r`.
    pub run_ranges: Vec<Range>,
}

const HAS_IMPORT_ERROR: &str =
    "EXISTS (SELECT FROM import_error e WHERE e.bundle_id = d.bundle_id AND e.file = d.file)";
const FROM: &str = "FROM dag d JOIN dag_version v ON v.id = d.current_version_id JOIN bundle b ON b.id = d.bundle_id";

impl FromRow<'_, PgRow> for DagRow {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let Json(details) = row.try_get("details")?;
        let details = DagDetails::parse(details)
            .map_err(|error| sqlx::Error::ColumnDecode { index: "details".to_owned(), source: Box::new(error) })?;
        Ok(Self {
            dag_id: row.try_get("dag_id")?,
            file: row.try_get("file")?,
            is_paused: row.try_get("is_paused")?,
            next_run_after: row.try_get("next_run_after")?,
            owner: row.try_get("owner")?,
            tags: row.try_get("tags")?,
            description: row.try_get("description")?,
            details,
            published_at: row.try_get("published_at")?,
            removed_at: row.try_get("removed_at")?,
            has_import_error: row.try_get("has_import_error")?,
            version: VersionRow::from_row(row)?,
        })
    }
}

fn columns() -> String {
    format!(
        "d.dag_id, d.file, d.is_paused, d.next_run_after, d.owner, d.tags, d.description, d.details, \
         d.published_at, d.removed_at, {HAS_IMPORT_ERROR} AS has_import_error, {}",
        dag_version::COLUMNS
    )
}

/// A page of DAGs, and how many there are. Order columns: of `dag d` and [`LAST_RUN_STATE`], [`LAST_RUN_START`].
pub async fn list(
    conn: &mut PgConnection,
    filter: &DagFilter,
    order: &[Order],
    page: Page,
) -> Result<(Vec<DagRow>, i64), Error> {
    let source = Source { columns: &columns(), from: FROM, tie_breaker: &["d.dag_id"] };
    list::page(conn, source, |it| apply(filter, it), order, page).await
}

/// The state of the latest run, to sort by.
pub const LAST_RUN_STATE: &str =
    "(SELECT r.state FROM dag_run r WHERE r.dag_id = d.dag_id ORDER BY r.run_after DESC, r.id DESC LIMIT 1)";
/// The start of the latest run, to sort by.
pub const LAST_RUN_START: &str =
    "(SELECT r.started_at FROM dag_run r WHERE r.dag_id = d.dag_id ORDER BY r.run_after DESC, r.id DESC LIMIT 1)";

fn apply(filter: &DagFilter, mut it: Filter<'_>) {
    it.statement.push(" AND d.workspace_id = 1");
    if filter.only_present {
        it.statement.push(" AND d.removed_at IS NULL");
    }
    it.is("d.is_paused", filter.is_paused);
    it.is(HAS_IMPORT_ERROR, filter.has_import_error);
    it.like("d.dag_id", &filter.dag_id);
    it.any_of("d.owner", &filter.owners);
    it.equals("b.name", filter.bundle.as_deref());
    it.equals("v.bundle_version", filter.bundle_version.as_deref());
    it.equals(LAST_RUN_STATE, filter.last_run_state.map(RunState::as_str));
    if !filter.tags_any.is_empty() {
        it.statement.push(" AND d.tags && ").push_bind(filter.tags_any.clone());
    }
    if !filter.tags_all.is_empty() {
        it.statement.push(" AND d.tags @> ").push_bind(filter.tags_all.clone());
    }
    if !(filter.run_states.is_empty() && filter.run_ranges.is_empty()) {
        it.statement.push(" AND EXISTS (SELECT FROM dag_run r WHERE r.dag_id = d.dag_id");
        it.any_of("r.state", &filter.run_states);
        it.instants(&filter.run_ranges);
        it.statement.push(")");
    }
}

/// One DAG, present or not.
pub async fn by_id(conn: &mut PgConnection, dag_id: &str) -> Result<Option<DagRow>, Error> {
    let statement = format!("SELECT {} {FROM} WHERE d.dag_id = $1 AND d.workspace_id = 1", columns());
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(statement)).bind(dag_id).fetch_optional(conn).await?)
}

/// The little that a trigger needs to know of a DAG.
#[derive(Debug, Clone, PartialEq)]
pub struct TriggerRow {
    pub version: VersionRow,
    /// What the version compiles from now; a version without runs may change in place.
    pub hash: Vec<u8>,
    pub is_removed: bool,
    pub has_import_error: bool,
}

/// What a trigger needs to know of a DAG, by one look-up of its key.
pub async fn for_trigger(conn: &mut PgConnection, dag_id: &str) -> Result<Option<TriggerRow>, Error> {
    let statement = format!(
        "SELECT v.hash, d.removed_at IS NOT NULL AS is_removed, {HAS_IMPORT_ERROR} AS has_import_error, {} \
         {FROM} WHERE d.dag_id = $1 AND d.workspace_id = 1",
        dag_version::COLUMNS
    );
    let row = sqlx::query(sqlx::AssertSqlSafe(statement)).bind(dag_id).fetch_optional(conn).await?;
    let decode = |row: PgRow| {
        Ok::<_, sqlx::Error>(TriggerRow {
            version: VersionRow::from_row(&row)?,
            hash: row.try_get("hash")?,
            is_removed: row.try_get("is_removed")?,
            has_import_error: row.try_get("has_import_error")?,
        })
    };
    Ok(row.map(decode).transpose()?)
}

/// How many runs of a DAG are queued or running.
pub async fn active_run_count(conn: &mut PgConnection, dag_id: &str) -> Result<i64, Error> {
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM dag_run
        WHERE dag_id = $1 AND workspace_id = 1 AND state IN ('queued', 'running')"#,
        dag_id,
    );
    Ok(count.fetch_one(conn).await?)
}

/// How many runs of a DAG are running.
pub async fn running_run_count(conn: &mut PgConnection, dag_id: &str) -> Result<i64, Error> {
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM dag_run
        WHERE dag_id = $1 AND workspace_id = 1 AND state = 'running'"#,
        dag_id,
    );
    Ok(count.fetch_one(conn).await?)
}
