//! `GET /monitor/health` and `GET /version`: answered without a token.

use axum::{extract::State, response::Response};
use gridflow_core::Timestamp;
use gridflow_store::{
    api::leader,
    hold::{self, Hold},
};
use serde::Serialize;

use crate::{error::Result, json, state::App};

#[derive(Serialize)]
struct Health {
    metadatabase: Part,
    scheduler: SchedulerPart,
    triggerer: TriggererPart,
    dag_processor: DagProcessorPart,
    /// Ours: why nothing is launched although somebody leads.
    #[serde(skip_serializing_if = "Option::is_none")]
    hold: Option<HoldPart>,
}

#[derive(Serialize)]
struct HoldPart {
    reason: String,
    since: Timestamp,
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
    let (database, seen_at, hold) = match seen(&app).await {
        Ok((seen_at, hold)) => (HEALTHY, seen_at, hold),
        Err(error) => {
            tracing::warn!("the database does not answer: {error}");
            (UNHEALTHY, None, None)
        }
    };
    let status = if seen_at.is_some() && hold.is_none() { HEALTHY } else { UNHEALTHY };
    json::ok(&Health {
        metadatabase: Part { status: database },
        scheduler: SchedulerPart { status, latest_scheduler_heartbeat: seen_at },
        triggerer: TriggererPart { status, latest_triggerer_heartbeat: seen_at },
        dag_processor: DagProcessorPart { status, latest_dag_processor_heartbeat: seen_at },
        hold: hold.map(|hold| HoldPart { reason: why_held(&hold), since: hold.since }),
    })
}

async fn seen(app: &App) -> Result<(Option<Timestamp>, Option<Hold>)> {
    let mut conn = app.conn().await?;
    Ok((leader::seen_at(&mut conn).await?, hold::get(&mut conn).await?))
}

/// For people, with the next step.
pub fn why_held(hold: &Hold) -> String {
    let Hold { node, outside, inside, .. } = hold;
    format!(
        "the database went back in time (node {node} has seen turn {outside}, the database had turn {inside}): nothing \
         starts until somebody runs `gridflow recover`"
    )
}

#[derive(Serialize)]
struct Version {
    version: &'static str,
    git_version: Option<&'static str>,
}

pub async fn version() -> Response {
    json::ok(&Version { version: env!("CARGO_PKG_VERSION"), git_version: option_env!("GRIDFLOW_GIT_VERSION") })
}
