//! `GET …/taskInstances/{task_id}/logs/{try_number}`.
//!
//! A log is a file of lines as the task wrote them; each becomes `{"event": line}`. An answer holds a chunk of it and
//! a token for what follows; with `full_content` all that is there, streamed. There is a token as long as more may
//! come: no token means that the try is over and everything was read.

mod file;
mod ndjson;

use std::path::{Path, PathBuf};

use axum::{
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::Response,
};
use gridflow_core::{AttemptId, AttemptState, TaskState, Timestamp};
use gridflow_store::api::{
    attempt::{self, AttemptRow},
    task_instance::TaskInstanceRow,
};
use serde::Serialize;

use self::file::{LogFile, Span};
use crate::{
    accept,
    error::{Error, Result},
    json, path,
    query::Query,
    state::App,
    task_instance,
};

/// Where the logs of attempts are.
#[derive(Debug, Clone)]
pub struct LogPlace {
    pub root: PathBuf,
    /// The file of an attempt's log below the root.
    pub path: fn(&Path, AttemptId) -> PathBuf,
}

/// Of the log, per answer. Small enough to be held in memory a hundred times over.
const CHUNK_BYTES_MAX: u64 = 512 << 10;
const CONTINUATION_TOKEN: HeaderName = HeaderName::from_static("airflow-continuation-token");

/// One line in Airflow's shape.
#[derive(Debug, Serialize)]
struct Message {
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<Timestamp>,
    event: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logger: Option<&'static str>,
}

impl Message {
    fn line(bytes: &[u8]) -> Self {
        let line = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        Self { timestamp: None, event: String::from_utf8_lossy(line).into_owned(), level: None, logger: None }
    }

    /// A line of ours, not the task's.
    fn ours(at: Option<Timestamp>, level: &'static str, event: String) -> Self {
        Self { timestamp: at, event, level: Some(level), logger: Some("gridflow") }
    }
}

/// What one answer holds.
struct Part {
    file: Option<LogFile>,
    span: Span,
    /// A line of ours behind it, once everything was read.
    last: Option<Message>,
    token: Option<String>,
}

#[derive(Serialize)]
struct Content {
    content: Vec<Message>,
    continuation_token: Option<String>,
}

pub async fn get(
    State(app): State<App>,
    path::Of((dag_id, run_id, task_id, number)): path::Of<(String, String, String, String)>,
    mut query: Query,
    headers: HeaderMap,
) -> Result<Response> {
    let number = path::integer("try_number", &number)?;
    let map_index = task_instance::map_index(&mut query);
    let is_whole = query.boolean("full_content").unwrap_or(false);
    let token = query.text("token").map(str::to_owned);
    query.finish()?;
    let row = task_instance::find(&app, (&dag_id, &run_id, &task_id), map_index).await?;
    let attempt = attempt::of_try(&mut *app.conn().await?, row.run, row.task_no, row.map_index, number).await?;
    let part = match attempt {
        Some(attempt) => of_attempt(&app.logs, &attempt, token.as_deref(), is_whole).await?,
        None => without_attempt(&row, number, token)?,
    };
    // Airflow: whoever does not ask for NDJSON by name gets JSON.
    match accept::choose(&headers, &["application/json", "application/x-ndjson"]) {
        Some("application/x-ndjson") => Ok(as_ndjson(part)),
        Some(_) | None => as_json(part).await,
    }
}

async fn of_attempt(place: &LogPlace, attempt: &AttemptRow, token: Option<&str>, is_whole: bool) -> Result<Part> {
    let start = token.map_or(Ok(0), |token| offset(token, attempt.attempt))?;
    let is_over = attempt.state == AttemptState::Closed;
    // The state was read before the file: what a closed attempt wrote is all there.
    let file = LogFile::open(&(place.path)(&place.root, attempt.attempt)).await?;
    let bytes = file.as_ref().map_or(0, LogFile::len);
    if bytes < start {
        return Err(Error::BadRequest("the token is of another log: this one is shorter".into()));
    }
    let span = match &file {
        Some(file) => file.lines_from(start, if is_whole { u64::MAX } else { CHUNK_BYTES_MAX }, is_over).await?,
        None => Span { start, end: start },
    };
    let is_end = is_over && span.end == bytes;
    Ok(Part {
        file,
        span,
        last: if is_end { closing(attempt) } else { None },
        token: (!is_end).then(|| format!("{}.{}", attempt.attempt, span.end)),
    })
}

/// How the try ended, where its own lines may not say.
fn closing(attempt: &AttemptRow) -> Option<Message> {
    let text = match (attempt.outcome.as_deref()?, attempt.exit_code, attempt.signal) {
        ("exited", Some(0), _) => return None,
        ("exited", Some(code), _) => format!("the command ended with exit code {code}"),
        ("signaled", _, Some(signal)) => format!("the command was ended by signal {signal}"),
        ("timed_out", ..) => "the command was stopped: it ran longer than its `execution_timeout`".to_owned(),
        ("canceled", ..) => "the command was stopped: the task was canceled".to_owned(),
        ("never_started", ..) => "the command was never started: the task was canceled before".to_owned(),
        ("spawn_failed", ..) => "the command could not be started".to_owned(),
        ("output_invalid", ..) => "the command succeeded, but its output can't be used".to_owned(),
        ("lost", ..) => "nobody knows how the command ended".to_owned(),
        (other, ..) => other.to_owned(),
    };
    let text = match &attempt.message {
        Some(message) => format!("{text}: {message}"),
        None => text,
    };
    Some(Message::ours(attempt.ended_at, "error", text))
}

/// A try that was never launched: one that is still to come, or one that never will be.
fn without_attempt(row: &TaskInstanceRow, number: i32, token: Option<String>) -> Result<Part> {
    let is_next = number == row.try_number.max(1) || number == row.try_number + 1;
    if !is_next {
        return Err(Error::NotFound("TaskInstance not found".into()));
    }
    let last = match row.state {
        TaskState::Skipped
        | TaskState::UpstreamFailed
        | TaskState::Removed
        | TaskState::Failed
        | TaskState::Success => {
            let reason = row.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
            let state = row.state.as_str();
            Some(Message::ours(
                row.ended_at,
                "info",
                format!("nothing was launched: the task instance is {state}{reason}"),
            ))
        }
        TaskState::NoStatus
        | TaskState::Scheduled
        | TaskState::Queued
        | TaskState::Running
        | TaskState::UpForRetry
        | TaskState::UpForReschedule
        | TaskState::Deferred
        | TaskState::AwaitingInput
        | TaskState::Restarting => None,
    };
    let token = last.is_none().then(|| token.unwrap_or_else(|| WAITING_TOKEN.to_owned()));
    Ok(Part { file: None, span: Span { start: 0, end: 0 }, last, token })
}

/// The token of a log that does not exist yet: good for its beginning.
const WAITING_TOKEN: &str = "0";

/// A token names its attempt, so that one of another try is not taken for a place in this one.
fn offset(token: &str, attempt: AttemptId) -> Result<u64> {
    if token == WAITING_TOKEN {
        return Ok(0);
    }
    match token.split_once('.') {
        Some((id, offset)) if id == attempt.to_string() => offset.parse().map_err(|_| bad_token()),
        // A lost attempt was followed by another one of the same try: its log begins anew.
        Some((id, offset)) if id.parse::<uuid::Uuid>().is_ok() && offset.parse::<u64>().is_ok() => Ok(0),
        Some(_) | None => Err(bad_token()),
    }
}

fn bad_token() -> Error {
    Error::BadRequest("Bad Signature. Please use only the tokens provided by the API.".into())
}

fn as_ndjson(part: Part) -> Response {
    let token = part.token;
    let body = ndjson::body(part.file, part.span, part.last, ndjson::Style::Lines);
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    if let Some(token) = token {
        let value = HeaderValue::from_str(&token).expect("tokens are checked ASCII");
        response.headers_mut().insert(CONTINUATION_TOKEN, value);
    }
    response
}

async fn as_json(part: Part) -> Result<Response> {
    if CHUNK_BYTES_MAX < part.span.end - part.span.start {
        let style = ndjson::Style::Content { token: part.token };
        return Ok(json::json_body(StatusCode::OK, ndjson::body(part.file, part.span, part.last, style)));
    }
    let mut content = Vec::new();
    if let Some(mut file) = part.file {
        let bytes = file.read(part.span).await?;
        content.extend(bytes.split_inclusive(|byte| *byte == b'\n').map(Message::line));
    }
    content.extend(part.last);
    Ok(json::ok(&Content { content, continuation_token: part.token }))
}
