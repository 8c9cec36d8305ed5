//! `GET /dags`, `GET /dags/{dag_id}` and `PATCH /dags/{dag_id}`.

use axum::{extract::State, response::Response};
use gridflow_core::{DagId, RunState, Timestamp};
use gridflow_store::{
    api::dag::{self, DagFilter, DagRow, LAST_RUN_START, LAST_RUN_STATE},
    command::Request,
};
use serde::Serialize;

use crate::{
    body::Fields,
    command,
    error::{Error, Result},
    filter, json, path,
    query::{Keys, Query},
    state::App,
};

/// A DAG in Airflow's shape.
#[derive(Debug, Serialize)]
pub struct Dag {
    dag_id: String,
    dag_display_name: String,
    is_paused: bool,
    is_stale: bool,
    last_parsed_time: Option<Timestamp>,
    last_parse_duration: Option<f64>,
    last_expired: Option<Timestamp>,
    bundle_name: Option<String>,
    bundle_version: Option<String>,
    relative_fileloc: Option<String>,
    fileloc: String,
    description: Option<String>,
    timetable_summary: Option<String>,
    timetable_description: Option<String>,
    timetable_partitioned: bool,
    timetable_periodic: bool,
    tags: Vec<Tag>,
    max_active_tasks: u32,
    max_active_runs: Option<u32>,
    max_consecutive_failed_dag_runs: u32,
    has_task_concurrency_limits: bool,
    has_import_errors: bool,
    next_dagrun_logical_date: Option<Timestamp>,
    next_dagrun_data_interval_start: Option<Timestamp>,
    next_dagrun_data_interval_end: Option<Timestamp>,
    next_dagrun_run_after: Option<Timestamp>,
    allowed_run_types: Option<Vec<&'static str>>,
    owners: Vec<String>,
    is_backfillable: bool,
    file_token: String,
}

#[derive(Debug, Serialize)]
struct Tag {
    name: String,
    dag_id: String,
    dag_display_name: String,
}

impl From<DagRow> for Dag {
    fn from(row: DagRow) -> Self {
        let DagRow { dag_id, file, version, details, .. } = row;
        let mut tags = row.tags;
        tags.sort();
        let tag = |name| Tag { name, dag_id: dag_id.clone(), dag_display_name: dag_id.clone() };
        Self {
            tags: tags.into_iter().map(tag).collect(),
            dag_display_name: dag_id.clone(),
            is_paused: row.is_paused,
            is_stale: row.removed_at.is_some(),
            last_parsed_time: Some(row.published_at),
            last_parse_duration: None,
            last_expired: row.removed_at,
            // Only names the file: there is nothing to forge, so nothing is signed.
            file_token: format!("{}:{file}", version.bundle_name),
            bundle_name: Some(version.bundle_name),
            bundle_version: version.bundle_version,
            relative_fileloc: Some(file.clone()),
            fileloc: file,
            description: row.description,
            timetable_summary: details.timetable_summary,
            timetable_description: Some(details.timetable_description),
            timetable_partitioned: false,
            timetable_periodic: details.is_periodic,
            max_active_tasks: details.max_active_tasks,
            max_active_runs: Some(details.max_active_runs),
            max_consecutive_failed_dag_runs: details.max_consecutive_failed_runs,
            has_task_concurrency_limits: details.has_task_limits,
            has_import_errors: row.has_import_error,
            // Schedules are points in time: the logical date is the tick, the data interval is empty.
            next_dagrun_logical_date: row.next_run_after,
            next_dagrun_data_interval_start: row.next_run_after,
            next_dagrun_data_interval_end: row.next_run_after,
            next_dagrun_run_after: row.next_run_after,
            allowed_run_types: None,
            owners: row.owner.into_iter().collect(),
            is_backfillable: details.is_periodic,
            dag_id,
        }
    }
}

#[derive(Serialize)]
struct Dags {
    dags: Vec<Dag>,
    total_entries: i64,
}

const KEYS: &Keys = &[
    ("dag_id", "d.dag_id"),
    ("dag_display_name", "d.dag_id"),
    ("next_dagrun", "d.next_run_after"),
    ("last_run_state", LAST_RUN_STATE),
    ("last_run_start_date", LAST_RUN_START),
];

const RUN_INSTANTS: &[(&str, &str)] = &[("dag_run_start_date", "r.started_at"), ("dag_run_end_date", "r.ended_at")];
const RUN_STATES: &[&str] = &["queued", "running", "success", "failed"];

pub async fn list(State(app): State<App>, mut query: Query) -> Result<Response> {
    let page = query.page();
    let order = query.order_by(KEYS, "dag_id")?;
    let filter = read_filter(&mut query)?;
    query.finish()?;
    let (rows, total_entries) = dag::list(&mut *app.conn().await?, &filter, &order, page).await?;
    Ok(json::ok(&Dags { dags: rows.into_iter().map(Dag::from).collect(), total_entries }))
}

fn read_filter(query: &mut Query) -> Result<DagFilter> {
    let tags = query.texts("tags");
    let needs_all = query.text("tags_match_mode") == Some("all");
    let (tags_any, tags_all) = if needs_all { (Vec::new(), tags) } else { (tags, Vec::new()) };
    let last_run_state = filter::names(query, "last_dag_run_state", "state", RUN_STATES)?;
    let mut like = filter::patterns(query, "dag_id");
    like.extend(filter::patterns(query, "dag_display_name"));
    Ok(DagFilter {
        is_paused: query.boolean("paused"),
        only_present: query.boolean("exclude_stale").unwrap_or(true),
        dag_id: like,
        tags_any,
        tags_all,
        owners: query.texts("owners"),
        has_import_error: query.boolean("has_import_errors"),
        bundle: query.text("bundle_name").map(str::to_owned),
        bundle_version: query.text("bundle_version").map(str::to_owned),
        last_run_state: last_run_state.last().and_then(|state| RunState::parse(state)),
        run_states: filter::names(query, "dag_run_state", "state", RUN_STATES)?,
        run_ranges: filter::instants(query, RUN_INSTANTS)?,
    })
}

pub async fn get(State(app): State<App>, path::Of(dag_id): path::Of<String>) -> Result<Response> {
    Ok(json::ok(&Dag::from(find(&app, &dag_id).await?)))
}

/// The DAG of this id, or Airflow's 404.
pub async fn find(app: &App, dag_id: &str) -> Result<DagRow> {
    let row = dag::by_id(&mut *app.conn().await?, dag_id).await?;
    row.ok_or_else(|| Error::NotFound(format!("The Dag with ID: `{dag_id}` was not found")))
}

pub async fn patch(
    State(app): State<App>,
    path::Of(dag_id): path::Of<String>,
    query: Query,
    mut body: Fields,
) -> Result<Response> {
    let mask = query.texts("update_mask");
    if !mask.is_empty() && mask != ["is_paused"] {
        return Err(Error::BadRequest("Only `is_paused` field can be updated through the REST API".into()));
    }
    body.require("is_paused");
    let is_paused = body.boolean("is_paused");
    body.finish()?;
    let row = dag::by_id(&mut *app.conn().await?, &dag_id).await?;
    let row = row.ok_or_else(|| Error::NotFound(format!("Dag with id: {dag_id} was not found")))?;
    if let Some(is_paused) = is_paused.filter(|wanted| *wanted != row.is_paused) {
        let dag = DagId::parse(&dag_id).map_err(|error| Error::BadRequest(error.to_string()))?;
        command::ask(&app, Request::PauseDag { dag, is_paused }).await?;
    }
    Ok(json::ok(&Dag::from(find(&app, &dag_id).await?)))
}
