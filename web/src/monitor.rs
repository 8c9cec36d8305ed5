//! `GET /monitor/health` and `GET /version`: answered without a token.

use axum::{extract::State, response::Response};
use gridflow_core::Timestamp;
use gridflow_store::api::leader;
use serde::Serialize;

use crate::{error::Result, json, state::App};

#[derive(Serialize)]
struct Health {
    metadatabase: Part,
    scheduler: SchedulerPart,
    triggerer: TriggererPart,
    dag_processor: DagProcessorPart,
}

#[derive(Serialize)]
struct Part {
    status: &'static str,
}

#[derive(Serialize)]
struct SchedulerPart {
    status: &'static str,
    latest_scheduler_heartbeat: Option<Timestamp>,
}

#[derive(Serialize)]
struct TriggererPart {
    status: &'static str,
    latest_triggerer_heartbeat: Option<Timestamp>,
}

#[derive(Serialize)]
struct DagProcessorPart {
    status: &'static str,
    latest_dag_processor_heartbeat: Option<Timestamp>,
}

const HEALTHY: &str = "healthy";
const UNHEALTHY: &str = "unhealthy";

/// Always 200, as in Airflow: the body says how each part is. One process does the work of Airflow's scheduler,
/// triggerer and DAG processor, so they share one answer.
pub async fn health(State(app): State<App>) -> Response {
    let (database, seen_at) = match seen(&app).await {
        Ok(seen_at) => (HEALTHY, seen_at),
        Err(error) => {
            tracing::warn!("the database does not answer: {error}");
            (UNHEALTHY, None)
        }
    };
    let status = if seen_at.is_some() { HEALTHY } else { UNHEALTHY };
    json::ok(&Health {
        metadatabase: Part { status: database },
        scheduler: SchedulerPart { status, latest_scheduler_heartbeat: seen_at },
        triggerer: TriggererPart { status, latest_triggerer_heartbeat: seen_at },
        dag_processor: DagProcessorPart { status, latest_dag_processor_heartbeat: seen_at },
    })
}

async fn seen(app: &App) -> Result<Option<Timestamp>> {
    Ok(leader::seen_at(&mut *app.conn().await?).await?)
}

#[derive(Serialize)]
struct Version {
    version: &'static str,
    git_version: Option<&'static str>,
}

pub async fn version() -> Response {
    json::ok(&Version { version: env!("CARGO_PKG_VERSION"), git_version: option_env!("GRIDFLOW_GIT_VERSION") })
}
