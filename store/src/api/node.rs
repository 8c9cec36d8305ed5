//! Nodes as people see them, and whether nothing may be launched.

use gridflow_core::{MapIndex, NodeId, RunKey, TaskNo, Timestamp};
use sqlx::PgConnection;

use crate::Error;

/// A node that said nothing for so long is silent: it says that it lives every five seconds.
const SILENT_AFTER_SECONDS: f64 = 15.0;

/// A machine that runs, or ran, local attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRow {
    pub node: NodeId,
    pub hostname: String,
    pub boot: String,
    /// When one of its schedulers last spoke, by the database's clock.
    pub seen_at: Timestamp,
    pub is_silent: bool,
    /// One of its schedulers leads.
    pub is_leader: bool,
    /// Attempts bound to it that are not closed.
    pub open_attempts: i64,
}

/// Every node that ever reported, the last seen first.
pub async fn all(conn: &mut PgConnection) -> Result<Vec<NodeRow>, Error> {
    let rows = sqlx::query!(
        r#"SELECT n.id, n.hostname, n.boot, n.seen_at,
            n.seen_at < clock_timestamp() - make_interval(secs => $1) AS "is_silent!",
            EXISTS (SELECT FROM leader AS l WHERE l.holder = n.leads) AS "is_leader!",
            (SELECT count(*) FROM attempt AS a WHERE a.is_open AND a.node_id = n.id) AS "open_attempts!"
        FROM node AS n ORDER BY n.seen_at DESC, n.id"#,
        SILENT_AFTER_SECONDS,
    )
    .fetch_all(conn)
    .await?;
    let nodes = rows.into_iter().map(|row| NodeRow {
        node: NodeId(row.id),
        hostname: row.hostname,
        boot: row.boot,
        seen_at: row.seen_at,
        is_silent: row.is_silent,
        is_leader: row.is_leader,
        open_attempts: row.open_attempts,
    });
    Ok(nodes.collect())
}

/// The node of a task instance's open attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whereabouts {
    pub node: NodeId,
    pub hostname: String,
    pub seen_at: Timestamp,
    pub is_silent: bool,
}

/// Where the processes of a task instance are, if any are not known to be gone.
pub async fn of_open_attempt(
    conn: &mut PgConnection,
    run: RunKey,
    task_no: TaskNo,
    map_index: MapIndex,
) -> Result<Option<Whereabouts>, Error> {
    let row = sqlx::query!(
        r#"SELECT n.id, n.hostname, n.seen_at,
            n.seen_at < clock_timestamp() - make_interval(secs => $4) AS "is_silent!"
        FROM attempt AS a JOIN node AS n ON n.id = a.node_id
        WHERE a.dag_run_id = $1 AND a.task_no = $2 AND a.map_index = $3 AND a.is_open"#,
        run.0,
        i32::try_from(task_no.0).unwrap_or(i32::MAX),
        map_index.0,
        SILENT_AFTER_SECONDS,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| Whereabouts {
        node: NodeId(row.id),
        hostname: row.hostname,
        seen_at: row.seen_at,
        is_silent: row.is_silent,
    }))
}
