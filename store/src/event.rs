//! Outside events: received once (T1), decided once (T2).

use std::borrow::Cow;

use gridflow_core::{DagId, EventId, EventOutcome, EventWrite, Timestamp};
use serde_json::Value;
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use crate::{Error, Inconsistency, decode::Row, error::expect_rows, inbox, text::clean, turn_row::turn_row};

/// A trigger: changing its filters keeps it, renaming makes a new one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TriggerKey {
    pub dag: DagId,
    /// Its `name:`, by default its kind.
    pub name: String,
}

/// Something that happened outside.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// Two events of one trigger with the same key are the same event.
    pub dedup_key: String,
    /// What the trigger saw: `{{ trigger.… }}`.
    pub payload: Value,
    pub occurred_at: Option<Timestamp>,
    /// Until when the key is remembered: the horizon of ONE-RUN. None: for ever.
    pub expires_at: Option<Timestamp>,
}

/// What was new.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Received {
    /// In the order they came.
    pub taken: Vec<EventId>,
    pub duplicate_count: usize,
}

/// T1: events, their dedup keys and the trigger's position in its source, in one transaction, which is committed when
/// this returns (unless the caller opened one around it: with [`crate::fence::hold`] or a fenced turn).
pub async fn receive(
    conn: &mut PgConnection,
    trigger: &TriggerKey,
    events: &[NewEvent],
    position: Option<&Value>,
    at: Timestamp,
) -> Result<Received, Error> {
    let mut transaction = conn.begin().await?;
    let received = receive_within(&mut transaction, trigger, events, position, at).await?;
    transaction.commit().await?;
    Ok(received)
}

/// [`receive`] as a part of the caller's own transaction, for leaders that receive inside a [`crate::leader::Fenced`].
pub async fn receive_within(
    conn: &mut PgConnection,
    trigger: &TriggerKey,
    events: &[NewEvent],
    position: Option<&Value>,
    at: Timestamp,
) -> Result<Received, Error> {
    let taken = claim(conn, trigger, events).await?;
    insert(conn, trigger, &taken, at).await?;
    if let Some(position) = position {
        move_cursor(conn, trigger, position, at).await?;
    }
    if !taken.is_empty() {
        inbox::tell_of_events(conn, &trigger.dag, at).await?;
    }
    let duplicate_count = events.len() - taken.len();
    Ok(Received { taken: taken.into_iter().map(|(id, _)| id).collect(), duplicate_count })
}

/// Takes the dedup keys that nobody has; returns their events in the order they came.
async fn claim<'e>(
    conn: &mut PgConnection,
    trigger: &TriggerKey,
    events: &'e [NewEvent],
) -> Result<Vec<(EventId, &'e NewEvent)>, Error> {
    let mut candidates: Vec<_> = events.iter().map(|event| (EventId(Uuid::now_v7()), event)).collect();
    let in_order: Vec<EventId> = candidates.iter().map(|(id, _)| *id).collect();
    // Everyone takes keys in the same order, so that two receivers of one batch wait for each other but never deadlock.
    candidates.sort_by(|(a_id, a), (b_id, b)| (&a.dedup_key, a_id).cmp(&(&b.dedup_key, b_id)));
    let fresh = sqlx::query_scalar!(
        "INSERT INTO event_dedup (bundle_id, dag_id, trigger_name, dedup_key, event_id, expires_at)
         SELECT 1, $1, $2, dedup_key, event_id, expires_at
         FROM unnest($3::text[], $4::uuid[], $5::timestamptz[]) AS t (dedup_key, event_id, expires_at)
         ON CONFLICT DO NOTHING
         RETURNING event_id",
        trigger.dag.as_str(),
        &*clean(&trigger.name),
        &candidates.iter().map(|(_, event)| clean(&event.dedup_key).into_owned()).collect::<Vec<_>>(),
        &candidates.iter().map(|(id, _)| id.0).collect::<Vec<_>>(),
        &candidates.iter().map(|(_, event)| event.expires_at).collect::<Vec<_>>() as &[Option<Timestamp>],
    )
    .fetch_all(conn)
    .await?;
    let fresh: std::collections::HashSet<Uuid> = fresh.into_iter().collect();
    Ok(in_order.into_iter().zip(events).filter(|(id, _)| fresh.contains(&id.0)).collect())
}

async fn insert(
    conn: &mut PgConnection,
    trigger: &TriggerKey,
    taken: &[(EventId, &NewEvent)],
    at: Timestamp,
) -> Result<(), Error> {
    if taken.is_empty() {
        return Ok(());
    }
    let done = sqlx::query!(
        "INSERT INTO event (id, bundle_id, dag_id, trigger_name, dedup_key, payload, occurred_at, received_at)
         SELECT id, 1, $1, $2, dedup_key, payload::json, occurred_at, $3
         FROM unnest($4::uuid[], $5::text[], $6::text[], $7::timestamptz[]) AS t (id, dedup_key, payload, occurred_at)",
        trigger.dag.as_str(),
        &*clean(&trigger.name),
        at,
        &taken.iter().map(|(id, _)| id.0).collect::<Vec<_>>(),
        &taken.iter().map(|(_, event)| clean(&event.dedup_key).into_owned()).collect::<Vec<_>>(),
        &taken.iter().map(|(_, event)| event.payload.to_string()).collect::<Vec<_>>(),
        &taken.iter().map(|(_, event)| event.occurred_at).collect::<Vec<_>>() as &[Option<Timestamp>],
    )
    .execute(conn)
    .await?;
    expect_rows("event", taken.len(), done.rows_affected())
}

async fn move_cursor(
    conn: &mut PgConnection,
    trigger: &TriggerKey,
    position: &Value,
    at: Timestamp,
) -> Result<(), Error> {
    sqlx::query!(
        "INSERT INTO trigger_cursor (bundle_id, dag_id, trigger_name, position, updated_at) VALUES (1, $1, $2, $3, $4)
         ON CONFLICT (bundle_id, dag_id, trigger_name) DO UPDATE SET position = $3, updated_at = $4",
        trigger.dag.as_str(),
        &*clean(&trigger.name),
        position,
        at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Moves a trigger's position from where it was read; false if somebody moved it meanwhile, or is about to and wins.
/// A part of the caller's own transaction, which is to be rolled back then.
pub async fn move_position(
    conn: &mut PgConnection,
    trigger: &TriggerKey,
    from: Option<&Value>,
    to: &Value,
    at: Timestamp,
) -> Result<bool, Error> {
    let done = sqlx::query!(
        "INSERT INTO trigger_cursor AS c (bundle_id, dag_id, trigger_name, position, updated_at) VALUES (1, $1, $2, $3, $4)
         ON CONFLICT (bundle_id, dag_id, trigger_name) DO UPDATE SET position = $3, updated_at = $4
         WHERE c.position::jsonb = $5::jsonb",
        trigger.dag.as_str(),
        &*clean(&trigger.name),
        to,
        at,
        from,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// How far a trigger has read its source.
pub async fn position(conn: &mut PgConnection, trigger: &TriggerKey) -> Result<Option<Value>, Error> {
    let position = sqlx::query_scalar!(
        "SELECT position FROM trigger_cursor WHERE bundle_id = 1 AND dag_id = $1 AND trigger_name = $2",
        trigger.dag.as_str(),
        &*clean(&trigger.name),
    )
    .fetch_optional(conn)
    .await?;
    Ok(position)
}

/// Which of these keys a trigger has taken already: lets a listing skip what it knows before it reads the contents.
pub async fn known_keys(conn: &mut PgConnection, trigger: &TriggerKey, keys: &[String]) -> Result<Vec<String>, Error> {
    let known = sqlx::query_scalar!(
        "SELECT dedup_key FROM event_dedup
         WHERE bundle_id = 1 AND dag_id = $1 AND trigger_name = $2 AND dedup_key = ANY($3)",
        trigger.dag.as_str(),
        &*clean(&trigger.name),
        keys,
    )
    .fetch_all(conn)
    .await?;
    Ok(known)
}

/// Keys passed over in one statement.
const PASSED_MAX: usize = 10_000;

/// Takes keys without events: what a trigger leaves aside for good. A part of the caller's own transaction.
pub async fn pass_over(conn: &mut PgConnection, trigger: &TriggerKey, keys: &[String]) -> Result<(), Error> {
    let mut keys = keys.to_vec();
    // In the order in which everyone takes them: see `claim`.
    keys.sort_unstable();
    for chunk in keys.chunks(PASSED_MAX) {
        sqlx::query!(
            "INSERT INTO event_dedup (bundle_id, dag_id, trigger_name, dedup_key, event_id)
             SELECT 1, $1, $2, dedup_key, $4 FROM unnest($3::text[]) AS t (dedup_key)
             ON CONFLICT DO NOTHING",
            trigger.dag.as_str(),
            &*clean(&trigger.name),
            chunk,
            Uuid::nil(),
        )
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

/// An event that no turn has decided.
#[derive(Debug, Clone, PartialEq)]
pub struct PendingEvent {
    pub id: EventId,
    pub trigger: TriggerKey,
    pub payload: Value,
    pub occurred_at: Option<Timestamp>,
    pub received_at: Timestamp,
}

/// Undecided events of these DAGs, oldest first.
pub async fn pending(conn: &mut PgConnection, dags: &[DagId], limit: u32) -> Result<Vec<PendingEvent>, Error> {
    let dags: Vec<String> = dags.iter().map(|dag| dag.as_str().to_owned()).collect();
    let rows = sqlx::query_as!(
        PendingRow,
        "SELECT id, dag_id, trigger_name, payload, occurred_at, received_at FROM event
         WHERE outcome IS NULL AND dag_id = ANY($1)
         ORDER BY id
         LIMIT $2",
        &dags,
        i64::from(limit),
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(PendingEvent::try_from).collect::<Result<_, _>>()?)
}

/// Undecided events of all DAGs, oldest first.
pub async fn all_pending(conn: &mut PgConnection, limit: u32) -> Result<Vec<PendingEvent>, Error> {
    Ok(read_pending(conn, limit).await?.into_iter().collect::<Result<_, _>>()?)
}

/// [`all_pending`], where one that can't be read does not hide the others.
pub(crate) async fn read_pending(
    conn: &mut PgConnection,
    limit: u32,
) -> Result<Vec<Result<PendingEvent, Inconsistency>>, Error> {
    let rows = sqlx::query_as!(
        PendingRow,
        "SELECT id, dag_id, trigger_name, payload, occurred_at, received_at FROM event
         WHERE outcome IS NULL
         ORDER BY id
         LIMIT $1",
        i64::from(limit),
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(PendingEvent::try_from).collect())
}

/// Forgets dedup keys whose horizon has passed; says how many.
pub async fn expire_keys(conn: &mut PgConnection, now: Timestamp) -> Result<u64, Error> {
    let done = sqlx::query!("DELETE FROM event_dedup WHERE expires_at < $1", now).execute(conn).await?;
    Ok(done.rows_affected())
}

/// T2: what became of an event.
#[derive(Debug, sqlx::Encode)]
pub(crate) struct TurnRow<'a> {
    id: Uuid,
    dag_run_id: Option<Uuid>,
    /// Why it made no run.
    reason: Option<Cow<'a, str>>,
}

turn_row!(TurnRow<'_>, "turn_v1_event");

impl<'a> From<&'a EventWrite> for TurnRow<'a> {
    fn from(write: &'a EventWrite) -> Self {
        let (dag_run_id, reason) = match &write.outcome {
            EventOutcome::Run(run) => (Some(run.0), None),
            EventOutcome::Ignored { reason } => (None, Some(clean(reason))),
        };
        Self { id: write.event.0, dag_run_id, reason }
    }
}

struct PendingRow {
    id: Uuid,
    dag_id: String,
    trigger_name: String,
    payload: Value,
    occurred_at: Option<Timestamp>,
    received_at: Timestamp,
}

impl TryFrom<PendingRow> for PendingEvent {
    type Error = Inconsistency;

    fn try_from(row: PendingRow) -> Result<Self, Inconsistency> {
        let at = Row { table: "event", key: &row.id };
        Ok(Self {
            id: EventId(row.id),
            trigger: TriggerKey { dag: at.dag_id(&row.dag_id)?, name: row.trigger_name },
            payload: row.payload,
            occurred_at: row.occurred_at,
            received_at: row.received_at,
        })
    }
}
