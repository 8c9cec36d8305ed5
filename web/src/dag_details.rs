//! `GET /dags/{dag_id}/details`.

use axum::{extract::State, response::Response};
use gridflow_core::Timestamp;
use gridflow_store::api;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    dag::{self, Dag},
    dag_version::DagVersion,
    error::Result,
    json, path,
    state::App,
    task, version_cache,
};

#[derive(Serialize)]
struct DagDetails {
    #[serde(flatten)]
    dag: Dag,
    catchup: bool,
    /// ISO 8601.
    dag_run_timeout: Option<String>,
    asset_expression: Option<Value>,
    doc_md: Option<String>,
    start_date: Option<Timestamp>,
    end_date: Option<Timestamp>,
    is_paused_upon_creation: Option<bool>,
    params: Map<String, Value>,
    render_template_as_native_obj: bool,
    template_search_path: Option<Vec<String>>,
    timezone: Option<&'static str>,
    last_parsed: Option<Timestamp>,
    default_args: Option<Map<String, Value>>,
    rerun_with_latest_version: Option<bool>,
    owner_links: Option<Map<String, Value>>,
    is_favorite: bool,
    active_runs_count: i64,
    concurrency: u32,
    latest_dag_version: Option<DagVersion>,
}

pub async fn get(State(app): State<App>, path::Of(dag_id): path::Of<String>) -> Result<Response> {
    let row = dag::find(&app, &dag_id).await?;
    let version = version_cache::compiled(&app, row.version.id).await?;
    let active_runs_count = api::dag::active_run_count(&mut *app.conn().await?, &dag_id).await?;
    let parts = version.dag.parts();
    let timetable = version.dag.timetable();
    Ok(json::ok(&DagDetails {
        catchup: timetable.catchup,
        dag_run_timeout: parts.dagrun_timeout.map(|timeout| format!("PT{}S", timeout.as_secs_f64())),
        asset_expression: None,
        doc_md: version.doc_md.clone(),
        start_date: timetable.start_date,
        end_date: timetable.end_date,
        is_paused_upon_creation: Some(parts.is_paused_at_creation),
        params: task::params(&version),
        // Values keep their types wherever a value is one expression.
        render_template_as_native_obj: true,
        template_search_path: None,
        timezone: Some(timetable.timezone.name()),
        last_parsed: Some(row.published_at),
        default_args: Some(Map::new()),
        rerun_with_latest_version: None,
        owner_links: None,
        is_favorite: false,
        active_runs_count,
        concurrency: parts.max_active_tasks.get(),
        latest_dag_version: Some(DagVersion::new(&dag_id, row.version.clone())),
        dag: Dag::from(row),
    }))
}
