//! Doing what a committed plan says.
//!
//! Everything here may be asked for twice: a launch is claimed once, a cancel of what is gone is
//! nothing, an acknowledgement is final.

use gridflow_core::{Action, AttemptId, DagId, Event, ExecutorKind, LaunchOrder, RunKey, Timestamp};
use gridflow_failpoint::{Point, reach};
use gridflow_store::notify::Channel;

use crate::{Error, answer, lead::Lead};

/// Does the actions of one turn, batched by kind. What it reads for the core is input of the next turn.
pub(crate) async fn act(lead: &mut Lead, actions: Vec<Action>) -> Result<(), Error> {
    reach(Point::Act);
    let mut orders = Vec::new();
    let mut claims = Vec::new();
    let mut cancels = Vec::new();
    let mut acknowledged = Vec::new();
    let mut fetches = Vec::new();
    let mut is_for_others = false;
    for action in actions {
        match action {
            Action::Launch(order) => orders.push(order),
            Action::Confirm { run, attempt, claim, .. } => claims.push((run, attempt, claim)),
            Action::Cancel { run, attempt, executor } => cancels.push((executor, run, attempt)),
            Action::CancelElsewhere => is_for_others = true,
            Action::Acknowledge { run, attempt, executor } => acknowledged.push((executor, run, attempt)),
            Action::FetchQueued { dag, after, limit } => fetches.push((dag, after, limit)),
            Action::RunEnded { run } => lead.runs.forget(run),
        }
    }
    if is_for_others {
        lead.shared.waker.wake(Channel::Node);
    }
    launch(lead, orders, &mut cancels).await?;
    lead.executors.confirm(claims).await?;
    reach(Point::ActLaunched);
    lead.executors.cancel(cancels).await?;
    lead.executors.acknowledge(acknowledged).await?;
    // Last: a read holds up whatever comes behind it.
    for (dag, after, limit) in fetches {
        fetch_queued(lead, dag, after, limit).await?;
    }
    Ok(())
}

/// Hands attempts to their executors. One whose spec can't be rendered again after a takeover is
/// canceled instead: its claim decides, so it ends without a start unless it had already started.
async fn launch(
    lead: &mut Lead,
    orders: Vec<LaunchOrder>,
    cancels: &mut Vec<(ExecutorKind, RunKey, AttemptId)>,
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
                cancels.push((order.executor, order.key.run, order.attempt));
            }
        }
    }
    lead.executors.launch(launches).await
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
