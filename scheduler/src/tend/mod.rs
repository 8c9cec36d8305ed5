//! Tending this node while another node's scheduler leads.
//!
//! ```text
//! host ──reports──▶ records ─┐                  ┌─▶ inbox: what the leader does not know yet
//! attempts of the node, ─────┴─▶ decide (pure) ─┼─▶ host: cancel, forestall, acknowledge
//! as the database has them                      └─▶ while there is a hold: what the database has no row of
//! ```
//!
//! Nothing is lost: the host keeps an end until it is acknowledged, and it is acknowledged only when the database says
//! that the attempt is closed, which is when the turn that took the report has committed. Until then the report is told
//! to every new leader again. Nothing is applied twice: the turn that applies a report deletes its letter, and what is
//! told of a closed attempt changes nothing.
//!
//! Orders need no rows of their own: an attempt of this node that is `canceling` is the order to end it.

mod decide;

use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io,
    path::Path,
    sync::Arc,
    time::Duration,
};

use chrono::Utc;
use gridflow_core::{AttemptId, NodeBinding, NodeId, RunKey, Turn};
use gridflow_executor::local::{Handle, LocalExecutor, Report as HostReport};
use gridflow_store::{
    Database, hold, inbox,
    node::{self, Node},
    notify::Channel,
    report::{News, Report},
};
use nix::fcntl::{Flock, FlockArg};
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval, sleep},
};

use crate::{Error, Shared, chain, parts::answered};
use decide::{Decision, Records, decide};

/// The slow poll behind the wake-ups, and how soon a report that could not be written is tried again.
const LOOK: Duration = Duration::from_secs(1);
/// How often the node says that it lives.
const SEEN_EVERY: Duration = Duration::from_secs(5);
/// Reports taken into one look.
const REPORTS_MAX: usize = 1_024;
/// A database that is silent for so long is asked again over another connection.
const LOOK_MAX: Duration = Duration::from_secs(30);
const AGAIN: Duration = Duration::from_secs(1);
/// One scheduler of a state directory tends it.
const LOCK: &str = "tend.lock";

/// Tends the node. What fails is tried again: the host keeps all that it has to tell.
///
/// Returns only what no new try can mend. May be dropped at any point.
pub(crate) async fn keep_tending(shared: Arc<Shared>) -> Error {
    loop {
        match tend(&shared).await {
            Ok(()) => {}
            Err(error) if error.is_for_a_person() => return error,
            Err(error) => tracing::warn!("tending this node is interrupted: {}", chain(&error)),
        }
        sleep(AGAIN).await;
    }
}

/// Until the leader is on this node, or something fails.
async fn tend(shared: &Shared) -> Result<(), Error> {
    if answered("asking where the leader is", LOOK_MAX, leader_tends(shared)).await? {
        return Ok(());
    }
    let Some(_lock) = lock(&shared.config.state_dir)? else { return Ok(()) };
    let (executor, reports) = LocalExecutor::connect_or_start(shared.executor_config()).await?;
    let mut tender = Tender { shared, executor, reports, records: Records::default(), seen_at: None };
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            report = tender.reports.recv() => {
                let report = report.ok_or(gridflow_executor::local::Error::Stopped)?;
                answered("telling of this node", LOOK_MAX, tender.take_all(report)).await?;
            }
            () = shared.signals.node.notified() => {}
            _ = look.tick() => {}
        }
        if !answered("comparing what runs here with the database", LOOK_MAX, tender.look()).await? {
            return Ok(());
        }
    }
}

/// Says that this node lives, for as long as it is polled: what the leader's process does for its own node.
pub(crate) async fn keep_seen(database: Database, node: NodeId) {
    loop {
        sleep(SEEN_EVERY).await;
        let seen = async { node::seen(&mut *database.reader().await?, node).await };
        if let Err(error) = answered("saying that this node lives", LOOK_MAX, seen).await {
            tracing::debug!("can't say that this node lives: {}", chain(&error));
        }
    }
}

async fn leader_tends(shared: &Shared) -> Result<bool, Error> {
    let charge = node::charge(&mut *shared.database.reader().await?, shared.node).await?;
    Ok(charge.leads_here && !charge.is_held)
}

struct Tender<'a> {
    shared: &'a Shared,
    executor: Handle,
    reports: mpsc::Receiver<HostReport>,
    records: Records,
    seen_at: Option<Instant>,
}

impl Tender<'_> {
    async fn take_all(&mut self, first: HostReport) -> Result<(), Error> {
        self.take(first).await?;
        for _ in 1..REPORTS_MAX {
            let Ok(report) = self.reports.try_recv() else { break };
            self.take(report).await?;
        }
        Ok(())
    }

    async fn take(&mut self, report: HostReport) -> Result<(), Error> {
        match report {
            HostReport::Synced { boot, turn_max } => {
                self.announce(boot.clone(), turn_max).await?;
                self.records.synced(boot);
            }
            HostReport::Started { attempt, run, pid, at } => {
                self.records.take(Report { run, attempt, at, news: News::Started { pid } });
            }
            HostReport::Finished { attempt, run, at, outcome, usage, output } => {
                self.records.take(Report { run, attempt, at, news: News::Finished { outcome, usage, output } });
            }
        }
        Ok(())
    }

    /// Before anything that the host has told is acted on: a leader must see that the node is ahead of it.
    async fn announce(&mut self, boot: Arc<str>, turn_highest: Turn) -> Result<(), Error> {
        let binding = NodeBinding { node: self.shared.node, boot };
        let me = Node { binding, hostname: crate::node::hostname(), turn_highest };
        node::report(&mut *self.shared.database.reader().await?, &me, None).await?;
        tracing::info!(node.id = %self.shared.node, "another node leads: telling it what runs here");
        self.seen_at = Some(Instant::now());
        Ok(())
    }

    /// Compares what the host has told with what the database says, and does what follows. False: the leader is here.
    async fn look(&mut self) -> Result<bool, Error> {
        let Some(boot) = self.records.boot() else { return Ok(true) };
        let mut conn = self.shared.database.reader().await?;
        if self.seen_at.is_none_or(|at| SEEN_EVERY <= at.elapsed()) {
            node::seen(&mut conn, self.shared.node).await?;
            self.seen_at = Some(Instant::now());
        }
        let charge = node::charge(&mut conn, self.shared.node).await?;
        if charge.leads_here && !charge.is_held {
            return Ok(false);
        }
        // What has no open row is closed, unknown, or was committed since: only a read after the first one tells.
        let others = self.records.not_among(&charge.open);
        let known = if others.is_empty() { HashMap::new() } else { node::known(&mut conn, &others).await? };
        let now = Utc::now();
        let decision = decide(&mut self.records, &boot, &charge, &known, now);
        inbox::report(&mut conn, &decision.letters, now).await?;
        hold::note_unknown(&mut conn, self.shared.node, &decision.unknown).await?;
        drop(conn);
        self.records.told(&decision);
        if !decision.letters.is_empty() {
            self.shared.waker.wake(Channel::Inbox);
        }
        self.order(decision).await?;
        Ok(true)
    }

    async fn order(&mut self, decision: Decision) -> Result<(), Error> {
        let Decision { cancel, forestall, acknowledge, strays, .. } = decision;
        for attempt in &strays {
            tracing::warn!(attempt.id = %attempt, "ending a command that the database does not know, or has given up");
        }
        if !cancel.is_empty() {
            self.executor.cancel(cancel).await?;
        }
        if !forestall.is_empty() {
            self.executor.forestall(forestall).await?;
        }
        if !acknowledge.is_empty() {
            self.executor.acknowledge(acknowledge).await?;
        }
        Ok(())
    }
}

/// None: another scheduler of the state directory tends the node.
fn lock(state_dir: &Path) -> Result<Option<Flock<File>>, Error> {
    let path = state_dir.join(LOCK);
    let failed = |source: io::Error| Error::StateDir { path: path.clone(), source };
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path).map_err(failed)?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Some(lock)),
        Err((_, nix::errno::Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, errno)) => Err(failed(errno.into())),
    }
}

/// An attempt, as executors take orders about it.
type Named = (RunKey, AttemptId);
