//! What a leader does about once a second, whether or not anything happens: it shows that it lives, and looks whether
//! the other nodes do.

use std::time::Duration;

use chrono::Utc;
use gridflow_core::Event;
use gridflow_store::{
    hold::{self, Hold},
    node::{self, Known},
};

use crate::{Error, lead::Lead};

/// One heartbeat.
pub(crate) async fn beat(lead: &mut Lead) -> Result<(), Error> {
    lead.leader.ping().await?;
    stop_if_behind(lead).await?;
    if let Some(longest) = lead.shared.config.node_lost_after {
        give_up_silent_nodes(lead, longest).await?;
    }
    Ok(())
}

/// A node may report after the takeover that it has seen more turns than the database had then.
async fn stop_if_behind(lead: &mut Lead) -> Result<(), Error> {
    let inside = lead.leader.turn_at_takeover();
    let Some((node, outside)) = hold::ahead(&mut lead.reader, lead.shared.node, inside).await? else { return Ok(()) };
    hold::place(&mut lead.leader, &Hold { node, outside, inside, since: Utc::now() }).await?;
    Err(Error::DatabaseBehind { node, outside, inside })
}

/// The only automatic way in which attempts of a silent node end.
async fn give_up_silent_nodes(lead: &mut Lead, longest: Duration) -> Result<(), Error> {
    let nodes: Vec<_> = lead.world.other_nodes().into_iter().collect();
    if nodes.is_empty() {
        return Ok(());
    }
    for (node, hostname, seen_at) in node::silent(&mut lead.reader, &nodes, longest).await? {
        let reason = format!("its node `{hostname}` ({node}) has been silent since {seen_at}");
        tracing::warn!(node.id = %node, "giving up the attempts of a node: {reason}");
        lead.pending.push_back(Event::NodeLost { node, at: Utc::now(), reason });
    }
    Ok(())
}

/// Ends commands on this node that no open attempt stands for: their node was given up while it was silent, or the
/// database lost them and somebody accepted that.
pub(crate) async fn end_strays(lead: &mut Lead) -> Result<(), Error> {
    let strays = std::mem::take(&mut lead.strays);
    let known = node::known(&mut lead.reader, &strays).await?;
    let ended = strays.into_iter().filter(|(_, attempt)| known.get(attempt) != Some(&Known::Open));
    let ended: Vec<_> = ended.collect();
    for (_, attempt) in &ended {
        tracing::warn!(attempt.id = %attempt, "ending a command that the database does not know, or has given up");
    }
    if !ended.is_empty() {
        lead.executors.local.cancel(ended).await?;
    }
    Ok(())
}
