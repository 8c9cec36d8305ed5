//! Which calls are under way to one API server, and which wait. Pure.
//!
//! Launching has a lane of its own, so that tidying up after a thousand pods does not hold up the next one; and within
//! it what brings an attempt to its end of the way goes before what begins one.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use gridflow_core::{AttemptId, Timestamp};

use super::{
    super::{
        attempt::{Effect, Site},
        config::Limits,
        fleet::Sweep,
        launch::Launch,
    },
    pace::Pace,
};

/// One call to be made.
#[derive(Debug)]
pub(super) enum Job {
    Create(AttemptId, Arc<Launch>, Site),
    Attempt(AttemptId, Effect),
    Sweep(Sweep),
    Node(Arc<str>),
    Warnings(Site),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    Launching,
    Other,
}

impl Job {
    pub(super) fn lane(&self) -> Lane {
        match self {
            Self::Create(..) => Lane::Launching,
            Self::Attempt(_, Effect::MakeSecret { .. } | Effect::Confirm { .. }) => Lane::Launching,
            Self::Attempt(..) | Self::Sweep(_) | Self::Node(_) | Self::Warnings(_) => Lane::Other,
        }
    }
}

#[derive(Debug)]
pub(super) struct Lanes {
    limits: Limits,
    launching: usize,
    others: usize,
    /// Secrets, confirmations.
    urgent: VecDeque<Job>,
    creations: HashMap<Site, Creations>,
    waiting: VecDeque<Job>,
}

#[derive(Debug, Default)]
struct Creations {
    pace: Pace,
    under_way: usize,
    waiting: VecDeque<Creation>,
}

#[derive(Debug)]
struct Creation {
    attempt: AttemptId,
    launch: Arc<Launch>,
    /// It knows that the namespace refuses.
    is_told: bool,
}

impl Lanes {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            launching: 0,
            others: 0,
            urgent: VecDeque::new(),
            creations: HashMap::new(),
            waiting: VecDeque::new(),
        }
    }

    pub(super) fn push(&mut self, job: Job) {
        match job {
            Job::Create(attempt, launch, site) => {
                let creation = Creation { attempt, launch, is_told: false };
                self.creations.entry(site).or_default().waiting.push_back(creation);
            }
            job if job.lane() == Lane::Launching => self.urgent.push_back(job),
            job => self.waiting.push_back(job),
        }
    }

    /// The next call to make now, if there is one and room for it.
    pub(super) fn next(&mut self, now: Timestamp) -> Option<Job> {
        if self.others < self.limits.others_at_once
            && let Some(job) = self.waiting.pop_front()
        {
            self.others += 1;
            return Some(job);
        }
        if self.limits.launches_at_once <= self.launching {
            return None;
        }
        let job = self.urgent.pop_front().or_else(|| self.next_creation(now))?;
        self.launching += 1;
        Some(job)
    }

    fn next_creation(&mut self, now: Timestamp) -> Option<Job> {
        // The namespace with the fewest under way: one that is slow does not hold up the others.
        let has_room = |of: &Creations| !of.waiting.is_empty() && of.under_way < of.pace.room(now);
        let sites = self.creations.iter_mut().filter(|(_, creations)| has_room(creations));
        let (site, creations) = sites.min_by_key(|(_, creations)| creations.under_way)?;
        let Creation { attempt, launch, .. } = creations.waiting.pop_front()?;
        creations.under_way += 1;
        Some(Job::Create(attempt, launch, site.clone()))
    }

    pub(super) fn ended(&mut self, lane: Lane) {
        match lane {
            Lane::Launching => self.launching -= 1,
            Lane::Other => self.others -= 1,
        }
    }

    pub(super) fn created(&mut self, site: &Site) {
        if let Some(creations) = self.creations.get_mut(site) {
            creations.under_way -= 1;
            creations.pace.succeed();
        }
    }

    /// It is tried again, before the others. True if that is worth a word.
    pub(super) fn refused(&mut self, site: &Site, attempt: AttemptId, launch: Arc<Launch>, now: Timestamp) -> bool {
        let creations = self.creations.entry(site.clone()).or_default();
        creations.under_way = creations.under_way.saturating_sub(1);
        creations.waiting.push_front(Creation { attempt, launch, is_told: false });
        // Those that were under way together are refused together: one of them counts.
        creations.pace.room(now) != 0 && creations.pace.refuse(now)
    }

    /// Who waits in vain, once that is more than a hiccup: the one that was refused last, and behind it those that were
    /// not told before. Another refusal is no news to the others.
    pub(super) fn held_back(&mut self, site: &Site) -> Vec<AttemptId> {
        let Some(creations) = self.creations.get_mut(site).filter(|creations| creations.pace.is_refused_again()) else {
            return Vec::new();
        };
        let news = creations.waiting.iter_mut().filter(|creation| !creation.is_told);
        news.map(|creation| {
            creation.is_told = true;
            creation.attempt
        })
        .collect()
    }

    pub(super) fn make_room(&mut self, site: &Site, now: Timestamp) {
        if let Some(creations) = self.creations.get_mut(site) {
            creations.pace.make_room(now);
        }
    }

    /// When a namespace that refused may be asked again.
    pub(super) fn wake_at(&self, now: Timestamp) -> Option<Timestamp> {
        let waiting = self.creations.values().filter(|creations| !creations.waiting.is_empty());
        waiting.filter_map(|creations| creations.pace.wake_at()).filter(|at| now < *at).min()
    }
}

#[cfg(test)]
mod tests {
    use gridflow_core::RunKey;
    use serde_json::Value;
    use uuid::Uuid;

    use super::{super::super::launch::Object, *};

    fn site() -> Site {
        Site { cluster: 0, namespace: "ns".into() }
    }

    fn at(s: i64) -> Timestamp {
        Timestamp::from_timestamp(s, 0).unwrap()
    }

    fn launch() -> Arc<Launch> {
        Arc::new(Launch::sample(RunKey(Uuid::nil()), AttemptId(Uuid::nil()), Object::Pod(Value::Null)))
    }

    fn push(lanes: &mut Lanes, no: u128) {
        lanes.push(Job::Create(AttemptId(Uuid::from_u128(no)), launch(), site()));
    }

    /// Lets one creation try, and has it refused; who is to be told of that.
    fn refuse(lanes: &mut Lanes, now: Timestamp) -> Vec<u128> {
        let Some(Job::Create(attempt, launch, site)) = lanes.next(now) else { panic!("one may try") };
        lanes.ended(Lane::Launching);
        lanes.refused(&site, attempt, launch, now);
        lanes.held_back(&site).into_iter().map(|attempt| attempt.0.as_u128()).collect()
    }

    #[test]
    fn those_behind_a_refused_creation_are_told_once_and_not_of_a_hiccup() {
        let mut lanes = Lanes::new(Limits::default());
        (1..=3).for_each(|no| push(&mut lanes, no));
        assert_eq!(refuse(&mut lanes, at(0)), [0; 0]);
        assert_eq!(refuse(&mut lanes, at(10)), [1, 2, 3]);
        push(&mut lanes, 4);
        assert_eq!(refuse(&mut lanes, at(60)), [1, 4], "the one that tried, and who is new");
        assert_eq!(refuse(&mut lanes, at(120)), [1]);
    }
}
