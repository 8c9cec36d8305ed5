//! What the leader must look at. Always read whole: a row with a lower id may be committed later than one with a higher.

use gridflow_core::{CommandId, DagId, InboxId, PoolName, QueuedRun, RunKey};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    Error, Inconsistency, Timestamp,
    command::{self, Command},
    decode::Row,
    pool,
    report::Report,
    run::QueuedRow,
};

/// A row and what it is about.
#[derive(Debug)]
pub struct Letter {
    pub id: InboxId,
    pub item: Item,
}

#[derive(Debug)]
pub enum Item {
    /// Somebody created a run. It may be in memory already, and need not be queued any more. What templates read of
    /// it comes along for the first few.
    RunQueued(QueuedRun, Option<Box<Facts>>),
    /// Somebody asks for something; the turn that consumes this letter writes the command's outcome.
    Command(Command),
    /// A trigger received events: see [`crate::event::pending`].
    EventsReceived { dag: DagId },
    /// Somebody changed a pool; none is unlimited.
    PoolChanged { pool: PoolName, slots: Option<u32> },
    /// A node's scheduler tells of one of its attempts.
    Report(Report),
    /// What it was about is gone: a deleted run, an expired command.
    Gone,
    /// Written by a newer version, or unreadable. Consume it, and say so.
    Unreadable(Inconsistency),
}

/// What a run that waits to start was given.
#[derive(Debug)]
pub struct Facts {
    pub conf: serde_json::Value,
    pub trigger: Option<serde_json::Value>,
    pub traceparent: Option<String>,
}

/// So many runs come with their facts: they may start in the next turn, and reading them again would hold it up. More
/// would rather wait in the queue, where they need no memory.
const FACTS_MAX: i64 = 64;

/// The rows that are there now, oldest first.
pub async fn all(conn: &mut PgConnection, limit: u32) -> Result<Vec<Letter>, Error> {
    let rows = sqlx::query_as!(
        LetterRow,
        // The payload of a report is never taken apart here: an escaped NUL in an output would fail the statement.
        r#"SELECT i.id, i.kind, i.subject,
            CASE WHEN i.kind = 'events_received' THEN i.payload->>'dag' END AS dag,
            CASE WHEN i.kind = 'pool_changed' THEN i.payload->>'pool' END AS pool, p.slots AS "slots?",
            CASE WHEN i.kind IN ('attempt_started', 'attempt_finished') THEN i.payload END AS report,
            r.id AS "run?", r.dag_id AS "run_dag?", r.dag_version_id AS "version?", r.run_id AS "run_id?",
            r.run_type AS "run_type?", r.logical_date, r.data_interval_start, r.data_interval_end,
            r.run_after AS "run_after?",
            CASE WHEN i.place <= $2 AND r.state = 'queued' AND r.started_at IS NULL THEN r.conf END AS conf,
            CASE WHEN i.place <= $2 THEN r.trigger END AS trigger,
            r.traceparent,
            c.id AS "command?", c.actor AS "actor?", c.kind AS "command_kind?", c.payload AS "payload?",
            c.created_at AS "asked_at?"
        FROM (SELECT *, row_number() OVER (ORDER BY id) AS place FROM inbox ORDER BY id LIMIT $1) AS i
        LEFT JOIN dag_run AS r ON i.kind = 'run_queued' AND r.id = i.subject
        LEFT JOIN command AS c ON i.kind = 'command' AND c.id = i.subject
        LEFT JOIN pool AS p ON p.workspace_id = 1
            AND p.name = CASE WHEN i.kind = 'pool_changed' THEN i.payload->>'pool' END
        ORDER BY i.id"#,
        i64::from(limit),
        FACTS_MAX,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(LetterRow::decode).collect())
}

/// Tells the leader that a trigger received something.
pub(crate) async fn tell_of_events(conn: &mut PgConnection, dag: &DagId, at: Timestamp) -> Result<(), Error> {
    sqlx::query!(
        "INSERT INTO inbox (kind, payload, created_at) VALUES ('events_received', json_build_object('dag', $1::text), $2)",
        dag.as_str(),
        at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Tells the leader of attempts. A report whose like waits already adds nothing.
pub async fn report(conn: &mut PgConnection, reports: &[Report], at: Timestamp) -> Result<(), Error> {
    if reports.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "INSERT INTO inbox (kind, subject, payload, created_at)
         SELECT t.kind, t.subject, t.payload::json, $4 FROM unnest($1::text[], $2::uuid[], $3::text[])
             WITH ORDINALITY AS t (kind, subject, payload, place)
         ORDER BY t.place
         ON CONFLICT (subject, kind) WHERE kind IN ('attempt_started', 'attempt_finished') DO NOTHING",
        &reports.iter().map(|report| report.kind().to_owned()).collect::<Vec<_>>(),
        &reports.iter().map(|report| report.attempt.0).collect::<Vec<_>>(),
        // As texts: an array of JSON would go as `jsonb`, which can't hold an escaped NUL.
        &reports.iter().map(|report| report.encode().to_string()).collect::<Vec<_>>(),
        at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The rows that a turn dealt with, each once.
pub(crate) fn consumed_ids(consumed: &[InboxId]) -> Vec<i64> {
    let mut ids: Vec<i64> = consumed.iter().map(|id| id.0).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

struct LetterRow {
    id: i64,
    kind: String,
    subject: Option<Uuid>,
    report: Option<serde_json::Value>,
    dag: Option<String>,
    pool: Option<String>,
    slots: Option<i32>,
    run: Option<Uuid>,
    run_dag: Option<String>,
    version: Option<Uuid>,
    run_id: Option<String>,
    run_type: Option<String>,
    logical_date: Option<Timestamp>,
    data_interval_start: Option<Timestamp>,
    data_interval_end: Option<Timestamp>,
    run_after: Option<Timestamp>,
    conf: Option<serde_json::Value>,
    trigger: Option<serde_json::Value>,
    traceparent: Option<String>,
    command: Option<Uuid>,
    actor: Option<String>,
    command_kind: Option<String>,
    payload: Option<serde_json::Value>,
    asked_at: Option<Timestamp>,
}

impl LetterRow {
    fn decode(self) -> Letter {
        let id = InboxId(self.id);
        Letter { id, item: self.item().unwrap_or_else(Item::Unreadable) }
    }

    fn item(self) -> Result<Item, Inconsistency> {
        let at = Row { table: "inbox", key: &self.id };
        match self.kind.as_str() {
            "run_queued" => {
                let row = QueuedRow {
                    id: match self.run {
                        Some(id) => id,
                        None => return Ok(Item::Gone),
                    },
                    dag_id: at.known("subject", self.run_dag)?,
                    dag_version_id: at.known("subject", self.version)?,
                    run_id: at.known("subject", self.run_id)?,
                    run_type: at.known("subject", self.run_type)?,
                    logical_date: self.logical_date,
                    data_interval_start: self.data_interval_start,
                    data_interval_end: self.data_interval_end,
                    run_after: at.known("subject", self.run_after)?,
                };
                let (trigger, traceparent) = (self.trigger, self.traceparent);
                let facts = self.conf.map(|conf| Box::new(Facts { conf, trigger, traceparent }));
                Ok(Item::RunQueued(row.try_into()?, facts))
            }
            "command" => {
                let Some(id) = self.command else { return Ok(Item::Gone) };
                let kind = at.known("subject", self.command_kind)?;
                let payload = at.known("subject", self.payload)?;
                Ok(Item::Command(Command {
                    id: CommandId(id),
                    actor: at.known("subject", self.actor)?,
                    request: command::Request::decode(id, &kind, &payload)?,
                    created_at: at.known("subject", self.asked_at)?,
                }))
            }
            "events_received" => Ok(Item::EventsReceived { dag: at.dag_id(&at.known("payload", self.dag)?)? }),
            "pool_changed" => match self.slots {
                None => Ok(Item::Gone),
                Some(slots) => {
                    let pool = at.known("payload", self.pool.as_deref().and_then(|name| PoolName::parse(name).ok()))?;
                    Ok(Item::PoolChanged { pool, slots: pool::limit(slots) })
                }
            },
            "attempt_started" | "attempt_finished" => {
                let (attempt, payload) = (at.known("subject", self.subject)?, at.known("payload", self.report)?);
                Ok(Item::Report(Report::decode(at, attempt, payload)?))
            }
            _ => Err(at.wrong("kind")),
        }
    }
}

/// For tests and doctors: whether a letter about this run waits.
pub async fn has_run(conn: &mut PgConnection, run: RunKey) -> Result<bool, Error> {
    let found = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM inbox WHERE kind = 'run_queued' AND subject = $1) AS "found!""#,
        run.0
    )
    .fetch_one(conn)
    .await?;
    Ok(found)
}
