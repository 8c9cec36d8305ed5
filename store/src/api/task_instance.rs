//! Task instances, as lists and pages show them.
//!
//! A run that has not started has no rows yet: every statement starts at the tasks of the run's version, so those
//! task instances appear with no state.

use gridflow_core::{AttemptId, MapIndex, RunKey, TaskNo, TaskState, Timestamp};
use sqlx::{FromRow, PgConnection, Row, postgres::PgRow};
use uuid::Uuid;

use super::{
    dag_version::{self, VersionRow},
    list::{self, Filter, Order, Page, Pattern, Range, Source},
    read,
};
use crate::{Error, decode};

/// A task instance with its task, its run and its present attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskInstanceRow {
    pub run: RunKey,
    pub dag_id: String,
    pub run_id: String,
    pub logical_date: Option<Timestamp>,
    pub run_after: Timestamp,
    pub task_no: TaskNo,
    pub task_id: String,
    pub map_index: MapIndex,
    pub operator: String,
    pub pool: String,
    pub pool_slots: i32,
    pub priority_weight: i32,
    pub queue: Option<String>,
    /// `NoStatus` also where there is no row yet.
    pub state: TaskState,
    pub try_number: i32,
    pub tries_max: i32,
    pub attempt: Option<AttemptId>,
    pub scheduled_at: Option<Timestamp>,
    pub queued_at: Option<Timestamp>,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub retry_at: Option<Timestamp>,
    pub waits_for_run: Option<RunKey>,
    pub reason: Option<String>,
    /// What its present attempt waits for, as its executor says.
    pub waits: Option<String>,
    pub note: Option<String>,
    pub rendered_map_index: Option<String>,
    pub executor: Option<String>,
    pub pid: Option<i64>,
    pub hostname: Option<String>,
    pub version: Option<VersionRow>,
}

/// Which task instances a list shows.
#[derive(Debug, Clone, Default)]
pub struct TaskInstanceFilter {
    /// None: of all runs.
    pub run: Option<RunKey>,
    /// None: of all DAGs.
    pub dag_id: Option<String>,
    pub task_id: Option<String>,
    pub task_id_like: Vec<Pattern>,
    /// A group, with all that lies in it.
    pub group: Option<String>,
    pub dag_id_like: Vec<Pattern>,
    pub run_id_like: Vec<Pattern>,
    /// With `none` for no state.
    pub states: Vec<String>,
    pub pools: Vec<String>,
    pub pool_like: Vec<Pattern>,
    pub queues: Vec<String>,
    pub queue_like: Vec<Pattern>,
    pub executors: Vec<String>,
    pub operators: Vec<String>,
    pub operator_like: Vec<Pattern>,
    pub version_numbers: Vec<i32>,
    pub try_numbers: Vec<i32>,
    pub map_indexes: Vec<i32>,
    /// Bounds of columns of `dag_run r` and `task_instance ti`.
    pub instants: Vec<Range>,
    /// Bounds of [`DURATION`].
    pub durations: Vec<Range<f64>>,
}

/// Seconds from start to end, or until now.
pub const DURATION: &str = "extract(epoch FROM coalesce(ti.ended_at, now()) - ti.started_at)::float8";

const FROM: &str = "FROM dag_run r \
    JOIN dag_version_task t ON t.dag_version_id = r.dag_version_id \
    LEFT JOIN task_instance ti ON ti.dag_run_id = r.id AND ti.task_no = t.task_no \
    LEFT JOIN attempt a ON a.dag_run_id = r.id AND a.attempt_id = ti.attempt_id \
    LEFT JOIN node n ON n.id = a.node_id \
    LEFT JOIN dag_version v ON v.id = r.dag_version_id \
    LEFT JOIN dag d ON d.dag_id = r.dag_id AND d.workspace_id = r.workspace_id \
    LEFT JOIN bundle b ON b.id = d.bundle_id";

impl FromRow<'_, PgRow> for TaskInstanceRow {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let version: Option<Uuid> = row.try_get("version_id")?;
        let waits_for_run: Option<Uuid> = row.try_get("waits_for_run")?;
        let attempt: Option<Uuid> = row.try_get("attempt_id")?;
        Ok(Self {
            run: RunKey(row.try_get("id")?),
            dag_id: row.try_get("dag_id")?,
            run_id: row.try_get("run_id")?,
            logical_date: row.try_get("logical_date")?,
            run_after: row.try_get("run_after")?,
            task_no: TaskNo(read::number(row, "task_no")?),
            task_id: row.try_get("task_id")?,
            map_index: MapIndex(row.try_get("map_index")?),
            operator: row.try_get("operator")?,
            pool: row.try_get("pool")?,
            pool_slots: row.try_get("pool_slots")?,
            priority_weight: row.try_get("priority_weight")?,
            queue: row.try_get("queue")?,
            state: read::task_state(row, "state")?,
            try_number: row.try_get("try_number")?,
            tries_max: row.try_get("tries_max")?,
            attempt: attempt.map(AttemptId),
            scheduled_at: row.try_get("scheduled_at")?,
            queued_at: row.try_get("queued_at")?,
            started_at: row.try_get("started_at")?,
            ended_at: row.try_get("ended_at")?,
            retry_at: row.try_get("retry_at")?,
            waits_for_run: waits_for_run.map(RunKey),
            reason: row.try_get("reason")?,
            waits: row.try_get("waits")?,
            note: row.try_get("note")?,
            rendered_map_index: row.try_get("rendered_map_index")?,
            executor: row.try_get("executor")?,
            pid: row.try_get("pid")?,
            hostname: row.try_get("hostname")?,
            version: version.map(|_| VersionRow::from_row(row)).transpose()?,
        })
    }
}

/// What kept an attempt from starting counts for nothing once it has, and what is over waits for nothing.
const WAITS: &str = "CASE WHEN a.is_open AND a.waits_started = (a.started_at IS NOT NULL) THEN a.waits END";

fn columns() -> String {
    format!(
        "r.id, r.dag_id, r.run_id, r.logical_date, r.run_after, t.task_no, t.task_id, t.operator, t.pool, \
         t.pool_slots, t.priority_weight, t.queue, coalesce(ti.map_index, -1) AS map_index, \
         coalesce(ti.state, 'none') AS state, coalesce(ti.try_number, 0) AS try_number, \
         coalesce(ti.tries_max, 0) AS tries_max, ti.attempt_id, ti.scheduled_at, ti.queued_at, ti.started_at, \
         ti.ended_at, ti.retry_at, ti.waits_for_run, ti.reason, ti.note, ti.rendered_map_index, a.executor, a.pid, \
         n.hostname, {WAITS} AS waits, {}",
        dag_version::COLUMNS
    )
}

/// A page of task instances, and how many there are. Order columns: of the tables in the filter.
pub async fn list(
    conn: &mut PgConnection,
    filter: &TaskInstanceFilter,
    order: &[Order],
    page: Page,
) -> Result<(Vec<TaskInstanceRow>, i64), Error> {
    let source = Source { columns: &columns(), from: FROM, tie_breaker: &["r.id", "t.task_no", "ti.map_index"] };
    list::page(conn, source, |it| apply(filter, it), order, page).await
}

fn apply(filter: &TaskInstanceFilter, mut it: Filter<'_>) {
    it.statement.push(" AND r.workspace_id = 1");
    if let Some(run) = filter.run {
        it.statement.push(" AND r.id = ").push_bind(run.0);
    }
    it.equals("r.dag_id", filter.dag_id.as_deref());
    it.equals("t.task_id", filter.task_id.as_deref());
    it.like("t.task_id", &filter.task_id_like);
    it.like("r.dag_id", &filter.dag_id_like);
    it.like("r.run_id", &filter.run_id_like);
    it.any_of("coalesce(ti.state, 'none')", &filter.states);
    it.any_of("t.pool", &filter.pools);
    it.like("t.pool", &filter.pool_like);
    it.any_of("coalesce(t.queue, 'default')", &filter.queues);
    it.like("coalesce(t.queue, 'default')", &filter.queue_like);
    it.any_of("a.executor", &filter.executors);
    it.any_of("t.operator", &filter.operators);
    it.like("t.operator", &filter.operator_like);
    it.any_number("v.number", &filter.version_numbers);
    it.any_number("coalesce(ti.try_number, 0)", &filter.try_numbers);
    it.any_number("coalesce(ti.map_index, -1)", &filter.map_indexes);
    it.instants(&filter.instants);
    it.numbers(&filter.durations);
    if let Some(group) = &filter.group {
        it.statement.push(" AND (t.group_path = ").push_bind(group.clone());
        it.statement.push(" OR starts_with(t.group_path, ").push_bind(format!("{group}.")).push("))");
    }
}

/// The task instances of one task in a run: one, or one per map index.
pub async fn of_task(
    conn: &mut PgConnection,
    dag_id: &str,
    run_id: &str,
    task_id: &str,
) -> Result<Vec<TaskInstanceRow>, Error> {
    let statement = format!(
        "SELECT {} {FROM} WHERE r.dag_id = $1 AND r.run_id = $2 AND r.workspace_id = 1 AND t.task_id = $3 \
         ORDER BY ti.map_index LIMIT {OF_TASK_MAX}",
        columns()
    );
    let query = sqlx::query_as(sqlx::AssertSqlSafe(statement)).bind(dag_id).bind(run_id).bind(task_id);
    Ok(query.fetch_all(conn).await?)
}

/// Enough to tell one task instance from several.
const OF_TASK_MAX: usize = 2;

/// One task instance.
pub async fn by_id(
    conn: &mut PgConnection,
    dag_id: &str,
    run_id: &str,
    task_id: &str,
    map_index: MapIndex,
) -> Result<Option<TaskInstanceRow>, Error> {
    let statement = format!(
        "SELECT {} {FROM} WHERE r.dag_id = $1 AND r.run_id = $2 AND r.workspace_id = 1 AND t.task_id = $3 \
         AND coalesce(ti.map_index, -1) = $4",
        columns()
    );
    let query =
        sqlx::query_as(sqlx::AssertSqlSafe(statement)).bind(dag_id).bind(run_id).bind(task_id).bind(map_index.0);
    Ok(query.fetch_optional(conn).await?)
}

/// The states of the task instances of these tasks in a run, in the order of task and map index.
pub async fn states(conn: &mut PgConnection, run: RunKey, tasks: &[TaskNo]) -> Result<Vec<(TaskNo, TaskState)>, Error> {
    let tasks: Vec<i32> = tasks.iter().filter_map(|no| i32::try_from(no.0).ok()).collect();
    let rows = sqlx::query!(
        "SELECT task_no, state FROM task_instance WHERE dag_run_id = $1 AND task_no = ANY($2)
         ORDER BY task_no, map_index",
        run.0,
        &tasks,
    )
    .fetch_all(conn)
    .await?;
    let at = decode::Row { table: "task_instance", key: &run };
    let states =
        rows.into_iter().map(|row| Ok((TaskNo(at.number("task_no", row.task_no)?), at.task_state(&row.state)?)));
    states.collect()
}

/// How many task instances of a run hold a slot: an attempt of theirs is not closed.
pub async fn active_count(conn: &mut PgConnection, run: RunKey) -> Result<i64, Error> {
    let count =
        sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM attempt WHERE dag_run_id = $1 AND is_open"#, run.0);
    Ok(count.fetch_one(conn).await?)
}
