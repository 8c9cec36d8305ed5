//! The stop after the database went back in time, and the way out of it.
//!
//! What runs outside carries the turn that launched it. A turn outside that is above the database's own proves that the
//! database lost turns: it was restored from an older copy, or a failover dropped what was not replicated. Nothing is
//! launched then, because what was launched in the lost turns may still run. The stop is a row, so that every leader
//! and the API know of it, and only a person lifts it.

use gridflow_core::{AttemptId, AttemptOutcome, NodeId, RunKey, Timestamp, Turn};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

use crate::{
    Error,
    leader::Leader,
    report::{News, Report},
};

/// Why nothing is launched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Where the highest turn was seen.
    pub node: NodeId,
    pub outside: Turn,
    /// The last turn that the database knew of when it was noticed.
    pub inside: Turn,
    pub since: Timestamp,
}

/// What a node runs or has run that the database has no row of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    pub node: NodeId,
    pub attempt: AttemptId,
    pub run: RunKey,
    pub pid: Option<i64>,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub outcome: Option<String>,
}

/// The stop, if there is one.
pub async fn get(conn: &mut PgConnection) -> Result<Option<Hold>, Error> {
    let row = sqlx::query!("SELECT node_id, turn_outside, turn_inside, since FROM hold").fetch_optional(conn).await?;
    Ok(row.map(|row| Hold {
        node: NodeId(row.node_id),
        outside: Turn(row.turn_outside),
        inside: Turn(row.turn_inside),
        since: row.since,
    }))
}

/// A node that has seen a turn above this one, other than `own`: the one that has seen the highest.
pub async fn ahead(conn: &mut PgConnection, own: NodeId, inside: Turn) -> Result<Option<(NodeId, Turn)>, Error> {
    let row = sqlx::query!(
        "SELECT id, turn_highest FROM node WHERE turn_highest > $1 AND id <> $2 ORDER BY turn_highest DESC, id LIMIT 1",
        inside.0,
        own.0,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| (NodeId(row.id), Turn(row.turn_highest))))
}

/// Stops all launches, fenced. One that is there already stays.
pub async fn place(leader: &mut Leader, hold: &Hold) -> Result<(), Error> {
    let mut fenced = leader.begin().await?;
    sqlx::query!(
        "INSERT INTO hold (node_id, turn_outside, turn_inside, since) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        hold.node.0,
        hold.outside.0,
        hold.inside.0,
        hold.since,
    )
    .execute(&mut *fenced)
    .await?;
    fenced.commit().await
}

/// Writes down what a node has on record and the database does not know.
pub async fn note_unknown(conn: &mut PgConnection, node: NodeId, reports: &[Report]) -> Result<(), Error> {
    for report in reports {
        let (pid, started_at, ended_at, outcome) = match &report.news {
            News::Started { pid } => (Some(i64::from(*pid)), Some(report.at), None, None),
            News::Finished { outcome, .. } => (None, None, Some(report.at), Some(words(outcome))),
        };
        sqlx::query!(
            "INSERT INTO attempt_unknown AS u (node_id, attempt_id, dag_run_id, pid, started_at, ended_at, outcome)
             VALUES ($1, $2, $3, $4, $5, $6, $7)
             ON CONFLICT (node_id, attempt_id) DO UPDATE
             SET pid = coalesce(excluded.pid, u.pid), started_at = coalesce(excluded.started_at, u.started_at),
                 ended_at = coalesce(excluded.ended_at, u.ended_at), outcome = coalesce(excluded.outcome, u.outcome)",
            node.0,
            report.attempt.0,
            report.run.0,
            pid,
            started_at,
            ended_at,
            outcome,
        )
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

/// How it ended, for people.
fn words(outcome: &AttemptOutcome) -> String {
    match outcome {
        AttemptOutcome::Exited { code } => format!("exit code {code}"),
        AttemptOutcome::Signaled { signal } => format!("signal {signal}"),
        AttemptOutcome::OutOfMemory => "out of memory".to_owned(),
        AttemptOutcome::TimedOut => "execution timeout".to_owned(),
        AttemptOutcome::Canceled => "canceled".to_owned(),
        AttemptOutcome::NeverStarted => "never started".to_owned(),
        AttemptOutcome::SpawnFailed { .. } => "could not be started".to_owned(),
        AttemptOutcome::OutputInvalid { .. } => "invalid output".to_owned(),
        AttemptOutcome::Lost { .. } => "lost".to_owned(),
    }
}

/// What nodes have told so far.
pub async fn unknown(conn: &mut PgConnection) -> Result<Vec<Unknown>, Error> {
    let rows = sqlx::query!(
        "SELECT node_id, attempt_id, dag_run_id, pid, started_at, ended_at, outcome FROM attempt_unknown
         ORDER BY node_id, attempt_id"
    )
    .fetch_all(conn)
    .await?;
    let unknown = rows.into_iter().map(|row| Unknown {
        node: NodeId(row.node_id),
        attempt: AttemptId(row.attempt_id),
        run: RunKey(row.dag_run_id),
        pid: row.pid,
        started_at: row.started_at,
        ended_at: row.ended_at,
        outcome: row.outcome,
    });
    Ok(unknown.collect())
}

/// Accepts that the lost turns are lost: turns go on above all that any node has seen, whoever leads now is deposed, and
/// launches go on under the next leader. What was accepted stays in the audit log. False: there was no stop.
pub async fn lift(conn: &mut PgConnection, actor: &str, at: Timestamp) -> Result<bool, Error> {
    let mut transaction = conn.begin().await?;
    // As a takeover: waits for a turn in flight, and fences whoever made it.
    sqlx::query!("SELECT epoch FROM leader FOR UPDATE").fetch_one(&mut *transaction).await?;
    let Some(hold) = get(&mut transaction).await? else { return Ok(false) };
    let unknown = unknown(&mut transaction).await?;
    sqlx::query!(
        "UPDATE leader
         SET epoch = epoch + 1, holder = gen_random_uuid(), since = $1,
             turn = greatest(turn, $2, (SELECT max(turn_highest) FROM node), (SELECT max(turn) FROM transition_log))",
        at,
        hold.outside.0,
    )
    .execute(&mut *transaction)
    .await?;
    sqlx::query!("DELETE FROM hold").execute(&mut *transaction).await?;
    sqlx::query!("DELETE FROM attempt_unknown").execute(&mut *transaction).await?;
    sqlx::query!(
        "INSERT INTO audit_log (at, actor, action, extra) VALUES ($1, $2, 'accept_data_loss', $3)",
        at,
        actor,
        accepted(&hold, &unknown),
    )
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(true)
}

fn accepted(hold: &Hold, unknown: &[Unknown]) -> Value {
    let unknown = unknown.iter().map(|unknown| {
        json!({
            "node": unknown.node.0, "attempt": unknown.attempt.0, "run": unknown.run.0, "outcome": unknown.outcome,
        })
    });
    json!({
        "node": hold.node.0, "turn_outside": hold.outside.0, "turn_inside": hold.inside.0,
        "unknown": unknown.collect::<Vec<_>>(),
    })
}
