//! Machines that run local attempts: that they live, what of theirs is open, and how far they have seen the turns go.

use std::{collections::HashMap, time::Duration};

use gridflow_core::{AttemptId, AttemptState, NodeBinding, NodeId, RunKey, Timestamp, Turn};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{Error, decode::Row, leader::Pass};

/// A node as it reports itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub binding: NodeBinding,
    pub hostname: String,
    /// The highest turn that anything on it carries.
    pub turn_highest: Turn,
}

/// Takes a node's report, once its host has told all it knows: its present boot, and how far it has seen turns go.
/// `pass` is that of the leader, where a scheduler of this node leads: others of the node then leave its host alone.
pub async fn report(conn: &mut PgConnection, node: &Node, pass: Option<Pass>) -> Result<(), Error> {
    sqlx::query!(
        "INSERT INTO node (id, boot, hostname, seen_at, turn_highest, leads)
         VALUES ($1, $2, $3, clock_timestamp(), $4, $5)
         ON CONFLICT (id) DO UPDATE
         SET boot = excluded.boot, hostname = excluded.hostname, seen_at = excluded.seen_at,
             turn_highest = greatest(node.turn_highest, excluded.turn_highest),
             leads = coalesce(excluded.leads, node.leads)",
        node.binding.node.0,
        &*node.binding.boot,
        node.hostname,
        node.turn_highest.0,
        pass.map(|pass| pass.holder),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The node lives, and its host is at hand.
pub async fn seen(conn: &mut PgConnection, node: NodeId) -> Result<(), Error> {
    sqlx::query!("UPDATE node SET seen_at = clock_timestamp() WHERE id = $1", node.0).execute(conn).await?;
    Ok(())
}

/// What a node's scheduler must know to tend it while another node's leads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Charge {
    /// Reports are told to each leader anew until the attempt is closed.
    pub epoch: i64,
    /// The leader is a scheduler of this very node: it tends the node itself.
    pub leads_here: bool,
    /// Nothing may be launched: see [`crate::hold`].
    pub is_held: bool,
    /// The node has seen more turns than the database had at the last takeover: a leader is about to notice that the
    /// database went back in time, or nobody has taken over yet. Until that is decided, nothing follows from what the
    /// database does not know.
    pub is_ahead: bool,
    pub open: HashMap<AttemptId, OpenAttempt>,
}

/// An attempt that is bound to the node and not closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenAttempt {
    pub run: RunKey,
    pub boot: String,
    pub state: AttemptState,
    pub has_started: bool,
}

/// Read in one statement, so that all of it was true at one moment.
pub async fn charge(conn: &mut PgConnection, node: NodeId) -> Result<Charge, Error> {
    let rows = sqlx::query!(
        r#"SELECT l.epoch, EXISTS (SELECT FROM node AS n WHERE n.id = $1 AND n.leads = l.holder) AS "leads_here!",
            EXISTS (SELECT FROM hold) AS "is_held!",
            EXISTS (SELECT FROM node AS n WHERE n.id = $1 AND l.turn < n.turn_highest) AS "is_ahead!", a.dag_run_id AS "run?", a.attempt_id AS "attempt?",
            a.boot, a.state AS "state?", a.started_at IS NOT NULL AS "has_started!"
        FROM leader AS l LEFT JOIN attempt AS a ON a.is_open AND a.node_id = $1"#,
        node.0,
    )
    .fetch_all(conn)
    .await?;
    let mut charge = Charge::default();
    for row in rows {
        charge.epoch = row.epoch;
        charge.leads_here = row.leads_here;
        charge.is_held = row.is_held;
        charge.is_ahead = row.is_ahead;
        let (Some(run), Some(attempt), Some(state)) = (row.run, row.attempt, row.state) else { continue };
        let state = Row { table: "attempt", key: &attempt }.attempt_state(&state)?;
        let boot = row.boot.unwrap_or_default();
        let open = OpenAttempt { run: RunKey(run), boot, state, has_started: row.has_started };
        charge.open.insert(AttemptId(attempt), open);
    }
    Ok(charge)
}

/// What the database knows of attempts that a host has on record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    Open,
    Closed,
}

/// Of these attempts, those that have a row.
pub async fn known(
    conn: &mut PgConnection,
    attempts: &[(RunKey, AttemptId)],
) -> Result<HashMap<AttemptId, Known>, Error> {
    if attempts.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = sqlx::query!(
        "SELECT a.attempt_id, a.state FROM unnest($1::uuid[], $2::uuid[]) AS t (run, attempt)
         JOIN attempt AS a ON a.dag_run_id = t.run AND a.attempt_id = t.attempt",
        &attempts.iter().map(|(run, _)| run.0).collect::<Vec<_>>(),
        &attempts.iter().map(|(_, attempt)| attempt.0).collect::<Vec<_>>(),
    )
    .fetch_all(conn)
    .await?;
    let known = |state: &str| if state == "closed" { Known::Closed } else { Known::Open };
    Ok(rows.into_iter().map(|row| (AttemptId(row.attempt_id), known(&row.state))).collect())
}

/// The nodes among these that have been silent for longer than that, with the time they were last seen.
pub async fn silent(
    conn: &mut PgConnection,
    nodes: &[NodeId],
    longer_than: Duration,
) -> Result<Vec<(NodeId, String, Timestamp)>, Error> {
    let rows = sqlx::query!(
        "SELECT id, hostname, seen_at FROM node
         WHERE id = ANY ($1) AND seen_at < clock_timestamp() - make_interval(secs => $2) ORDER BY id",
        &nodes.iter().map(|node| node.0).collect::<Vec<_>>(),
        longer_than.as_secs_f64(),
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (NodeId(row.id), row.hostname, row.seen_at)).collect())
}

/// Which installation this database is.
pub async fn installation(conn: &mut PgConnection) -> Result<gridflow_core::InstallationId, Error> {
    let id: Uuid = sqlx::query_scalar!("SELECT id FROM installation").fetch_one(conn).await?;
    Ok(gridflow_core::InstallationId(id))
}
