//! A Kubernetes: pods behind a gate until their uid is confirmed, and messages that arrive after their sender has died.

use std::{collections::BTreeMap, sync::Arc};

use gridflow_core::{AttemptId, AttemptOutcome, AttemptState, AttemptWrite, Event, Output, RunKey, Timestamp, Usage};

use crate::{Mutation, db::Db, host::random_outcome, rng::Rng, story::Story};

pub struct Cluster {
    /// By name, which is the attempt's: there is one at a time.
    pods: BTreeMap<AttemptId, Pod>,
    /// On their way from a scheduler's process.
    pub mail: Vec<(usize, Message)>,
    /// How often the pods of each attempt were started: the proof of ONE-LAUNCH.
    pub starts: BTreeMap<AttemptId, u32>,
    /// Ends that follow from there being no pod.
    told: Vec<Event>,
    uids: u64,
    mutation: Mutation,
}

#[derive(Debug, Clone)]
pub enum Message {
    Create(RunKey, AttemptId),
    Confirm(RunKey, AttemptId, Arc<str>),
    Cancel(RunKey, AttemptId),
    Acknowledge(AttemptId),
}

struct Pod {
    run: RunKey,
    uid: Arc<str>,
    /// None: it waits behind its gate. Without one it has our finalizer, too, and stays until we have seen its end.
    started_at: Option<Timestamp>,
    lives_until: Option<(Timestamp, AttemptOutcome)>,
    ended: Option<(Timestamp, AttemptOutcome)>,
}

impl Cluster {
    pub fn new(mutation: Mutation) -> Self {
        let (pods, mail, starts, told) = (BTreeMap::new(), Vec::new(), BTreeMap::new(), Vec::new());
        Self { pods, mail, starts, told, uids: 0, mutation }
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
        story.note(|| format!("    the cluster takes {message:?}"));
        match message {
            Message::Create(run, attempt) => self.create((run, attempt), now, db, rng, story),
            Message::Confirm(run, attempt, uid) => self.confirm((run, attempt), &uid, now, db, rng, story),
            Message::Cancel(run, attempt) => {
                self.cancel((run, attempt), now, db);
                Ok(())
            }
            Message::Acknowledge(attempt) => {
                // The finalizer comes off; a gated pod that nobody wants any more is deleted.
                self.pods.retain(|name, pod| *name != attempt || pod.lives_until.is_some());
                Ok(())
            }
        }
    }

    fn create(
        &mut self,
        (run, attempt): (RunKey, AttemptId),
        now: Timestamp,
        db: &Db,
        rng: &mut Rng,
        story: &mut Story,
    ) -> Result<(), String> {
        let Some(row) = db.attempts.get(&attempt) else {
            return Err(format!("ONE-LAUNCH: a pod of attempt {attempt} was made without being committed"));
        };
        if self.pods.contains_key(&attempt) {
            story.note(|| "    a pod is there already".to_owned());
            return Ok(());
        }
        match row.to {
            AttemptState::Queued if row.claim.is_some() => story.note(|| "    another pod takes the name".to_owned()),
            AttemptState::Queued => {}
            AttemptState::Running | AttemptState::Canceling | AttemptState::Closed => {
                story.note(|| "    a pod is made too late".to_owned());
            }
        }
        self.uids += 1;
        let uid = format!("uid-{}", self.uids).into();
        self.pods.insert(attempt, Pod { run, uid, started_at: None, lives_until: None, ended: None });
        if self.mutation == Mutation::PodsWithoutGate { self.start(attempt, now, rng) } else { Ok(()) }
    }

    fn confirm(
        &mut self,
        (run, attempt): (RunKey, AttemptId),
        uid: &Arc<str>,
        now: Timestamp,
        db: &Db,
        rng: &mut Rng,
        story: &mut Story,
    ) -> Result<(), String> {
        let is_meant = |pod: &&Pod| pod.uid == *uid || self.mutation == Mutation::ConfirmsByName;
        match self.pods.get(&attempt).filter(is_meant) {
            Some(pod) if pod.started_at.is_some() || pod.ended.is_some() => Ok(()),
            Some(pod) => {
                let claim = db.attempts.get(&attempt).and_then(|row| row.claim.clone());
                if claim.as_ref() != Some(&pod.uid) {
                    return Err(format!("ONE-LAUNCH: {} runs for {attempt}, whose claim is {claim:?}", pod.uid));
                }
                self.start(attempt, now, rng)
            }
            None => {
                story.note(|| "    a confirmation finds no pod".to_owned());
                self.tell((run, attempt), now, AttemptOutcome::Lost { reason: "its pod was deleted".to_owned() });
                Ok(())
            }
        }
    }

    fn start(&mut self, attempt: AttemptId, now: Timestamp, rng: &mut Rng) -> Result<(), String> {
        let pod = self.pods.get_mut(&attempt).expect("the caller found it");
        let outcome = random_outcome(rng);
        if matches!(outcome, AttemptOutcome::SpawnFailed { .. }) {
            pod.ended = Some((now, outcome));
            return Ok(());
        }
        pod.started_at = Some(now);
        let seconds = if rng.percent(30) { 0 } else { rng.between(1, 240) };
        pod.lives_until = Some((now + chrono::TimeDelta::seconds(seconds as i64), outcome));
        let starts = self.starts.entry(attempt).or_default();
        *starts += 1;
        if *starts == 1 { Ok(()) } else { Err(format!("ONE-LAUNCH: the pods of {attempt} started twice")) }
    }

    fn cancel(&mut self, named: (RunKey, AttemptId), now: Timestamp, db: &Db) {
        match self.pods.get_mut(&named.1) {
            Some(pod) if pod.started_at.is_none() && pod.ended.is_none() => {
                self.pods.remove(&named.1);
                self.tell(named, now, AttemptOutcome::NeverStarted);
            }
            Some(pod) => {
                if let Some((until, outcome)) = &mut pod.lives_until {
                    let killed_at = now + chrono::TimeDelta::seconds(5);
                    if killed_at < *until {
                        (*until, *outcome) = (killed_at, AttemptOutcome::Canceled);
                    }
                }
            }
            None => {
                let has_claim = db.attempts.get(&named.1).is_some_and(|row| row.claim.is_some());
                let lost = AttemptOutcome::Lost { reason: "its pod is gone".to_owned() };
                self.tell(named, now, if has_claim { lost } else { AttemptOutcome::NeverStarted });
            }
        }
    }

    fn tell(&mut self, (run, attempt): (RunKey, AttemptId), at: Timestamp, outcome: AttemptOutcome) {
        let usage = Usage::default();
        self.told.push(Event::AttemptFinished { run, attempt, at, outcome, usage, output: None });
    }

    /// Containers whose time has come are gone.
    pub fn pass_time(&mut self, now: Timestamp) {
        for pod in self.pods.values_mut() {
            if pod.lives_until.as_ref().is_some_and(|(until, _)| *until <= now) {
                pod.ended = pod.lives_until.take();
            }
        }
    }

    pub fn next_end(&self) -> Option<Timestamp> {
        self.pods.values().filter_map(|pod| Some(pod.lives_until.as_ref()?.0)).min()
    }

    pub fn living(&self) -> impl Iterator<Item = AttemptId> + '_ {
        self.pods.iter().filter(|(_, pod)| pod.lives_until.is_some()).map(|(attempt, _)| *attempt)
    }

    /// Somebody deletes a pod, or the node it runs on evicts it.
    pub fn interfere(&mut self, now: Timestamp, rng: &mut Rng) {
        let names: Vec<AttemptId> = self.pods.keys().copied().collect();
        let Some(name) = (!names.is_empty()).then(|| *rng.pick(&names)) else { return };
        let pod = self.pods.get_mut(&name).expect("just listed");
        if pod.started_at.is_none() && pod.ended.is_none() {
            self.pods.remove(&name);
        } else if pod.lives_until.take().is_some() {
            pod.ended = Some((now, AttemptOutcome::Lost { reason: "evicted".to_owned() }));
        }
    }

    /// What a leader that did not see it happen needs to be told: nothing. Pods are found again by its watch.
    pub fn reports(&mut self, share: u64, rng: &mut Rng) -> Vec<Event> {
        let mut reports: Vec<Event> = std::mem::take(&mut self.told);
        for (attempt, pod) in &self.pods {
            let (run, attempt) = (pod.run, *attempt);
            match (pod.started_at, &pod.ended) {
                _ if !rng.percent(share) => {}
                (None, None) => reports.push(Event::AttemptClaimed { run, attempt, claim: Arc::clone(&pod.uid) }),
                (started_at, ended) => {
                    let place = Some("node/boot".into());
                    reports.extend(started_at.map(|at| Event::AttemptStarted { run, attempt, at, pid: None, place }));
                    let output = rng.percent(50).then(|| Output { value: serde_json::json!(1).into(), bytes: 1 });
                    reports.extend(ended.clone().map(|(at, outcome)| {
                        let usage = Usage::default();
                        Event::AttemptFinished { run, attempt, at, outcome, usage, output }
                    }));
                }
            }
        }
        rng.shuffle(&mut reports);
        reports
    }
}

/// Where a message of the leader about an attempt goes.
pub fn is_here(row: Option<&AttemptWrite>) -> bool {
    row.is_some_and(|row| !row.executor.is_bound_to_node())
}
