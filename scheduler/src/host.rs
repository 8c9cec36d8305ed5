//! Meeting this node's host at the beginning of a term.

use std::sync::Arc;

use gridflow_core::Turn;
use gridflow_executor::local::{Handle, LocalExecutor, Report};
use gridflow_store::Leader;
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval},
};

use crate::{Error, Shared};

/// The host, and everything that it had to tell when the term began.
pub(crate) struct Host {
    pub executor: Handle,
    pub reports: mpsc::Receiver<Report>,
    /// In the order they came; the last one is [`Report::Synced`].
    pub told: Vec<Report>,
    /// The boot whose processes it can start and see.
    pub boot: Arc<str>,
    /// The highest turn of anything it has on record.
    pub turn_max: Turn,
}

/// Connects to the host, or starts it, and hears all that it knows: nothing may be decided before that, because it may
/// prove that the database went back in time. The leader keeps showing that it lives meanwhile.
pub(crate) async fn meet(shared: &Shared, leader: &mut Leader) -> Result<Host, Error> {
    let meeting = hear_out(shared);
    tokio::pin!(meeting);
    let mut heartbeat = interval(shared.config.heartbeat);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick comes at once, and a leader that has just taken over owes nothing yet.
    heartbeat.reset();
    loop {
        tokio::select! {
            host = meeting.as_mut() => return host,
            _ = heartbeat.tick() => leader.ping().await?,
        }
    }
}

async fn hear_out(shared: &Shared) -> Result<Host, Error> {
    let (executor, mut reports) = LocalExecutor::connect_or_start(shared.executor_config()).await?;
    let mut told = Vec::new();
    while let Some(report) = reports.recv().await {
        told.push(report.clone());
        if let Report::Synced { boot, turn_max } = report {
            return Ok(Host { executor, reports, told, boot, turn_max });
        }
    }
    Err(gridflow_executor::local::Error::Stopped.into())
}
