//! `PATCH …/dagRuns/{dag_run_id}`: a note, or the end of a run.

use axum::{extract::State, response::Response};
use gridflow_core::RunState;
use gridflow_store::{api, command::Request};

use crate::{
    body::Fields,
    command,
    dag_run::{self, DagRun},
    error::{Error, Result},
    json, path,
    query::Query,
    state::App,
};

const STATES: &[&str] = &["queued", "success", "failed"];
const NOTE_CHARS_MAX: usize = 1_000;

pub async fn patch(
    State(app): State<App>,
    path::Of((dag_id, run_id)): path::Of<(String, String)>,
    query: Query,
    mut body: Fields,
) -> Result<Response> {
    let mask = query.texts("update_mask");
    let is_asked = |name: &str| mask.is_empty() || mask.iter().any(|field| field == name);
    let has_note = body.has("note") && is_asked("note");
    let note = body.text_up_to("note", NOTE_CHARS_MAX);
    let state = body.one_of("state", STATES).filter(|_| is_asked("state"));
    body.finish()?;
    let run = dag_run::find(&app, &dag_id, &run_id).await?;
    if has_note {
        // An empty note removes it, as in Airflow.
        let note = note.as_deref().filter(|note| !note.is_empty());
        api::dag_run::set_note(&mut *app.conn().await?, run.key, note).await?;
    }
    match state {
        Some("failed") if run.state == RunState::Failed => {}
        Some("failed") if run.state.is_finished() => {
            return Err(Error::Conflict(format!("the run has ended in `{}` already", run.state.as_str())));
        }
        Some("failed") => command::ask(&app, Request::CancelRun { run: run.key }).await?,
        Some(other) => {
            return Err(Error::BadRequest(format!(
                "setting a run to `{other}` is not supported yet, only to `failed`"
            )));
        }
        None => {}
    }
    Ok(json::ok(&DagRun::from(dag_run::find(&app, &dag_id, &run_id).await?)))
}
