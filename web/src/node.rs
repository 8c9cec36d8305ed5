//! `GET /nodes`, ours: the machines that run local attempts.

use axum::{extract::State, response::Response};
use gridflow_core::Timestamp;
use gridflow_store::api::node::{self, NodeRow};
use serde::Serialize;

use crate::{error::Result, json, query::Query, state::App};

#[derive(Serialize)]
struct Node {
    node_id: String,
    hostname: String,
    boot: String,
    /// `leader`, `standby`, or `silent` for one whose schedulers say nothing.
    state: &'static str,
    last_report: Timestamp,
    open_attempts: i64,
}

impl From<NodeRow> for Node {
    fn from(row: NodeRow) -> Self {
        let state = match (row.is_silent, row.is_leader) {
            (true, _) => "silent",
            (false, true) => "leader",
            (false, false) => "standby",
        };
        Self {
            node_id: row.node.to_string(),
            hostname: row.hostname,
            boot: row.boot,
            state,
            last_report: row.seen_at,
            open_attempts: row.open_attempts,
        }
    }
}

#[derive(Serialize)]
struct Nodes {
    nodes: Vec<Node>,
    total_entries: usize,
}

/// All of them at once: there are as many as machines.
pub async fn list(State(app): State<App>, query: Query) -> Result<Response> {
    query.finish()?;
    let nodes: Vec<Node> = node::all(&mut *app.conn().await?).await?.into_iter().map(Node::from).collect();
    let total_entries = nodes.len();
    Ok(json::ok(&Nodes { nodes, total_entries }))
}
