//! `GET …/taskInstances`, `…/taskInstances/{task_id}` and `…/{task_id}/{map_index}`.

use axum::{extract::State, response::Response};
use gridflow_core::{MapIndex, TaskState, Timestamp};
use gridflow_store::api::task_instance::{self, DURATION, TaskInstanceFilter, TaskInstanceRow};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::{
    dag_run,
    dag_version::DagVersion,
    error::{Error, Result},
    filter, instant, json, path,
    query::{Keys, Query},
    state::App,
};

/// Airflow's default queue; Gridflow has no workers of its own that would listen to queues.
pub const DEFAULT_QUEUE: &str = "default";

/// A task instance in Airflow's shape.
#[derive(Debug, Serialize)]
pub struct TaskInstance {
    id: Uuid,
    #[serde(flatten)]
    common: Common,
    logical_date: Option<Timestamp>,
    run_after: Timestamp,
    note: Option<String>,
    rendered_map_index: Option<String>,
    rendered_fields: Value,
    trigger: Option<Value>,
    triggerer_job: Option<Value>,
    /// Ours: why it is in its state, for people.
    reason: Option<String>,
}

/// What a task instance and each of its tries have in common.
#[derive(Debug, Serialize)]
pub struct Common {
    pub task_id: String,
    pub dag_id: String,
    pub dag_run_id: String,
    pub map_index: i32,
    pub start_date: Option<Timestamp>,
    pub end_date: Option<Timestamp>,
    pub duration: Option<f64>,
    pub state: Option<&'static str>,
    pub try_number: i32,
    pub max_tries: i32,
    pub task_display_name: String,
    pub dag_display_name: String,
    pub hostname: Option<String>,
    pub unixname: Option<String>,
    pub pool: String,
    pub pool_slots: i32,
    pub queue: Option<String>,
    pub priority_weight: Option<i32>,
    pub operator: Option<String>,
    pub operator_name: Option<String>,
    pub queued_when: Option<Timestamp>,
    pub scheduled_when: Option<Timestamp>,
    pub pid: Option<i64>,
    pub executor: Option<String>,
    pub executor_config: &'static str,
    pub dag_version: Option<DagVersion>,
}

impl From<TaskInstanceRow> for Common {
    fn from(row: TaskInstanceRow) -> Self {
        Self {
            start_date: row.started_at,
            end_date: row.ended_at,
            duration: instant::seconds_between(row.started_at, row.ended_at),
            state: state_name(row.state),
            try_number: row.try_number,
            max_tries: row.tries_max,
            task_display_name: row.task_id.clone(),
            dag_display_name: row.dag_id.clone(),
            hostname: row.hostname,
            unixname: None,
            pool: row.pool,
            pool_slots: row.pool_slots,
            queue: Some(row.queue.unwrap_or_else(|| DEFAULT_QUEUE.to_owned())),
            priority_weight: Some(row.priority_weight),
            operator: Some(row.operator.clone()),
            operator_name: Some(row.operator),
            queued_when: row.queued_at,
            scheduled_when: row.scheduled_at,
            pid: row.pid,
            executor: row.executor,
            // A text that Airflow's clients expect to be a Python literal.
            executor_config: "{}",
            dag_version: row.version.map(|version| DagVersion::new(&row.dag_id, version)),
            map_index: row.map_index.0,
            task_id: row.task_id,
            dag_run_id: row.run_id,
            dag_id: row.dag_id,
        }
    }
}

impl From<TaskInstanceRow> for TaskInstance {
    fn from(mut row: TaskInstanceRow) -> Self {
        Self {
            id: id(&row),
            logical_date: row.logical_date,
            run_after: row.run_after,
            note: row.note.take(),
            reason: row.reason.take().or_else(|| row.waits.take()),
            rendered_map_index: row.rendered_map_index.take(),
            rendered_fields: Value::Object(serde_json::Map::new()),
            trigger: None,
            triggerer_job: None,
            common: Common::from(row),
        }
    }
}

/// Airflow's name of a state; no state is null there.
pub fn state_name(state: TaskState) -> Option<&'static str> {
    (state != TaskState::NoStatus).then(|| state.as_str())
}

/// The present attempt's id; before the first attempt, one that is always the same for this task instance.
fn id(row: &TaskInstanceRow) -> Uuid {
    match row.attempt {
        Some(attempt) => attempt.0,
        None => stable_id(row),
    }
}

fn stable_id(row: &TaskInstanceRow) -> Uuid {
    let mut hasher = blake3::Hasher::new_derive_key("gridflow task instance before its first attempt");
    hasher.update(row.run.0.as_bytes());
    hasher.update(&row.task_no.0.to_be_bytes());
    hasher.update(&row.map_index.0.to_be_bytes());
    let mut bytes = [0; 16];
    hasher.finalize_xof().fill(&mut bytes);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

#[derive(Serialize)]
struct TaskInstances {
    task_instances: Vec<TaskInstance>,
    total_entries: i64,
    total_entries_limit: Option<i64>,
    next_cursor: Option<String>,
    previous_cursor: Option<String>,
}

const KEYS: &Keys = &[
    ("id", "ti.attempt_id"),
    ("task_id", "t.task_id"),
    ("state", "ti.state"),
    ("duration", DURATION),
    ("start_date", "ti.started_at"),
    ("end_date", "ti.ended_at"),
    ("map_index", "coalesce(ti.map_index, -1)"),
    ("try_number", "ti.try_number"),
    ("logical_date", "r.logical_date"),
    ("run_after", "r.run_after"),
    ("data_interval_start", "r.data_interval_start"),
    ("data_interval_end", "r.data_interval_end"),
    ("rendered_map_index", "coalesce(ti.rendered_map_index, lpad(ti.map_index::text, 10, '0'))"),
    ("operator", "t.operator"),
];

const INSTANTS: &[(&str, &str)] = &[
    ("run_after", "r.run_after"),
    ("logical_date", "r.logical_date"),
    ("start_date", "ti.started_at"),
    ("end_date", "ti.ended_at"),
    ("updated_at", "coalesce(ti.ended_at, ti.started_at, ti.queued_at, ti.scheduled_at)"),
];

const STATES: &[&str] = &[
    "removed",
    "scheduled",
    "queued",
    "running",
    "success",
    "restarting",
    "failed",
    "up_for_retry",
    "up_for_reschedule",
    "upstream_failed",
    "skipped",
    "deferred",
    "awaiting_input",
    "none",
    "no_status",
];

pub async fn list(
    State(app): State<App>,
    path::Of((dag_id, run_id)): path::Of<(String, String)>,
    mut query: Query,
) -> Result<Response> {
    let page = query.page();
    let order = query.order_by(KEYS, "map_index")?;
    let mut filter = read_filter(&dag_id, &mut query)?;
    query.finish()?;
    if run_id != "~" {
        if dag_id == "~" {
            return Err(Error::BadRequest("dag_id is required when dag_run_id is specified".into()));
        }
        filter.run = Some(dag_run::find(&app, &dag_id, &run_id).await?.key);
    }
    let (rows, total_entries) = task_instance::list(&mut *app.conn().await?, &filter, &order, page).await?;
    Ok(json::ok(&TaskInstances {
        task_instances: rows.into_iter().map(TaskInstance::from).collect(),
        total_entries,
        total_entries_limit: None,
        next_cursor: None,
        previous_cursor: None,
    }))
}

fn read_filter(dag_id: &str, query: &mut Query) -> Result<TaskInstanceFilter> {
    let states = filter::names(query, "state", "state", STATES)?;
    Ok(TaskInstanceFilter {
        run: None,
        dag_id: filter::id_or_all(dag_id),
        task_id: query.text("task_id").map(str::to_owned),
        task_id_like: filter::patterns(query, "task_display_name"),
        group: query.text("task_group_id").map(str::to_owned),
        dag_id_like: filter::patterns(query, "dag_id"),
        run_id_like: filter::patterns(query, "run_id"),
        states: states.into_iter().map(|state| if state == "no_status" { "none".to_owned() } else { state }).collect(),
        pools: query.texts("pool"),
        pool_like: filter::patterns(query, "pool_name"),
        queues: query.texts("queue"),
        queue_like: filter::patterns(query, "queue_name"),
        executors: query.texts("executor"),
        operators: query.texts("operator"),
        operator_like: filter::patterns(query, "operator_name"),
        version_numbers: query.small_integers("version_number"),
        try_numbers: query.small_integers("try_number"),
        map_indexes: query.small_integers("map_index"),
        instants: filter::instants(query, INSTANTS)?,
        durations: filter::seconds(query, "duration", DURATION),
    })
}

pub async fn get(
    State(app): State<App>,
    path::Of((dag_id, run_id, task_id)): path::Of<(String, String, String)>,
) -> Result<Response> {
    let rows = task_instance::of_task(&mut *app.conn().await?, &dag_id, &run_id, &task_id).await?;
    let Some(row) = rows.into_iter().next() else {
        return Err(Error::NotFound(format!(
            "The Task Instance with dag_id: `{dag_id}`, run_id: `{run_id}` and task_id: `{task_id}` was not found"
        )));
    };
    if row.map_index != MapIndex::UNMAPPED {
        return Err(Error::NotFound("Task instance is mapped, add the map_index value to the URL".into()));
    }
    Ok(json::ok(&TaskInstance::from(row)))
}

pub async fn get_mapped(
    State(app): State<App>,
    path::Of((dag_id, run_id, task_id, map_index)): path::Of<(String, String, String, String)>,
) -> Result<Response> {
    let map_index = MapIndex(path::integer("map_index", &map_index)?);
    let row = task_instance::by_id(&mut *app.conn().await?, &dag_id, &run_id, &task_id, map_index).await?;
    let row = row.ok_or_else(|| {
        Error::NotFound(format!(
            "The Mapped Task Instance with dag_id: `{dag_id}`, run_id: `{run_id}`, task_id: `{task_id}`, \
             and map_index: `{}` was not found",
            map_index.0
        ))
    })?;
    Ok(json::ok(&TaskInstance::from(row)))
}

/// The task instance that a sub-resource belongs to, or Airflow's 404.
pub async fn find(
    app: &App,
    (dag_id, run_id, task_id): (&str, &str, &str),
    map_index: MapIndex,
) -> Result<TaskInstanceRow> {
    let row = task_instance::by_id(&mut *app.conn().await?, dag_id, run_id, task_id, map_index).await?;
    row.ok_or_else(|| {
        Error::NotFound(format!(
            "The Task Instance with dag_id: `{dag_id}`, run_id: `{run_id}`, task_id: `{task_id}` and \
             map_index: `{}` was not found",
            map_index.0
        ))
    })
}

/// The `map_index` parameter of a sub-resource.
pub fn map_index(query: &mut Query) -> MapIndex {
    let index = query.integer("map_index").and_then(|index| i32::try_from(index).ok());
    index.map_or(MapIndex::UNMAPPED, MapIndex)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_can_be_filtered_by() {
        assert!(TaskState::ALL.iter().all(|state| STATES.contains(&state.as_str())));
    }
}
