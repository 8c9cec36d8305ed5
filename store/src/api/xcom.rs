//! XComs: what tasks left for others.

use gridflow_core::{MapIndex, RunKey, Timestamp};
use sqlx::{FromRow, PgConnection, Row, postgres::PgRow, types::Json};

use super::list::{self, Filter, Order, Page, Pattern, Range, Source};
use crate::Error;

/// An entry without its value.
#[derive(Debug, Clone, PartialEq)]
pub struct XcomRow {
    pub name: String,
    pub created_at: Timestamp,
    pub map_index: MapIndex,
    pub task_id: String,
    pub dag_id: String,
    pub run_id: String,
    pub logical_date: Option<Timestamp>,
    pub run_after: Timestamp,
}

/// Where a value is.
#[derive(Debug, Clone, PartialEq)]
pub enum XcomValue {
    Inline(serde_json::Value),
    /// Too large for the database.
    Elsewhere {
        uri: String,
        bytes: i64,
    },
}

impl FromRow<'_, PgRow> for XcomRow {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            name: row.try_get("name")?,
            created_at: row.try_get("created_at")?,
            map_index: MapIndex(row.try_get("map_index")?),
            task_id: row.try_get("task_id")?,
            dag_id: row.try_get("dag_id")?,
            run_id: row.try_get("run_id")?,
            logical_date: row.try_get("logical_date")?,
            run_after: row.try_get("run_after")?,
        })
    }
}

const COLUMNS: &str = "x.name, x.created_at, x.map_index, t.task_id, r.dag_id, r.run_id, r.logical_date, r.run_after";
const FROM: &str = "FROM dag_run r JOIN xcom x ON x.dag_run_id = r.id \
    JOIN dag_version_task t ON t.dag_version_id = r.dag_version_id AND t.task_no = x.task_no";

/// Which entries a list shows.
#[derive(Debug, Clone, Default)]
pub struct XcomFilter {
    /// None: of all DAGs, runs, tasks.
    pub dag_id: Option<String>,
    pub run: Option<RunKey>,
    pub task_id: Option<String>,
    pub name: Option<String>,
    pub map_index: Option<i32>,
    pub name_like: Vec<Pattern>,
    pub run_id_like: Vec<Pattern>,
    pub task_id_like: Vec<Pattern>,
    /// Bounds of columns of `dag_run r`.
    pub instants: Vec<Range>,
}

/// A page of entries, and how many there are.
pub async fn list(
    conn: &mut PgConnection,
    filter: &XcomFilter,
    order: &[Order],
    page: Page,
) -> Result<(Vec<XcomRow>, i64), Error> {
    let source = Source { columns: COLUMNS, from: FROM, tie_breaker: &["r.id", "x.task_no", "x.map_index", "x.name"] };
    list::page(conn, source, |it| apply(filter, it), order, page).await
}

fn apply(filter: &XcomFilter, mut it: Filter<'_>) {
    it.statement.push(" AND r.workspace_id = 1");
    if let Some(run) = filter.run {
        it.statement.push(" AND x.dag_run_id = ").push_bind(run.0);
    }
    if let Some(map_index) = filter.map_index {
        it.statement.push(" AND x.map_index = ").push_bind(map_index);
    }
    it.equals("r.dag_id", filter.dag_id.as_deref());
    it.equals("t.task_id", filter.task_id.as_deref());
    it.equals("x.name", filter.name.as_deref());
    it.like("x.name", &filter.name_like);
    it.like("r.run_id", &filter.run_id_like);
    it.like("t.task_id", &filter.task_id_like);
    it.instants(&filter.instants);
}

/// One entry with its value.
pub async fn by_name(
    conn: &mut PgConnection,
    dag_id: &str,
    run_id: &str,
    task_id: &str,
    map_index: MapIndex,
    name: &str,
) -> Result<Option<(XcomRow, XcomValue)>, Error> {
    let statement = format!(
        "SELECT {COLUMNS}, x.value, x.uri, x.bytes {FROM} WHERE r.dag_id = $1 AND r.run_id = $2 \
         AND r.workspace_id = 1 AND t.task_id = $3 AND x.map_index = $4 AND x.name = $5"
    );
    let query = sqlx::query(sqlx::AssertSqlSafe(statement));
    let row = query.bind(dag_id).bind(run_id).bind(task_id).bind(map_index.0).bind(name).fetch_optional(conn).await?;
    Ok(row.map(|row| Ok::<_, sqlx::Error>((XcomRow::from_row(&row)?, value(&row)?))).transpose()?)
}

fn value(row: &PgRow) -> sqlx::Result<XcomValue> {
    let inline: Option<Json<serde_json::Value>> = row.try_get("value")?;
    match inline {
        Some(Json(value)) => Ok(XcomValue::Inline(value)),
        None => Ok(XcomValue::Elsewhere { uri: row.try_get("uri")?, bytes: row.try_get("bytes")? }),
    }
}

/// Values of these tasks that one answer holds at most.
const RESULTS_MAX: i64 = 1_000;

/// The entries of one name that these tasks of a run left: `(task id, map index, value)`, in that order.
pub async fn of_tasks(
    conn: &mut PgConnection,
    run: RunKey,
    tasks: &[String],
    name: &str,
) -> Result<Vec<(String, MapIndex, XcomValue)>, Error> {
    let rows = sqlx::query!(
        "SELECT t.task_id, x.map_index, x.value, x.uri, x.bytes
         FROM dag_run r
         JOIN dag_version_task t ON t.dag_version_id = r.dag_version_id AND t.task_id = ANY($2)
         JOIN xcom x ON x.dag_run_id = r.id AND x.task_no = t.task_no AND x.name = $3
         WHERE r.id = $1
         ORDER BY t.task_id, x.map_index
         LIMIT $4",
        run.0,
        tasks,
        name,
        RESULTS_MAX,
    )
    .fetch_all(conn)
    .await?;
    let entries = rows.into_iter().map(|row| {
        let value = match row.value {
            Some(value) => XcomValue::Inline(value),
            None => XcomValue::Elsewhere { uri: row.uri.unwrap_or_default(), bytes: row.bytes },
        };
        (row.task_id, MapIndex(row.map_index), value)
    });
    Ok(entries.collect())
}
