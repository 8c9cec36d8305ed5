//! What the host says, and what commands left: records become reports.

use std::collections::HashSet;

use gridflow_core::{AttemptId, AttemptOutcome, Output, RunKey, Turn};
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    super::{
        layout::{OUTPUT_FILE, scratch_dir},
        output,
        report::Report,
        scratch::Scratch,
        wire::{End, FromHost, Record, State, ToHost},
    },
    actor::{Actor, Done, RETRY_PAUSE, Told},
    link::Link,
    outcome::{outcome, timestamp, usage},
};

impl Actor {
    pub(super) fn take_message(&mut self, message: FromHost) {
        match message {
            FromHost::Record(record) => self.take_record(record),
            FromHost::Synced { turn_max } => {
                let boot = self.link.as_ref().map(|link| link.boot.clone()).unwrap_or_default();
                self.sync.told = Told::AfterSync;
                self.sync.report = Some(Report::Synced { boot, turn_max: Turn(turn_max) });
                self.report_sync();
                self.look_for_leftovers();
            }
            FromHost::Postponed { attempt, reason } => {
                tracing::warn!(%reason, attempt.id = %attempt, "the host cannot start a command now");
                self.postponed.insert(attempt);
                self.retry_at.get_or_insert_with(|| Instant::now() + RETRY_PAUSE);
            }
            FromHost::Welcome { .. } | FromHost::Stopping { .. } => {}
            FromHost::Refused { reason, .. } => tracing::error!(%reason, "the host of local commands refuses to work"),
        }
    }

    fn take_record(&mut self, record: Record) {
        if let Some(prepared) = self.unconfirmed.remove(&record.attempt)
            && prepared.stage != record.stage
        {
            // Another client's launch, or a cancel, took the claim.
            self.clear(vec![(record.attempt, prepared.stage)]);
        }
        let (attempt, run) = (AttemptId(record.attempt), RunKey(record.run));
        match record.state {
            State::Started { pid, at_us } => {
                self.known.insert(record.attempt, record.stage);
                if self.cancels.get(&record.attempt).is_some_and(|order| order.unclaimed_only) {
                    self.cancels.remove(&record.attempt);
                }
                self.reports.push_back(Report::Started { attempt, run, pid, at: timestamp(at_us) });
            }
            State::Gone { .. } if self.acknowledged.set.contains(&record.attempt) => {
                if !record.acknowledged {
                    self.push(&ToHost::Acknowledge { attempts: vec![record.attempt] });
                }
            }
            State::Gone { at_us, end, usage: used, start } => {
                self.cancels.remove(&record.attempt);
                // It came and went while nobody was connected.
                if let Some(start) = start.filter(|_| !self.known.contains_key(&record.attempt)) {
                    let at = timestamp(start.at_us);
                    self.reports.push_back(Report::Started { attempt, run, pid: start.pid, at });
                }
                if !record.acknowledged {
                    self.known.insert(record.attempt, record.stage);
                }
                let report = move |outcome, output| Report::Finished {
                    attempt,
                    run,
                    at: timestamp(at_us),
                    outcome,
                    usage: usage(used),
                    output,
                };
                self.collect(&record.attempt, record.stage, end, report);
            }
        }
    }

    /// Reads the output. Most commands write none, so only a file that is there is worth a blocking job.
    fn collect(
        &mut self,
        attempt: &Uuid,
        stage: u32,
        end: End,
        report: impl FnOnce(AttemptOutcome, Option<Output>) -> Report + Send + 'static,
    ) {
        let path = scratch_dir(&self.config.state_dir, *attempt, stage).join(OUTPUT_FILE);
        match output::open(&path) {
            Ok(None) => self.reports.push_back(report(outcome(end), None)),
            Ok(Some(file)) => {
                let (bytes_max, told) = (self.config.output_bytes_max, self.sync.told);
                self.sync.collecting += usize::from(told == Told::BeforeSync);
                self.jobs.spawn_blocking(move || {
                    let (outcome, output) = with_output(end, output::read(&file, bytes_max));
                    Done::Collected(report(outcome, output), told)
                });
            }
            Err(error) => {
                let left = output::Left::Invalid(format!("cannot open the output in `$GRIDFLOW_OUTPUT`: {error}"));
                let (outcome, output) = with_output(end, left);
                self.reports.push_back(report(outcome, output));
            }
        }
    }

    pub(super) fn take_collected(&mut self, report: Report, told: Told) {
        self.reports.push_back(report);
        self.sync.collecting -= usize::from(told == Told::BeforeSync);
        self.report_sync();
    }

    fn report_sync(&mut self) {
        if self.sync.collecting == 0 {
            self.reports.extend(self.sync.report.take());
        }
    }

    pub(super) fn clear(&mut self, stages: Vec<(Uuid, u32)>) {
        self.to_clear.extend(stages);
    }

    /// Tidies up, once everything that somebody waits for has left.
    pub(super) fn start_clearing(&mut self) {
        if self.to_clear.is_empty() || self.link.as_ref().is_some_and(Link::has_output) {
            return;
        }
        let stages = std::mem::take(&mut self.to_clear);
        let scratch = self.scratch.clone();
        self.jobs.spawn_blocking(move || {
            for (attempt, stage) in stages {
                if let Err(error) = scratch.clear(attempt, stage) {
                    tracing::warn!(%error, attempt.id = %attempt, "cannot remove a working directory");
                }
            }
            Done::Cleared
        });
    }

    /// Once, when the host has told everything.
    fn look_for_leftovers(&mut self) {
        if !self.leftovers.are_to_be_sought() {
            return;
        }
        let open: HashSet<Uuid> = self.known.keys().chain(self.unconfirmed.keys()).copied().collect();
        let scratch = self.scratch.clone();
        self.jobs.spawn_blocking(move || match scratch.unclaimed(|attempt| open.contains(&attempt)) {
            Ok(found) => Done::Unclaimed(found),
            Err(error) => {
                tracing::warn!(%error, "cannot look for old working directories");
                Done::Cleared
            }
        });
    }

    /// Removes those that have waited long enough.
    pub(super) fn clear_leftovers(&mut self, now: Instant) {
        // After a reconnect, the host has yet to tell what others have claimed meanwhile.
        let has_told = self.link.is_some() && self.sync.told == Told::AfterSync;
        let (known, unconfirmed) = (&self.known, &self.unconfirmed);
        let is_known = |attempt: &Uuid| known.contains_key(attempt) || unconfirmed.contains_key(attempt);
        let dirs = self.leftovers.due(now, has_told, is_known);
        if dirs.is_empty() {
            return;
        }
        self.jobs.spawn_blocking(move || {
            match Scratch::remove(&dirs) {
                Ok(0) => {}
                Ok(count) => tracing::info!(count, "removed old working directories"),
                Err(error) => tracing::warn!(%error, "cannot remove old working directories"),
            }
            Done::Cleared
        });
    }
}

/// An output that cannot be used makes a failure of a success, and nothing worse of a failure.
fn with_output(end: End, left: output::Left) -> (AttemptOutcome, Option<Output>) {
    match (outcome(end), left) {
        (AttemptOutcome::Exited { code: 0 }, output::Left::Invalid(message)) => {
            (AttemptOutcome::OutputInvalid { message }, None)
        }
        (outcome, output::Left::Json(output)) => (outcome, Some(output)),
        (outcome, output::Left::Nothing | output::Left::Invalid(_)) => (outcome, None),
    }
}
