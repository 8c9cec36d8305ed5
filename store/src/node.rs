//! Machines that run local attempts.

use gridflow_core::{NodeBinding, NodeId, Timestamp, Turn};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::Error;

/// A node as it reports itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub binding: NodeBinding,
    pub hostname: String,
    /// The highest turn that anything on it carries.
    pub turn_highest: Turn,
    pub seen_at: Timestamp,
}

/// Takes a node's report: its present boot, and that it lives.
pub async fn report(conn: &mut PgConnection, node: &Node) -> Result<(), Error> {
    sqlx::query!(
        "INSERT INTO node (id, boot, hostname, seen_at, turn_highest) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (id) DO UPDATE
         SET boot = excluded.boot, hostname = excluded.hostname, seen_at = excluded.seen_at,
             turn_highest = greatest(node.turn_highest, excluded.turn_highest)",
        node.binding.node.0,
        &*node.binding.boot,
        node.hostname,
        node.seen_at,
        node.turn_highest.0,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Every node that ever reported.
pub async fn all(conn: &mut PgConnection) -> Result<Vec<Node>, Error> {
    let rows =
        sqlx::query!("SELECT id, boot, hostname, seen_at, turn_highest FROM node ORDER BY id").fetch_all(conn).await?;
    let nodes = rows.into_iter().map(|row| Node {
        binding: NodeBinding { node: NodeId(row.id), boot: row.boot.into() },
        hostname: row.hostname,
        turn_highest: Turn(row.turn_highest),
        seen_at: row.seen_at,
    });
    Ok(nodes.collect())
}

/// Which installation this database is.
pub async fn installation(conn: &mut PgConnection) -> Result<gridflow_core::InstallationId, Error> {
    let id: Uuid = sqlx::query_scalar!("SELECT id FROM installation").fetch_one(conn).await?;
    Ok(gridflow_core::InstallationId(id))
}
