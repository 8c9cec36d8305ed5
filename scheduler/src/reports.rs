//! What executors report, on its way to the core.

use chrono::Utc;
use gridflow_core::{AttemptId, AttemptOutcome, Event, RunKey, Timestamp, Turn, Usage};
use gridflow_executor::{kubernetes, local};
use gridflow_failpoint::{Point, check_about};
use gridflow_store::{
    beside::{Links, Waits},
    hold::{self, Hold},
};
use tokio::time::Instant;

use crate::{
    Error,
    executors::Report,
    lead::{Lead, Life, Unmentioned},
};

impl Lead {
    pub async fn take_report(&mut self, report: Report) -> Result<(), Error> {
        if check_about(Point::Reported, || format!("{report:?}")).is_err() {
            return Ok(());
        }
        match report {
            Report::Local(report) => self.take_local(report).await,
            Report::Pod(report) => self.take_pod(report).await,
        }
    }

    async fn take_local(&mut self, report: local::Report) -> Result<(), Error> {
        match report {
            // Not to be acknowledged: what it left is still wanted when the run is taken up again.
            local::Report::Started { run, .. } | local::Report::Finished { run, .. }
                if self.world.is_quarantined(run) => {}
            local::Report::Synced { turn_max, .. } => return self.host_synced(turn_max).await,
            local::Report::Started { attempt, run, pid, at } => {
                self.unmentioned.remove(&attempt);
                if self.world.task_instance_of(run, attempt).is_none() {
                    self.strays.push((run, attempt));
                }
                let started = Event::AttemptStarted { run, attempt, at, pid: Some(pid), place: None };
                self.unhurried.push(started, Instant::now());
            }
            local::Report::Finished { attempt, run, at, outcome, usage, output } => {
                self.unmentioned.remove(&attempt);
                self.pending.push_back(Event::AttemptFinished { run, attempt, at, outcome, usage, output });
            }
        }
        Ok(())
    }

    async fn take_pod(&mut self, report: kubernetes::Report) -> Result<(), Error> {
        match report {
            kubernetes::Report::Claimed { run, .. }
            | kubernetes::Report::Started { run, .. }
            | kubernetes::Report::Finished { run, .. }
                if self.world.is_quarantined(run) => {}
            kubernetes::Report::Synced { turn_max } => return self.clusters_synced(turn_max).await,
            kubernetes::Report::Claimed { run, attempt, claim } => {
                self.pending.push_back(Event::AttemptClaimed { run, attempt, claim });
            }
            kubernetes::Report::Started { run, attempt, at, place } => {
                self.unhurried.push(Event::AttemptStarted { run, attempt, at, pid: None, place }, Instant::now());
            }
            // No event: nothing is decided from it, and no turn is made for it.
            kubernetes::Report::Waits { run, attempt, has_started, reason } => {
                self.executors.beside.waits.tell(Waits { run, attempt, has_started, reason });
            }
            kubernetes::Report::Links { run, attempt, links } => {
                let links = links.into_iter().map(|link| (link.name, link.url)).collect();
                self.executors.beside.links.tell(Links { run, attempt, links });
            }
            kubernetes::Report::Finished { run, attempt, at, outcome, usage, output } => {
                self.pending.push_back(Event::AttemptFinished { run, attempt, at, outcome, usage, output });
            }
        }
        Ok(())
    }

    /// The host has told all it knows. What it does not know of this node's open attempts never
    /// started here, or died with its boot.
    async fn host_synced(&mut self, turn_max: Turn) -> Result<(), Error> {
        if self.leader.turn() < turn_max {
            let (node, inside) = (self.shared.node, self.leader.turn());
            return Err(Error::DatabaseBehind { node, outside: turn_max, inside });
        }
        let at = Utc::now();
        let mut unstarted = Vec::new();
        for (attempt, Unmentioned { run, life }) in std::mem::take(&mut self.unmentioned) {
            if self.world.is_quarantined(run) {
                continue;
            }
            match life {
                // This takes the claim if it is free, so whatever the truth is, it is reported, once.
                Life::ThisBoot => unstarted.push((run, attempt)),
                Life::DeadBoot => self.pending.push_back(lost_with_its_boot(run, attempt, at)),
            }
        }
        if !unstarted.is_empty() {
            self.executors.local.forestall(unstarted).await?;
        }
        Ok(())
    }

    /// Pods that others than this leader made carry turns of before its term.
    async fn clusters_synced(&mut self, turn_max: Turn) -> Result<(), Error> {
        let (node, inside) = (self.shared.node, self.leader.turn_at_takeover());
        if turn_max <= inside {
            return Ok(());
        }
        hold::place(&mut self.leader, &Hold { node, outside: turn_max, inside, since: Utc::now() }).await?;
        Err(Error::DatabaseBehind { node, outside: turn_max, inside })
    }
}

fn lost_with_its_boot(run: RunKey, attempt: AttemptId, at: Timestamp) -> Event {
    Event::AttemptFinished {
        run,
        attempt,
        at,
        outcome: AttemptOutcome::Lost { reason: "its machine was restarted".into() },
        usage: Usage::default(),
        output: None,
    }
}
