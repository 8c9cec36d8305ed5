//! `GET /dags/{dag_id}/dagRuns` and `GET /dags/{dag_id}/dagRuns/{dag_run_id}`.

use axum::{extract::State, response::Response};
use gridflow_core::Timestamp;
use gridflow_store::api::{
    Bound, Range, dag,
    dag_run::{self, DURATION, RunFilter, RunRow},
};
use serde::Serialize;
use serde_json::Value;

use crate::{
    dag_version::DagVersion,
    error::{Error, Result},
    filter, instant, json, path,
    query::{Keys, Query},
    state::App,
};

/// A DAG run in Airflow's shape.
#[derive(Debug, Serialize)]
pub struct DagRun {
    dag_run_id: String,
    dag_id: String,
    logical_date: Option<Timestamp>,
    queued_at: Option<Timestamp>,
    start_date: Option<Timestamp>,
    end_date: Option<Timestamp>,
    duration: Option<f64>,
    data_interval_start: Option<Timestamp>,
    data_interval_end: Option<Timestamp>,
    run_after: Timestamp,
    last_scheduling_decision: Option<Timestamp>,
    run_type: &'static str,
    state: &'static str,
    triggered_by: Option<&'static str>,
    triggering_user_name: Option<String>,
    conf: Option<Value>,
    note: Option<String>,
    dag_versions: Vec<DagVersion>,
    bundle_version: Option<String>,
    dag_display_name: String,
    partition_key: Option<String>,
    partition_date: Option<Timestamp>,
    /// Ours: why it failed, if not by a task.
    reason: Option<String>,
}

impl From<RunRow> for DagRun {
    fn from(row: RunRow) -> Self {
        let bundle_version = row.version.as_ref().and_then(|version| version.bundle_version.clone());
        Self {
            logical_date: row.logical_date,
            queued_at: Some(row.queued_at),
            start_date: row.started_at,
            end_date: row.ended_at,
            duration: instant::seconds_between(row.started_at, row.ended_at),
            data_interval_start: row.data_interval_start,
            data_interval_end: row.data_interval_end,
            run_after: row.run_after,
            // A decision is made with every change: there is no last time that somebody looked.
            last_scheduling_decision: None,
            run_type: row.run_type.as_str(),
            state: row.state.as_str(),
            triggered_by: Some(row.triggered_by.as_str()),
            triggering_user_name: row.actor,
            conf: Some(row.conf),
            note: row.note,
            dag_versions: row.version.map(|version| DagVersion::new(&row.dag_id, version)).into_iter().collect(),
            bundle_version,
            dag_display_name: row.dag_id.clone(),
            partition_key: None,
            partition_date: None,
            reason: row.reason,
            dag_run_id: row.run_id,
            dag_id: row.dag_id,
        }
    }
}

#[derive(Serialize)]
struct DagRuns {
    dag_runs: Vec<DagRun>,
    total_entries: i64,
    total_entries_limit: Option<i64>,
    next_cursor: Option<String>,
    previous_cursor: Option<String>,
}

const KEYS: &Keys = &[
    ("id", "r.id"),
    ("state", "r.state"),
    ("dag_id", "r.dag_id"),
    ("run_id", "r.run_id"),
    ("dag_run_id", "r.run_id"),
    ("logical_date", "r.logical_date"),
    ("run_after", "r.run_after"),
    ("start_date", "r.started_at"),
    ("end_date", "r.ended_at"),
    ("updated_at", "coalesce(r.ended_at, r.started_at, r.queued_at)"),
    ("conf", "r.conf::text"),
    ("duration", DURATION),
];

const INSTANTS: &[(&str, &str)] = &[
    ("run_after", "r.run_after"),
    ("logical_date", "r.logical_date"),
    ("start_date", "r.started_at"),
    ("end_date", "r.ended_at"),
    ("updated_at", "coalesce(r.ended_at, r.started_at, r.queued_at)"),
];

const STATES: &[&str] = &["queued", "running", "success", "failed", "none"];
const RUN_TYPES: &[&str] =
    &["backfill", "scheduled", "manual", "operator_triggered", "asset_triggered", "asset_materialization", "none"];

pub async fn list(State(app): State<App>, path::Of(dag_id): path::Of<String>, mut query: Query) -> Result<Response> {
    let page = query.page();
    let order = query.order_by(KEYS, "id")?;
    let filter = read_filter(&dag_id, &mut query)?;
    query.finish()?;
    let mut conn = app.conn().await?;
    if filter.dag_id.is_some() && dag::for_trigger(&mut conn, &dag_id).await?.is_none() {
        return Err(Error::NotFound(format!("The Dag with ID: `{dag_id}` was not found")));
    }
    let (rows, total_entries) = dag_run::list(&mut conn, &filter, &order, page).await?;
    Ok(json::ok(&DagRuns {
        dag_runs: rows.into_iter().map(DagRun::from).collect(),
        total_entries,
        total_entries_limit: None,
        next_cursor: None,
        previous_cursor: None,
    }))
}

fn read_filter(dag_id: &str, query: &mut Query) -> Result<RunFilter> {
    let mut instants = filter::instants(query, INSTANTS)?;
    // Sent by airflowctl, which Airflow itself ignores.
    let bounds = [("start_date", "r.started_at", Bound::AtLeast), ("end_date", "r.ended_at", Bound::AtMost)];
    for (name, column, bound) in bounds {
        instants.extend(query.instant(name)?.map(|value| Range { column, bound, value }));
    }
    Ok(RunFilter {
        dag_id: filter::id_or_all(dag_id),
        dag_id_like: filter::patterns(query, "dag_id"),
        run_id_like: filter::patterns(query, "run_id"),
        actor_like: filter::patterns(query, "triggering_user_name"),
        states: filter::names(query, "state", "state", STATES)?,
        run_types: filter::names(query, "run_type", "run type", RUN_TYPES)?,
        version_numbers: query.small_integers("dag_version"),
        bundle_version: query.text("bundle_version").map(str::to_owned),
        conf_contains: query.text("conf_contains").filter(|text| !text.is_empty()).map(str::to_owned),
        instants,
        durations: filter::seconds(query, "duration", DURATION),
    })
}

pub async fn get(State(app): State<App>, path::Of((dag_id, run_id)): path::Of<(String, String)>) -> Result<Response> {
    let row = find(&app, &dag_id, &run_id).await?;
    Ok(json::ok(&DagRun::from(row)))
}

/// The run of these ids, or Airflow's 404.
pub async fn find(app: &App, dag_id: &str, run_id: &str) -> Result<RunRow> {
    let row = dag_run::by_id(&mut *app.conn().await?, dag_id, run_id).await?;
    row.ok_or_else(|| {
        Error::NotFound(format!("The DagRun with dag_id: `{dag_id}` and run_id: `{run_id}` was not found"))
    })
}

#[cfg(test)]
mod tests {
    use gridflow_core::{RunState, RunType};

    use super::*;

    #[test]
    fn every_state_and_run_type_can_be_filtered_by() {
        assert!(RunState::ALL.iter().all(|state| STATES.contains(&state.as_str())));
        assert!(RunType::ALL.iter().all(|kind| RUN_TYPES.contains(&kind.as_str())));
    }
}
