//! Doing what a committed plan says.
//!
//! Everything here may be asked for twice: a launch is claimed once, a cancel of what is gone is
//! nothing, an acknowledgement is final.

use gridflow_core::{Action, AttemptId, DagId, Event, LaunchOrder, RunKey, Timestamp};
use gridflow_failpoint::{Point, reach};
use gridflow_store::notify::Channel;

use crate::{Error, answer, lead::Lead};

/// Does the actions of one turn, batched by kind. What it reads for the core is input of the next turn.
pub(crate) async fn act(lead: &mut Lead, actions: Vec<Action>) -> Result<(), Error> {
    reach(Point::Act);
    let mut orders = Vec::new();
    let mut cancels = Vec::new();
    let mut acknowledged = Vec::new();
    let mut fetches = Vec::new();
    let mut is_for_others = false;
    for action in actions {
        match action {
            Action::Launch(order) => orders.push(order),
            Action::Cancel { run, attempt, .. } => cancels.push((run, attempt)),
            // Nothing is made yet that waits for it.
            Action::Confirm { .. } => {}
            Action::CancelElsewhere => is_for_others = true,
            Action::Acknowledge { attempt, .. } => acknowledged.push(attempt),
            Action::FetchQueued { dag, after, limit } => fetches.push((dag, after, limit)),
            Action::RunEnded { run } => lead.runs.forget(run),
        }
    }
    if is_for_others {
        lead.shared.waker.wake(Channel::Node);
    }
    launch(lead, orders, &mut cancels).await?;
    reach(Point::ActLaunched);
    if !cancels.is_empty() {
        lead.executor.cancel(cancels).await?;
    }
    if !acknowledged.is_empty() {
        lead.executor.acknowledge(acknowledged).await?;
    }
    // Last: a read holds up whatever comes behind it.
    for (dag, after, limit) in fetches {
        fetch_queued(lead, dag, after, limit).await?;
    }
    Ok(())
}

/// Hands attempts to the executor. One whose spec can't be rendered again after a takeover is
/// canceled instead: its claim decides, so it ends without a start unless it had already started.
async fn launch(
    lead: &mut Lead,
    orders: Vec<LaunchOrder>,
    cancels: &mut Vec<(RunKey, AttemptId)>,
) -> Result<(), Error> {
    let mut launches = Vec::with_capacity(orders.len());
    for order in orders {
        let prepared = match lead.prepared.remove(&order.attempt) {
            Some(prepared) => Ok(prepared),
            None => answer::render_again(lead, &order).await?,
        };
        match prepared {
            Ok(launch) => launches.push(launch),
            Err(message) => {
                tracing::warn!(attempt.id = %order.attempt, "a committed attempt can't be rendered again: {message}");
                cancels.push((order.key.run, order.attempt));
            }
        }
    }
    if !launches.is_empty() {
        lead.executor.launch(launches).await?;
    }
    Ok(())
}

async fn fetch_queued(
    lead: &mut Lead,
    dag: DagId,
    after: Option<(Timestamp, RunKey)>,
    limit: u32,
) -> Result<(), Error> {
    let mut runs = gridflow_store::run::queued_after(&mut lead.reader, &dag, after, limit + 1).await?;
    let has_more = limit < runs.len() as u32;
    runs.truncate(limit as usize);
    lead.pending.push_back(Event::QueuedFetched { dag, after, runs, has_more });
    Ok(())
}
