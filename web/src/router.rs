//! Every path of the API, in one place.

use std::sync::Arc;

use axum::{Router, middleware, routing::get};

use crate::{
    dag, dag_details, dag_run, dag_run_patch, dag_run_trigger, dag_run_wait, dag_source, dependency,
    error::Error,
    extra_link, import_error,
    limit::{self, Room},
    log, monitor, node, pool,
    security::{self, Gate},
    state::App,
    task, task_instance, task_instance_try, xcom,
};

/// The API behind its gate and bounds.
pub fn router(app: App, gate: Arc<Gate>) -> Router {
    Router::new()
        .nest("/api/v2", api())
        .fallback(async || Error::NotFound("Not Found".into()))
        .method_not_allowed_fallback(async || Error::MethodNotAllowed)
        .layer(middleware::from_fn_with_state(Room::default(), limit::bound))
        .layer(middleware::from_fn_with_state(gate, security::guard))
        .with_state(app)
}

fn api() -> Router<App> {
    Router::new()
        .route("/monitor/health", get(monitor::health))
        .route("/version", get(monitor::version))
        .route("/dags", get(dag::list))
        .route("/dags/{dag_id}", get(dag::get).patch(dag::patch))
        .route("/dags/{dag_id}/details", get(dag_details::get))
        .route("/dags/{dag_id}/tasks", get(task::list))
        .route("/dags/{dag_id}/tasks/{task_id}", get(task::get))
        .route("/dagSources/{dag_id}", get(dag_source::get))
        .route("/importErrors", get(import_error::list))
        .route("/importErrors/{import_error_id}", get(import_error::get))
        .route("/nodes", get(node::list))
        .route("/pools", get(pool::list))
        .route("/pools/{pool_name}", get(pool::get))
        .nest("/dags/{dag_id}/dagRuns", dag_runs())
}

fn dag_runs() -> Router<App> {
    Router::new()
        .route("/", get(dag_run::list).post(dag_run_trigger::post))
        .route("/{dag_run_id}", get(dag_run::get).patch(dag_run_patch::patch))
        .route("/{dag_run_id}/wait", get(dag_run_wait::get))
        .nest("/{dag_run_id}/taskInstances", task_instances())
}

fn task_instances() -> Router<App> {
    Router::new()
        .route("/", get(task_instance::list))
        .route("/{task_id}", get(task_instance::get))
        .route("/{task_id}/{map_index}", get(task_instance::get_mapped))
        .route("/{task_id}/dependencies", get(dependency::get))
        .route("/{task_id}/{map_index}/dependencies", get(dependency::get_mapped))
        .route("/{task_id}/tries", get(task_instance_try::list))
        .route("/{task_id}/tries/{task_try_number}", get(task_instance_try::get))
        .route("/{task_id}/{map_index}/tries", get(task_instance_try::list_mapped))
        .route("/{task_id}/{map_index}/tries/{task_try_number}", get(task_instance_try::get_mapped))
        .route("/{task_id}/links", get(extra_link::get))
        .route("/{task_id}/logs/{try_number}", get(log::get))
        .route("/{task_id}/xcomEntries", get(xcom::list))
        .route("/{task_id}/xcomEntries/{*xcom_key}", get(xcom::get))
}
