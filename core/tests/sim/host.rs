//! A node: claims taken once, commands that live for a while, reports that come late, twice or
//! in another order, and messages that arrive after their sender has died.

use std::collections::BTreeMap;

use gridflow_core::{
    AttemptId, AttemptOutcome, AttemptState, AttemptWrite, Event, NodeBinding, NodeId, Output, RunKey, TaskNo,
    Timestamp, Usage,
};

use crate::{
    Mutation,
    db::{Db, Inbox},
    rng::Rng,
    story::Story,
};

pub struct Host {
    node: u128,
    boot: u64,
    /// On disk: they survive everything.
    claims: BTreeMap<AttemptId, Claim>,
    /// On their way from a scheduler's process.
    pub mail: Vec<(usize, Message)>,
    /// How often each command was started: the proof of ONE-LAUNCH.
    pub starts: BTreeMap<AttemptId, u32>,
    old_reports: Vec<Event>,
    /// Ends that no claim stands for; only a broken node has them.
    unclaimed: Vec<Event>,
    mutation: Mutation,
}

#[derive(Debug, Clone, Copy)]
pub enum Message {
    Launch(RunKey, AttemptId),
    Cancel(RunKey, AttemptId),
    Acknowledge(AttemptId),
}

struct Claim {
    run: RunKey,
    task_no: Option<TaskNo>,
    started_at: Option<Timestamp>,
    /// When the command ends by itself, while it lives.
    lives_until: Option<(Timestamp, AttemptOutcome)>,
    ended: Option<(Timestamp, AttemptOutcome)>,
    is_acknowledged: bool,
}

impl Host {
    pub fn new(node: usize, mutation: Mutation) -> Self {
        Self {
            node: node as u128 + 1,
            boot: 1,
            claims: BTreeMap::new(),
            mail: Vec::new(),
            starts: BTreeMap::new(),
            old_reports: Vec::new(),
            unclaimed: Vec::new(),
            mutation,
        }
    }

    pub fn binding(&self) -> NodeBinding {
        NodeBinding { node: NodeId(uuid::Uuid::from_u128(self.node)), boot: format!("boot {}", self.boot).into() }
    }

    /// Delivers one message of the mail.
    pub fn deliver(
        &mut self,
        index: usize,
        now: Timestamp,
        db: &Db,
        rng: &mut Rng,
        story: &mut Story,
    ) -> Result<(), String> {
        let (_, message) = self.mail.remove(index);
        story.note(|| format!("    node {} takes {message:?}", self.node));
        match message {
            Message::Launch(run, attempt) => {
                if let Some(claim) = self.claims.get(&attempt) {
                    let is_overtaken = claim.started_at.is_none() && claim.task_no.is_none();
                    story.note(|| {
                        format!("    a launch comes {}", if is_overtaken { "after its cancel" } else { "again" })
                    });
                }
                self.launch((run, attempt), now, db, rng)
            }
            Message::Cancel(run, attempt) => {
                self.cancel(run, attempt, now);
                Ok(())
            }
            Message::Acknowledge(attempt) => {
                if let Some(claim) = self.claims.get_mut(&attempt) {
                    claim.is_acknowledged = true;
                }
                Ok(())
            }
        }
    }

    fn launch(
        &mut self,
        (run, attempt): (RunKey, AttemptId),
        now: Timestamp,
        db: &Db,
        rng: &mut Rng,
    ) -> Result<(), String> {
        let Some(row) = db.attempts.get(&attempt) else {
            return Err(format!("ONE-LAUNCH: attempt {attempt} was launched without being committed"));
        };
        if row.binding.as_ref() != Some(&self.binding()) {
            return Ok(()); // Another boot's.
        }
        if self.claims.contains_key(&attempt) && self.mutation != Mutation::NoClaims {
            return Ok(());
        }
        let mut claim = Claim {
            run,
            task_no: Some(row.task_no),
            started_at: None,
            lives_until: None,
            ended: None,
            is_acknowledged: false,
        };
        let outcome = random_outcome(rng);
        if matches!(outcome, AttemptOutcome::SpawnFailed { .. }) {
            claim.ended = Some((now, outcome));
        } else {
            *self.starts.entry(attempt).or_default() += 1;
            claim.started_at = Some(now);
            let seconds = if rng.percent(30) { 0 } else { rng.between(1, 240) };
            claim.lives_until = Some((now + chrono::TimeDelta::seconds(seconds as i64), outcome));
        }
        self.claims.insert(attempt, claim);
        if 1 < self.starts.get(&attempt).copied().unwrap_or(0) {
            return Err(format!("ONE-LAUNCH: the command of {attempt} started twice"));
        }
        Ok(())
    }

    fn cancel(&mut self, run: RunKey, attempt: AttemptId, now: Timestamp) {
        match self.claims.get_mut(&attempt) {
            None if self.mutation == Mutation::CancelTakesNoClaim => self.unclaimed.push(Event::AttemptFinished {
                run,
                attempt,
                at: now,
                outcome: AttemptOutcome::NeverStarted,
                usage: Usage::default(),
                output: None,
            }),
            None => self.claim_as_ended(run, attempt, now, AttemptOutcome::NeverStarted),
            Some(claim) => {
                // SIGTERM, a grace of five seconds.
                if let Some((until, outcome)) = &mut claim.lives_until {
                    let killed_at = now + chrono::TimeDelta::seconds(5);
                    if killed_at < *until {
                        (*until, *outcome) = (killed_at, AttemptOutcome::Canceled);
                    }
                }
            }
        }
    }

    fn claim_as_ended(&mut self, run: RunKey, attempt: AttemptId, now: Timestamp, outcome: AttemptOutcome) {
        let ended = Some((now, outcome));
        let claim = Claim { run, task_no: None, started_at: None, lives_until: None, ended, is_acknowledged: false };
        self.claims.insert(attempt, claim);
    }

    /// Commands whose time has come are gone.
    pub fn pass_time(&mut self, now: Timestamp) {
        for claim in self.claims.values_mut() {
            if claim.lives_until.as_ref().is_some_and(|(until, _)| *until <= now) {
                claim.ended = claim.lives_until.take();
            }
        }
    }

    pub fn next_end(&self) -> Option<Timestamp> {
        self.claims.values().filter_map(|claim| Some(claim.lives_until.as_ref()?.0)).min()
    }

    pub fn living(&self) -> impl Iterator<Item = AttemptId> + '_ {
        self.claims.iter().filter(|(_, claim)| claim.lives_until.is_some()).map(|(attempt, _)| *attempt)
    }

    /// The host process is killed: its commands live on, how they end is not known.
    pub fn kill(&mut self) {
        for claim in self.claims.values_mut() {
            if let Some((_, outcome)) = &mut claim.lives_until {
                *outcome = AttemptOutcome::Lost { reason: "its host was killed".to_owned() };
            }
        }
    }

    /// The node reboots: everything is gone, launches of the old boot never happen.
    pub fn reboot(&mut self, now: Timestamp) {
        self.boot += 1;
        self.mail.clear();
        for claim in self.claims.values_mut().filter(|claim| claim.lives_until.is_some()) {
            claim.lives_until = None;
            claim.ended = Some((now, AttemptOutcome::Lost { reason: "the node rebooted".to_owned() }));
        }
    }

    /// A scheduler of this node names the attempts that the database holds open here: those of another boot
    /// without a claim will never start.
    pub fn adopt(&mut self, db: &Db, now: Timestamp) {
        let node = self.node;
        for row in db.open_attempts().filter(|row| is_of(node, row)) {
            if row.binding.as_ref() != Some(&self.binding()) && !self.claims.contains_key(&row.attempt) {
                self.claim_as_ended(row.run, row.attempt, now, AttemptOutcome::NeverStarted);
            }
        }
    }

    /// What a standby does for its node while another node leads: it completes or calls off what was
    /// queued for this boot, carries out cancels, tidies up what is committed, and hands in its reports.
    pub fn tend(&mut self, process: usize, now: Timestamp, db: &mut Db, share: u64, rng: &mut Rng) {
        self.adopt(db, now);
        let node = self.node;
        for row in db.attempts.values().filter(|row| is_of(node, row)) {
            if !rng.percent(share) {
                continue;
            }
            let (run, attempt) = (row.run, row.attempt);
            let claim = self.claims.get(&attempt);
            match row.to {
                AttemptState::Queued if claim.is_none() && row.spec_hash.is_some() => {
                    let launches = rng.percent(50);
                    let message = if launches { Message::Launch(run, attempt) } else { Message::Cancel(run, attempt) };
                    self.mail.push((process, message));
                }
                AttemptState::Canceling => self.mail.push((process, Message::Cancel(run, attempt))),
                AttemptState::Closed if claim.is_some_and(|claim| !claim.is_acknowledged) => {
                    self.mail.push((process, Message::Acknowledge(attempt)));
                }
                AttemptState::Queued | AttemptState::Running | AttemptState::Closed => {}
            }
        }
        for report in self.reports(share, rng) {
            db.put_inbox(Inbox::Report(report));
        }
    }

    /// Some of the reports that nobody has acknowledged, in any order, some of them twice.
    pub fn reports(&mut self, share: u64, rng: &mut Rng) -> Vec<Event> {
        let mut reports = std::mem::take(&mut self.unclaimed);
        for (attempt, claim) in self.claims.iter().filter(|(_, claim)| !claim.is_acknowledged) {
            if let Some(at) = claim.started_at
                && rng.percent(share)
            {
                reports.push(Event::AttemptStarted {
                    run: claim.run,
                    attempt: *attempt,
                    at,
                    pid: Some(7),
                    place: None,
                });
            }
            let seems_gone = self.mutation == Mutation::ReportsTooEarly && claim.lives_until.is_some();
            let ended = if seems_gone { claim.lives_until.as_ref() } else { claim.ended.as_ref() };
            if let Some((at, outcome)) = ended
                && rng.percent(share)
            {
                let output = rng.percent(50).then(|| Output { value: serde_json::json!(1).into(), bytes: 1 });
                reports.push(Event::AttemptFinished {
                    run: claim.run,
                    attempt: *attempt,
                    at: *at,
                    outcome: outcome.clone(),
                    usage: Usage::default(),
                    output,
                });
            }
        }
        if self.mutation == Mutation::DropsReports {
            reports.retain(|report| match report {
                Event::AttemptFinished { attempt, .. } => !attempt.0.as_u128().is_multiple_of(3),
                _ => true,
            });
        }
        self.old_reports.extend(reports.iter().filter(|_| rng.percent(10)).cloned());
        if rng.percent(10) && !self.old_reports.is_empty() {
            reports.push(rng.pick(&self.old_reports).clone());
        }
        rng.shuffle(&mut reports);
        reports
    }
}

fn is_of(node: u128, row: &AttemptWrite) -> bool {
    row.binding.as_ref().is_some_and(|binding| binding.node.0.as_u128() == node)
}

pub fn random_outcome(rng: &mut Rng) -> AttemptOutcome {
    match rng.below(100) {
        0..62 => AttemptOutcome::Exited { code: 0 },
        62..80 => AttemptOutcome::Exited { code: 1 },
        80..86 => AttemptOutcome::Exited { code: 99 },
        86..89 => AttemptOutcome::Signaled { signal: 9 },
        89..92 => AttemptOutcome::TimedOut,
        92..94 => AttemptOutcome::SpawnFailed { message: "no such file".to_owned() },
        94..96 => AttemptOutcome::OutputInvalid { message: "no JSON".to_owned() },
        _ => AttemptOutcome::Lost { reason: "unknown".to_owned() },
    }
}
