//! What people ask of the leader, with its answer.
//!
//! A command is a row with its actor and idempotency key, and a letter in the inbox. The turn that decides it writes
//! the outcome and deletes the letter. The handler waits for the outcome; if it takes too long, it hands out the id.

use std::{borrow::Cow, time::Duration};

use gridflow_core::{CommandId, DagId, RunKey, Timestamp};
use serde_json::{Value, json};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::{Error, Inconsistency, decode::Row, text::clean, turn_row::turn_row};

/// How long an outcome can be asked for.
const KEPT_FOR: chrono::TimeDelta = chrono::TimeDelta::days(1);
/// Waiting handlers look again after this, doubled up to the maximum.
const POLL_MIN: Duration = Duration::from_millis(4);
const POLL_MAX: Duration = Duration::from_millis(100);

/// Something that only the leader may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    PauseDag { dag: DagId, is_paused: bool },
    CancelRun { run: RunKey },
}

/// A command that waits for the leader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    pub id: CommandId,
    pub actor: String,
    pub request: Request,
    pub created_at: Timestamp,
}

/// Commands that can be asked for.
#[derive(Debug, Clone)]
pub struct NewCommand {
    pub actor: String,
    /// The same key by the same actor is the same command, however often it is sent.
    pub idempotency_key: String,
    pub request: Request,
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The leader has not seen it; it will.
    Pending,
    Done,
    /// Why not, for people.
    Refused(String),
}

/// Commits a command and its letter. The same actor and key again returns the first one's id, unless it asked for
/// something else: [`Error::IdempotencyKeyTaken`].
pub async fn submit(conn: &mut PgConnection, command: &NewCommand, at: Timestamp) -> Result<CommandId, Error> {
    let (kind, payload) = command.request.encode();
    let row = sqlx::query!(
        r#"WITH new AS (
            INSERT INTO command (id, actor, idempotency_key, kind, payload, created_at, expires_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7)
            ON CONFLICT ON CONSTRAINT command_idempotency_key_taken DO NOTHING
            RETURNING id, created_at
        ), letter AS (
            INSERT INTO inbox (kind, subject, created_at) SELECT 'command', id, created_at FROM new
        )
        SELECT id AS "id!" FROM new"#,
        Uuid::now_v7(),
        &*clean(&command.actor),
        &*clean(&command.idempotency_key),
        kind,
        payload,
        at,
        at + KEPT_FOR,
    )
    .fetch_optional(&mut *conn)
    .await?;
    match row {
        Some(row) => Ok(CommandId(row.id)),
        None => same_as_before(conn, command).await,
    }
}

async fn same_as_before(conn: &mut PgConnection, command: &NewCommand) -> Result<CommandId, Error> {
    let first = sqlx::query!(
        "SELECT id, kind, payload FROM command WHERE actor = $1 AND idempotency_key = $2",
        &*clean(&command.actor),
        &*clean(&command.idempotency_key),
    )
    .fetch_optional(conn)
    .await?;
    match first {
        Some(first) if Request::decode(first.id, &first.kind, &first.payload)? == command.request => {
            Ok(CommandId(first.id))
        }
        Some(_) | None => Err(Error::IdempotencyKeyTaken),
    }
}

/// What became of a command; none if nobody knows it (any more).
pub async fn outcome(conn: &mut PgConnection, id: CommandId) -> Result<Option<Outcome>, Error> {
    let Some(row) = sqlx::query!("SELECT outcome, error FROM command WHERE id = $1", id.0).fetch_optional(conn).await?
    else {
        return Ok(None);
    };
    let at = Row { table: "command", key: &id };
    match row.outcome.as_deref() {
        None => Ok(Some(Outcome::Pending)),
        Some("done") => Ok(Some(Outcome::Done)),
        Some("refused") => Ok(Some(Outcome::Refused(row.error.unwrap_or_default()))),
        Some(_) => Err(at.wrong("outcome").into()),
    }
}

/// Waits until a command has an outcome, at most `limit`; then it is still [`Outcome::Pending`].
pub async fn wait(pool: &PgPool, id: CommandId, limit: Duration) -> Result<Option<Outcome>, Error> {
    let deadline = tokio::time::Instant::now() + limit;
    let mut pause = POLL_MIN;
    loop {
        // The connection goes back between looks: waiting handlers must not use up the pool.
        let found = outcome(&mut *pool.acquire().await?, id).await?;
        if found != Some(Outcome::Pending) || deadline <= tokio::time::Instant::now() {
            return Ok(found);
        }
        tokio::time::sleep_until((tokio::time::Instant::now() + pause).min(deadline)).await;
        pause = (pause * 2).min(POLL_MAX);
    }
}

/// Forgets commands whose day is over; says how many.
pub async fn expire(conn: &mut PgConnection, now: Timestamp) -> Result<u64, Error> {
    let done =
        sqlx::query!("DELETE FROM command WHERE expires_at < $1 AND outcome IS NOT NULL", now).execute(conn).await?;
    Ok(done.rows_affected())
}

/// What a turn answers to a command.
#[derive(Debug, sqlx::Encode)]
pub(crate) struct TurnRow<'a> {
    id: Uuid,
    /// Why it was refused.
    error: Option<Cow<'a, str>>,
}

turn_row!(TurnRow<'_>, "turn_v1_command");

impl<'a> From<&'a (CommandId, Result<(), String>)> for TurnRow<'a> {
    fn from((id, outcome): &'a (CommandId, Result<(), String>)) -> Self {
        Self { id: id.0, error: outcome.as_ref().err().map(|error| clean(error)) }
    }
}

impl Request {
    fn encode(&self) -> (&'static str, Value) {
        match self {
            Self::PauseDag { dag, is_paused } => ("pause_dag", json!({"dag": dag.as_str(), "is_paused": is_paused})),
            Self::CancelRun { run } => ("cancel_run", json!({"run": run.0})),
        }
    }

    pub(crate) fn decode(id: Uuid, kind: &str, payload: &Value) -> Result<Self, Inconsistency> {
        let at = Row { table: "command", key: &id };
        let text = |name: &str| at.known("payload", payload[name].as_str());
        match kind {
            "pause_dag" => Ok(Self::PauseDag {
                dag: at.dag_id(text("dag")?)?,
                is_paused: at.known("payload", payload["is_paused"].as_bool())?,
            }),
            "cancel_run" => Ok(Self::CancelRun { run: RunKey(at.known("payload", text("run")?.parse().ok())?) }),
            _ => Err(at.wrong("kind")),
        }
    }
}
