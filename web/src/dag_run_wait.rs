//! `GET …/dagRuns/{dag_run_id}/wait`: lines of JSON until the run has ended.
//!
//! A line comes at once, at every change of state, and every `interval` seconds, so that both sides notice when the
//! other one is gone. The state comes from the one reader that all who wait share.

use std::time::Duration;

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{HeaderValue, header},
    response::Response,
};
use futures_util::stream;
use gridflow_core::{RunKey, RunState};
use gridflow_store::api::xcom;
use serde_json::{Map, Value, json};
use tokio::time::{Interval, MissedTickBehavior};

use crate::{
    dag_run,
    error::{Error, Result},
    path,
    query::Query,
    state::App,
    watch::Waiting,
    xcom::native,
};

/// Lines that say nothing new come no more often than this.
const INTERVAL_MIN: f64 = 1.0;
const INTERVAL_MAX: f64 = 3_600.0;
const RETURN_VALUE: &str = "return_value";

struct Waiter {
    app: App,
    key: RunKey,
    waiting: Waiting<RunKey, RunState>,
    interval: Interval,
    /// Tasks whose return values the last line holds.
    results: Vec<String>,
    state: RunState,
    is_first: bool,
    is_done: bool,
}

pub async fn get(
    State(app): State<App>,
    path::Of((dag_id, run_id)): path::Of<(String, String)>,
    mut query: Query,
) -> Result<Response> {
    let seconds = query.positive("interval");
    if query.text("interval").is_none() {
        query.missing("interval");
    }
    let results = query.texts("result");
    query.finish()?;
    let run = dag_run::find(&app, &dag_id, &run_id).await?;
    // Joined before the state is read once more, so that no change is missed.
    let waiting = app.watch.run(run.key)?;
    let period = seconds.unwrap_or(INTERVAL_MIN).clamp(INTERVAL_MIN, INTERVAL_MAX);
    let mut interval = tokio::time::interval(Duration::from_secs_f64(period));
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval.reset();
    let waiter =
        Waiter { key: run.key, waiting, interval, results, state: run.state, is_first: true, is_done: false, app };
    let mut response = Response::new(Body::from_stream(stream::try_unfold(waiter, next)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    Ok(response)
}

async fn next(mut waiter: Waiter) -> Result<Option<(Bytes, Waiter)>, Error> {
    if waiter.is_done {
        return Ok(None);
    }
    if !std::mem::replace(&mut waiter.is_first, false) {
        let shutdown = waiter.app.shutdown.clone();
        tokio::select! {
            state = changed(&mut waiter.waiting, waiter.state) => waiter.state = state,
            _ = waiter.interval.tick() => {}
            // Ends before the run has ended: the client sees that the last state is not final.
            () = shutdown.cancelled() => return Ok(None),
        }
    }
    waiter.is_done = waiter.state.is_finished();
    let mut line = json!({ "state": waiter.state.as_str() });
    if waiter.is_done && !waiter.results.is_empty() {
        line["results"] = Value::Object(results(&waiter).await?);
    }
    Ok(Some((Bytes::from(format!("{line}\n")), waiter)))
}

/// The next state that is another one.
///
/// Cancel safe.
async fn changed(waiting: &mut Waiting<RunKey, RunState>, seen: RunState) -> RunState {
    loop {
        let state = waiting.next().await;
        if state != seen {
            return state;
        }
    }
}

/// The return values of the asked tasks; a list where a task is mapped.
async fn results(waiter: &Waiter) -> Result<Map<String, Value>> {
    let entries = xcom::of_tasks(&mut *waiter.app.conn().await?, waiter.key, &waiter.results, RETURN_VALUE).await?;
    let mut results = Map::new();
    for (task_id, map_index, value) in entries {
        let value = native(value);
        if map_index.0 < 0 {
            results.insert(task_id, value);
        } else if let Value::Array(values) = results.entry(task_id).or_insert_with(|| Value::Array(Vec::new())) {
            values.push(value);
        }
    }
    Ok(results)
}
