//! `GET /dags/{dag_id}/tasks` and `GET /dags/{dag_id}/tasks/{task_id}`.

use std::{cmp::Ordering, time::Duration};

use axum::{extract::State, response::Response};
use gridflow_core::{TaskNo, Timestamp, WeightRule};
use gridflow_dag_spec::CompiledDag;
use gridflow_store::api::dag;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::{
    error::{Error, Result},
    json, path,
    query::Query,
    state::App,
    task_instance::DEFAULT_QUEUE,
    version_cache,
};

#[derive(Serialize)]
struct Task {
    task_id: String,
    task_display_name: String,
    owner: Option<String>,
    start_date: Option<Timestamp>,
    end_date: Option<Timestamp>,
    trigger_rule: &'static str,
    depends_on_past: bool,
    wait_for_downstream: bool,
    retries: u32,
    queue: &'static str,
    pool: String,
    pool_slots: u32,
    execution_timeout: Option<TimeDelta>,
    retry_delay: Option<TimeDelta>,
    retry_exponential_backoff: f64,
    priority_weight: i32,
    weight_rule: &'static str,
    ui_color: &'static str,
    ui_fgcolor: &'static str,
    template_fields: Vec<String>,
    downstream_task_ids: Vec<String>,
    doc_md: Option<String>,
    operator_name: String,
    params: Map<String, Value>,
    class_ref: Value,
    is_mapped: bool,
    extra_links: &'static [&'static str],
}

/// Airflow's shape of a duration.
#[derive(Serialize)]
struct TimeDelta {
    __type: &'static str,
    days: u64,
    seconds: u64,
    microseconds: u32,
}

impl From<Duration> for TimeDelta {
    fn from(duration: Duration) -> Self {
        const DAY: u64 = 86_400;
        Self {
            __type: "TimeDelta",
            days: duration.as_secs() / DAY,
            seconds: duration.as_secs() % DAY,
            microseconds: duration.subsec_micros(),
        }
    }
}

impl Task {
    fn new(version: &CompiledDag, no: TaskNo) -> Self {
        let dag = &version.dag;
        let task = dag.task(no);
        let place = no.0 as usize;
        let operator = version.operators[place].name();
        let mut downstream: Vec<_> = dag.downstream(no).map(|no| dag.task(no).id.to_string()).collect();
        downstream.sort_unstable();
        Self {
            task_id: task.id.to_string(),
            task_display_name: task.id.to_string(),
            owner: version.owner.clone(),
            start_date: task.start_date,
            end_date: task.end_date,
            trigger_rule: task.trigger_rule.as_str(),
            depends_on_past: false,
            wait_for_downstream: false,
            retries: task.retries,
            queue: DEFAULT_QUEUE,
            pool: task.pool.to_string(),
            pool_slots: task.pool_slots.get(),
            execution_timeout: task.execution_timeout.map(TimeDelta::from),
            retry_delay: Some(TimeDelta::from(task.retry_delay)),
            retry_exponential_backoff: task.retry_backoff.unwrap_or(0.0),
            priority_weight: task.priority_weight,
            weight_rule: weight_rule(task.weight_rule),
            ui_color: "#fff",
            ui_fgcolor: "#000",
            template_fields: Vec::new(),
            downstream_task_ids: downstream,
            doc_md: version.settings[place].doc_md.clone(),
            operator_name: operator.to_owned(),
            params: params(version),
            class_ref: json!({ "class_name": operator, "module_path": "gridflow.operator" }),
            is_mapped: false,
            extra_links: version.operators[place].extra_links(),
        }
    }
}

fn weight_rule(rule: WeightRule) -> &'static str {
    match rule {
        WeightRule::Downstream => "downstream",
        WeightRule::Upstream => "upstream",
        WeightRule::Absolute => "absolute",
    }
}

/// The params of a DAG as Airflow shows them.
pub fn params(version: &CompiledDag) -> Map<String, Value> {
    let schemas = version.params.json_schema();
    let show = |(name, param): (&String, &gridflow_dag_spec::Param)| {
        let shown = json!({
            "value": param.default,
            "description": param.description,
            "schema": schemas["properties"][name],
        });
        (name.clone(), shown)
    };
    version.params.0.iter().map(show).collect()
}

#[derive(Serialize)]
struct Tasks {
    tasks: Vec<Value>,
    total_entries: usize,
}

const KEYS: &[&str] = &[
    "task_id",
    "task_display_name",
    "owner",
    "start_date",
    "end_date",
    "trigger_rule",
    "depends_on_past",
    "wait_for_downstream",
    "retries",
    "queue",
    "pool",
    "pool_slots",
    "execution_timeout",
    "retry_delay",
    "retry_exponential_backoff",
    "priority_weight",
    "weight_rule",
    "ui_color",
    "ui_fgcolor",
    "operator_name",
];

pub async fn list(State(app): State<App>, path::Of(dag_id): path::Of<String>, query: Query) -> Result<Response> {
    let key = query.text("order_by").unwrap_or("task_id").to_owned();
    let name = key.trim_start_matches('-');
    if !KEYS.contains(&name) {
        return Err(Error::BadRequest(format!(
            "Ordering with '{name}' is disallowed or the attribute does not exist on the model"
        )));
    }
    let version = current(&app, &dag_id).await?;
    let shown = version.dag.tasks().map(|(no, _)| serde_json::to_value(Task::new(&version, no)));
    let mut tasks: Vec<Value> = shown.collect::<Result<_, _>>().expect("views have string keys");
    tasks.sort_by(|a, b| compare(&a[name], &b[name]));
    if key.starts_with('-') {
        tasks.reverse();
    }
    Ok(json::ok(&Tasks { total_entries: tasks.len(), tasks }))
}

/// What is not there comes last.
fn compare(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::Number(a), Value::Number(b)) => a.as_f64().partial_cmp(&b.as_f64()).unwrap_or(Ordering::Equal),
        (Value::Object(a), Value::Object(b)) => {
            let parts = ["days", "seconds", "microseconds"].map(|part| compare(&a[part], &b[part]));
            parts.into_iter().find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
        }
        (a, b) => a.is_null().cmp(&b.is_null()),
    }
}

pub async fn get(State(app): State<App>, path::Of((dag_id, task_id)): path::Of<(String, String)>) -> Result<Response> {
    let version = current(&app, &dag_id).await?;
    let no = version.dag.task_no(&task_id);
    let no = no.ok_or_else(|| Error::NotFound(format!("Task with id {task_id} was not found")))?;
    Ok(json::ok(&Task::new(&version, no)))
}

/// The current version of a DAG, or Airflow's 404.
async fn current(app: &App, dag_id: &str) -> Result<std::sync::Arc<CompiledDag>> {
    let row = dag::for_trigger(&mut *app.conn().await?, dag_id).await?;
    let row = row.ok_or_else(|| Error::NotFound(format!("The Dag with ID: `{dag_id}` was not found")))?;
    version_cache::compiled_as(app, row.version.id, &row.hash).await
}
