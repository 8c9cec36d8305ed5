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
            Self::Attempt(..) | Self::Sweep(_) | Self::Node(_) => Lane::Other,
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
    waiting: VecDeque<(AttemptId, Arc<Launch>)>,
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
                self.creations.entry(site).or_default().waiting.push_back((attempt, launch));
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
        let (attempt, launch) = creations.waiting.pop_front()?;
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
        creations.waiting.push_front((attempt, launch));
        // Those that were under way together are refused together: one of them counts.
        creations.pace.room(now) != 0 && creations.pace.refuse(now)
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
