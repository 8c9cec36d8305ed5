//! `POST /dags/{dag_id}/dagRuns`: creates a run. Works while no leader lives.
//!
//! The way from here to the first process is short: one look-up, a check of the params against a version that is
//! compiled already, one statement that commits the run with its letter to the leader, a wake-up.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderMap, header},
    response::Response,
};
use chrono::Utc;
use gridflow_core::{DagId, DataInterval, NewRun, QueuedRun, RunId, RunKey, RunState, RunType, Timestamp, TriggeredBy};
use gridflow_dag_spec::ParamError;
use gridflow_store::{
    Reader,
    api::{
        dag::{self, TriggerRow},
        dag_run::RunRow,
    },
    run,
};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::{
    body::Fields,
    command::ACTOR,
    dag_run::DagRun,
    error::{Error, Result},
    instant, json, path,
    state::App,
    version_cache,
};

/// What the body asks for.
#[derive(Debug)]
pub(crate) struct Ask {
    run_id: Option<String>,
    logical_date: Option<Timestamp>,
    data_interval: Option<DataInterval>,
    run_after: Option<Timestamp>,
    conf: Map<String, Value>,
    note: Option<String>,
    partition_key: Option<String>,
}

const BOTH_OR_NEITHER: &str =
    "Either both data_interval_start and data_interval_end must be provided or both must be None";

pub(crate) fn read(mut body: Fields) -> Result<Ask> {
    body.require("logical_date");
    let start = body.instant("data_interval_start");
    let end = body.instant("data_interval_end");
    let ask = Ask {
        run_id: body.text("dag_run_id").filter(|id| !id.is_empty()),
        logical_date: body.instant("logical_date"),
        data_interval: start.zip(end).map(|(start, end)| DataInterval { start, end }),
        run_after: body.instant("run_after"),
        conf: body.object("conf").unwrap_or_default(),
        note: body.text("note").filter(|note| !note.is_empty()),
        partition_key: body.text("partition_key"),
    };
    if start.is_some() != end.is_some() {
        body.rule(BOTH_OR_NEITHER);
    }
    body.finish()?;
    Ok(ask)
}

pub async fn post(
    State(app): State<App>,
    path::Of(dag_id): path::Of<String>,
    headers: HeaderMap,
    body: Fields,
) -> Result<Response> {
    let ask = read(body)?;
    let mut conn = app.conn().await?;
    let dag = find(&mut conn, &dag_id).await?;
    let conf = Value::Object(ask.conf.clone());
    let version = version_cache::compiled_on(&app, &mut conn, dag.version.id, &dag.hash).await?;
    version.params(&conf).map_err(|errors| Error::BadRequest(sentence(&errors)))?;
    let run = new_run(&dag_id, &dag, ask, &headers, instant::microseconds(Utc::now()))?;
    create(&mut conn, &run).await?;
    app.watch.wake_scheduler();
    Ok(json::ok(&DagRun::from(row(run, dag))))
}

/// The DAG, if it can be triggered.
async fn find(conn: &mut Reader, dag_id: &str) -> Result<TriggerRow> {
    let row = dag::for_trigger(conn, dag_id).await?;
    let Some(row) = row.filter(|row| !row.is_removed) else {
        return Err(Error::NotFound(format!("Dag with dag_id: '{dag_id}' not found")));
    };
    // The last good version would run, which is not what its author sees in the file.
    if row.has_import_error {
        return Err(Error::BadRequest(format!(
            "Dag with dag_id: '{dag_id}' has import errors and cannot be triggered"
        )));
    }
    Ok(row)
}

fn sentence(errors: &[ParamError]) -> String {
    let show = |error: &ParamError| match &error.help {
        Some(help) => format!("{error} ({help})"),
        None => error.to_string(),
    };
    errors.iter().map(show).collect::<Vec<_>>().join("; ")
}

fn new_run(dag_id: &str, dag: &TriggerRow, ask: Ask, headers: &HeaderMap, now: Timestamp) -> Result<NewRun> {
    if ask.partition_key.is_some() {
        return Err(Error::BadRequest("`partition_key` is for DAGs with partitions, and this one has none".into()));
    }
    let bad_id = |error: gridflow_core::IdError| Error::BadRequest(error.to_string());
    let run_after = ask.run_after.unwrap_or(now);
    let run_id = match ask.run_id {
        Some(id) => checked_run_id(&id)?,
        None => RunId::parse(&made_run_id(run_after, ask.logical_date)).map_err(bad_id)?,
    };
    // A run without a logical date is about no interval; otherwise schedules are points in time.
    let data_interval =
        ask.logical_date.map(|date| ask.data_interval.unwrap_or(DataInterval { start: date, end: date }));
    Ok(NewRun {
        queued: QueuedRun {
            key: RunKey(Uuid::now_v7()),
            dag: DagId::parse(dag_id).map_err(bad_id)?,
            version: dag.version.id,
            run_id,
            run_type: RunType::Manual,
            logical_date: ask.logical_date,
            data_interval,
            run_after,
        },
        queued_at: now,
        triggered_by: triggered_by(headers),
        actor: Some(ACTOR.to_owned()),
        conf: Arc::new(Value::Object(ask.conf)),
        trigger: None,
        events: Vec::new(),
        parent: None,
        note: ask.note,
        traceparent: traceparent(headers),
    })
}

/// Airflow's rules for ids that people choose.
fn checked_run_id(text: &str) -> Result<RunId> {
    if text.contains("..") {
        return Err(Error::BadRequest(format!("The run_id '{text}' must not contain '..' to prevent path traversal")));
    }
    let id = RunId::parse(text).map_err(|error| Error::BadRequest(error.to_string()))?;
    let reserved = RunType::ALL.into_iter().filter(|kind| *kind != RunType::Manual);
    match reserved.map(RunType::as_str).find(|kind| text.starts_with(&format!("{kind}__"))) {
        Some(kind) => Err(Error::BadRequest(format!(
            "A manual DAG run cannot use ID '{text}' since it is reserved for {kind} runs"
        ))),
        None => Ok(id),
    }
}

/// `manual__<run after>`, with a suffix where no logical date keeps two of the same instant apart.
fn made_run_id(run_after: Timestamp, logical_date: Option<Timestamp>) -> String {
    let micros = run_after.timestamp_subsec_micros();
    let fraction = if micros == 0 { String::new() } else { format!(".{micros:06}") };
    let instant = run_after.format("%Y-%m-%dT%H:%M:%S");
    let suffix = match logical_date {
        Some(_) => String::new(),
        None => format!("_{}", &Uuid::now_v7().simple().to_string()[24..]),
    };
    format!("manual__{instant}{fraction}+00:00{suffix}")
}

fn triggered_by(headers: &HeaderMap) -> TriggeredBy {
    let agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    // As Airflow tells them apart: only a page sends where it is.
    if headers.contains_key(header::REFERER) {
        TriggeredBy::Ui
    } else if agent.starts_with("gridflow/") {
        TriggeredBy::Cli
    } else {
        TriggeredBy::RestApi
    }
}

/// The W3C trace context of the request, if it has a well-formed one.
fn traceparent(headers: &HeaderMap) -> Option<String> {
    let text = headers.get("traceparent")?.to_str().ok()?;
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    let is_hex = text.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    (lengths == [2, 32, 16, 2] && is_hex).then(|| text.to_owned())
}

async fn create(conn: &mut Reader, run: &NewRun) -> Result<()> {
    use gridflow_store::Error as Store;
    let NewRun { queued, .. } = run;
    match run::create(conn, run).await {
        Ok(()) => Ok(()),
        Err(Store::RunIdTaken) => Err(Error::Duplicate(format!(
            "the DAG `{}` has a run with dag_run_id `{}` already",
            queued.dag, queued.run_id
        ))),
        Err(Store::LogicalDateTaken) => Err(Error::Duplicate(format!(
            "the DAG `{}` has a run with logical_date `{}` already",
            queued.dag,
            queued.logical_date.map(|date| date.to_rfc3339()).unwrap_or_default()
        ))),
        Err(error) => Err(error.into()),
    }
}

/// The run as it was committed, without reading it again.
fn row(run: NewRun, dag: TriggerRow) -> RunRow {
    let NewRun { queued, .. } = run;
    RunRow {
        key: queued.key,
        dag_id: queued.dag.to_string(),
        run_id: queued.run_id.to_string(),
        run_type: queued.run_type,
        state: RunState::Queued,
        logical_date: queued.logical_date,
        data_interval_start: queued.data_interval.map(|interval| interval.start),
        data_interval_end: queued.data_interval.map(|interval| interval.end),
        run_after: queued.run_after,
        queued_at: run.queued_at,
        started_at: None,
        ended_at: None,
        triggered_by: run.triggered_by,
        actor: run.actor,
        conf: Arc::unwrap_or_clone(run.conf),
        note: run.note,
        reason: None,
        version_id: queued.version,
        version: Some(dag.version),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        instant::parse(text).unwrap()
    }

    #[test]
    fn a_made_run_id_names_the_instant_as_airflow_does() {
        let date = Some(at("2025-01-01T00:00:00Z"));
        assert_eq!(made_run_id(at("2025-01-02T03:04:05Z"), date), "manual__2025-01-02T03:04:05+00:00");
        assert_eq!(made_run_id(at("2025-01-02T03:04:05.6Z"), date), "manual__2025-01-02T03:04:05.600000+00:00");
        let suffixed = made_run_id(at("2025-01-02T03:04:05Z"), None);
        assert!(suffixed.starts_with("manual__2025-01-02T03:04:05+00:00_"), "{suffixed}");
        assert!(RunId::parse(&suffixed).is_ok());
    }

    #[test]
    fn a_run_id_must_not_look_like_another_type_s() {
        assert!(checked_run_id("mine").is_ok());
        assert!(checked_run_id("manual__mine").is_ok());
        assert!(checked_run_id("scheduled__2025-01-01T00:00:00+00:00").is_err());
        assert!(checked_run_id("a..b").is_err());
        assert!(checked_run_id("a/b").is_err());
    }

    #[test]
    fn only_a_well_formed_trace_context_is_kept() {
        let kept =
            |text: &str| traceparent(&HeaderMap::from_iter([("traceparent".parse().unwrap(), text.parse().unwrap())]));
        assert!(kept("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01").is_some());
        assert!(kept("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331").is_none());
        assert!(kept("00-0AF7651916CD43DD8448EB211C80319C-B7AD6B7169203331-01").is_none());
    }
}
