//! `GET …/taskInstances/{task_id}/tries` and `…/tries/{try_number}`.

use axum::{extract::State, response::Response};
use gridflow_core::{AttemptState, MapIndex, TaskState};
use gridflow_store::api::{
    attempt::{self, AttemptRow},
    task_instance::TaskInstanceRow,
};
use serde::Serialize;

use crate::{
    error::{Error, Result},
    instant, json, path,
    query::Query,
    state::App,
    task_instance::{self, Common, state_name},
};

#[derive(Serialize)]
struct Tries {
    task_instances: Vec<Common>,
    total_entries: usize,
}

type Ids = (String, String, String);

pub async fn list(State(app): State<App>, path::Of(ids): path::Of<Ids>, mut query: Query) -> Result<Response> {
    let map_index = task_instance::map_index(&mut query);
    query.finish()?;
    list_of(&app, &ids, map_index).await
}

pub async fn list_mapped(
    State(app): State<App>,
    path::Of((dag_id, run_id, task_id, map_index)): path::Of<(String, String, String, String)>,
) -> Result<Response> {
    let map_index = MapIndex(path::integer("map_index", &map_index)?);
    list_of(&app, &(dag_id, run_id, task_id), map_index).await
}

async fn list_of(app: &App, ids: &Ids, map_index: MapIndex) -> Result<Response> {
    let task_instances = read(app, ids, map_index).await?;
    Ok(json::ok(&Tries { total_entries: task_instances.len(), task_instances }))
}

pub async fn get(
    State(app): State<App>,
    path::Of((dag_id, run_id, task_id, number)): path::Of<(String, String, String, String)>,
    mut query: Query,
) -> Result<Response> {
    let map_index = task_instance::map_index(&mut query);
    query.finish()?;
    one_of(&app, &(dag_id, run_id, task_id), map_index, &number).await
}

pub async fn get_mapped(
    State(app): State<App>,
    path::Of((dag_id, run_id, task_id, map_index, number)): path::Of<(String, String, String, String, String)>,
) -> Result<Response> {
    let map_index = MapIndex(path::integer("map_index", &map_index)?);
    one_of(&app, &(dag_id, run_id, task_id), map_index, &number).await
}

async fn one_of(app: &App, ids: &Ids, map_index: MapIndex, number: &str) -> Result<Response> {
    let number = path::integer("task_try_number", number)?;
    let tries = read(app, ids, map_index).await?;
    // Attempts that were lost share the number of their try: the last one counts.
    let found = tries.into_iter().rev().find(|one| one.try_number == number);
    let (dag_id, run_id, task_id) = ids;
    let one = found.ok_or_else(|| {
        Error::NotFound(format!(
            "The Task Instance with dag_id: `{dag_id}`, run_id: `{run_id}`, task_id: `{task_id}`, \
             try_number: `{number}` and map_index: `{}` was not found",
            map_index.0
        ))
    })?;
    Ok(json::ok(&one))
}

async fn read(app: &App, (dag_id, run_id, task_id): &Ids, map_index: MapIndex) -> Result<Vec<Common>> {
    let row = task_instance::find(app, (dag_id, run_id, task_id), map_index).await?;
    let attempts = attempt::of_task_instance(&mut *app.conn().await?, row.run, row.task_no, row.map_index).await?;
    Ok(tries(&row, attempts))
}

/// One entry per attempt. A task instance that needed none (`empty`, skipped) has itself as its only try.
fn tries(row: &TaskInstanceRow, attempts: Vec<AttemptRow>) -> Vec<Common> {
    if attempts.is_empty() {
        return if row.state == TaskState::NoStatus { Vec::new() } else { vec![Common::from(row.clone())] };
    }
    attempts.into_iter().map(|attempt| one(row, attempt)).collect()
}

fn one(row: &TaskInstanceRow, attempt: AttemptRow) -> Common {
    let state = if Some(attempt.attempt) == row.attempt && row.state != TaskState::UpForRetry {
        row.state
    } else {
        state_of(&attempt)
    };
    Common {
        state: state_name(state),
        start_date: attempt.started_at,
        end_date: attempt.ended_at,
        duration: instant::seconds_between(attempt.started_at, attempt.ended_at),
        try_number: attempt.try_number,
        queued_when: Some(attempt.queued_at),
        hostname: attempt.hostname,
        pid: attempt.pid,
        executor: Some(attempt.executor),
        ..Common::from(row.clone())
    }
}

/// The state that an attempt left its task instance in. Another one followed, so it has not succeeded.
fn state_of(attempt: &AttemptRow) -> TaskState {
    match attempt.state {
        AttemptState::Queued => TaskState::Queued,
        AttemptState::Running => TaskState::Running,
        AttemptState::Canceling => TaskState::Restarting,
        AttemptState::Closed => TaskState::Failed,
    }
}
