//! All attempts of one term, and the pods that no attempt stands for. Pure: what comes in, what is to be done.

mod applications;
mod sweep;
#[cfg(test)]
mod tests;
mod warnings;

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    sync::Arc,
};

use gridflow_core::{AttemptId, RunKey, Timestamp, Turn};

pub use sweep::{Sweep, SweepCall, Swept};

use super::{
    attempt::{Answer, Attempt, Effect, Home, Input, Kind, Rules, Site, step},
    claim::{Claim, SiteName},
    config::{ClusterConfig, Keep},
    gone::NodeWord,
    launch::{Launch, Open},
    output::Left,
    pod::Pod,
    report::Report,
    spark::Application,
};
use applications::Applications;
use sweep::{Horizon, Strays};
pub use warnings::ByUid;
use warnings::Warnings;

/// What the scheduler orders.
#[derive(Debug)]
pub enum Order {
    Launch(Vec<Launch>),
    Confirm(Vec<(RunKey, AttemptId, Arc<str>)>),
    Cancel(Vec<(RunKey, AttemptId)>),
    Acknowledge(Vec<(RunKey, AttemptId)>),
}

/// What a watch says of its namespace.
#[derive(Debug)]
pub enum Word {
    /// A list begins: what it does not show is not there.
    ListBegan,
    Listed(Box<Pod>),
    ListEnded,
    Applied(Box<Pod>),
    Deleted(Box<Pod>),
    /// None of this kind can be seen, for this reason; or, without one, again.
    Unseen(Kind, Option<Arc<str>>),
    /// The same for SparkApplications, where any are watched.
    ApplicationsBegan,
    Application(Box<Application>),
    ApplicationDeleted(Box<Application>),
    ApplicationsEnded,
}

#[derive(Debug)]
pub enum Happened {
    Ordered(Order),
    Watched(Site, Word),
    Answered(AttemptId, Answer),
    /// Where it is to be made nothing can be made now, for this reason.
    HeldBack(AttemptId, Arc<str>),
    /// What nodes warned of.
    Warned(Site, ByUid),
    NodeSpoke(AttemptId, NodeWord),
    LogEnded(AttemptId, Left),
    Swept {
        attempt: AttemptId,
        uid: Arc<str>,
        swept: Swept,
    },
    /// It is time for something.
    Woke,
}

/// What is to be done.
#[derive(Debug)]
pub enum Todo {
    Report(Report),
    /// The attempt's own; none of them is a report, a claim, a wake, a sweep or the last word.
    Attempt(AttemptId, Effect),
    Sweep(Sweep),
    /// What nodes warn of in a namespace.
    FindWarnings(Site),
    /// Nobody needs it any more, or ever will.
    DropApplication(Site, AttemptId),
    /// Nothing is left of it: its log task, if any, is over.
    Forgotten(AttemptId),
}

#[derive(Debug)]
pub struct Fleet {
    clusters: Vec<Cluster>,
    sites: HashMap<Site, Listing>,
    attempts: HashMap<AttemptId, Slot>,
    strays: Strays,
    applications: Applications,
    /// Strays wait for a turn that is not known yet.
    turn_known: Turn,
    turn_max: Turn,
    is_synced: bool,
    wakes: BinaryHeap<Reverse<(Timestamp, AttemptId)>>,
    stray_wake: Option<Timestamp>,
}

#[derive(Debug)]
struct Cluster {
    name: Arc<str>,
    keep: Keep,
    rules: Rules,
}

#[derive(Debug, Default)]
struct Listing {
    generation: u32,
    was_complete: bool,
    /// Kinds that can't be seen, and for which reason.
    unseen: HashMap<Kind, Arc<str>>,
    warnings: Warnings,
}

#[derive(Debug)]
struct Slot {
    attempt: Attempt,
    generation: u32,
    wake_at: Option<Timestamp>,
    /// By the leader of this term: its own pods say nothing about what earlier ones have seen.
    is_ordered: bool,
}

impl Fleet {
    pub fn new(clusters: &[ClusterConfig], open: &[Open]) -> Self {
        let sites = clusters.iter().enumerate().flat_map(|(cluster, config)| {
            config.namespaces.iter().map(move |namespace| Site { cluster, namespace: namespace.clone() })
        });
        let mut fleet = Self {
            clusters: clusters.iter().map(Cluster::new).collect(),
            sites: sites.map(|site| (site, Listing::default())).collect(),
            attempts: HashMap::with_capacity(open.len()),
            strays: Strays::default(),
            applications: Applications::default(),
            turn_known: open.iter().map(|open| open.queued_turn).max().unwrap_or_default(),
            turn_max: Turn::default(),
            is_synced: false,
            wakes: BinaryHeap::new(),
            stray_wake: None,
        };
        for open in open {
            let claim = open.claim.as_deref().map(Claim::parse);
            let home = claim.map_or(Home::Unknown, |claim| fleet.home(&claim));
            fleet.attempts.insert(open.attempt, Slot::new(Attempt::open(open, home)));
        }
        fleet
    }

    pub fn sites(&self) -> impl Iterator<Item = &Site> {
        self.sites.keys()
    }

    /// Its pod is still to be made.
    pub fn wants_creation(&self, attempt: AttemptId) -> bool {
        self.attempts.get(&attempt).is_some_and(|slot| slot.attempt.wants_creation())
    }

    /// When something is due, at the latest.
    pub fn wake_at(&self) -> Option<Timestamp> {
        let attempt = self.wakes.peek().map(|Reverse((at, _))| *at);
        [attempt, self.stray_wake, self.applications.wake_at()].into_iter().flatten().min()
    }

    pub fn step(&mut self, happened: Happened, now: Timestamp) -> Vec<Todo> {
        let mut todo = Vec::new();
        match happened {
            Happened::Ordered(order) => self.take_order(order, now, &mut todo),
            Happened::Watched(site, word) => self.take_word(site, word, now, &mut todo),
            Happened::Answered(attempt, answer) => self.feed(attempt, Input::Answer(answer), now, &mut todo),
            Happened::HeldBack(attempt, reason) => self.feed(attempt, Input::HeldBack(reason), now, &mut todo),
            Happened::Warned(site, by_uid) => self.take_warnings(&site, by_uid, now, &mut todo),
            Happened::NodeSpoke(attempt, word) => self.feed(attempt, Input::Node(word), now, &mut todo),
            Happened::LogEnded(attempt, left) => self.feed(attempt, Input::LogEnded(left), now, &mut todo),
            Happened::Swept { attempt, uid, swept } => {
                self.strays.answer(attempt, &uid, swept, now);
                self.look_at_strays(Some(attempt), now, &mut todo);
            }
            Happened::Woke => self.wake(now, &mut todo),
        }
        todo
    }

    fn take_order(&mut self, order: Order, now: Timestamp, todo: &mut Vec<Todo>) {
        match order {
            Order::Launch(launches) => {
                for launch in launches {
                    self.launch(launch, now, todo);
                }
                // What is of a turn that was not known may be closed.
                self.look_at_strays(None, now, todo);
                self.look_at_applications(now, todo);
            }
            Order::Confirm(attempts) => {
                for (run, attempt, claim) in attempts {
                    let claim = Claim::parse(&claim);
                    self.stand_for(run, attempt, self.home(&claim));
                    self.feed(attempt, Input::Confirm(claim.uid), now, todo);
                    self.tell_unseen(attempt, now, todo);
                    if self.is_synced && self.attempts.get(&attempt).is_some_and(|slot| slot.attempt.pod().is_none()) {
                        self.feed(attempt, Input::Unlisted, now, todo);
                    }
                }
            }
            Order::Cancel(attempts) => {
                for (run, attempt) in attempts {
                    self.stand_for(run, attempt, Home::Unknown);
                    self.feed(attempt, Input::Cancel, now, todo);
                }
            }
            Order::Acknowledge(attempts) => {
                for (_, attempt) in attempts {
                    self.feed(attempt, Input::Acknowledge, now, todo);
                    self.strays.acknowledge(attempt);
                    self.look_at_strays(Some(attempt), now, todo);
                }
            }
        }
    }

    fn launch(&mut self, launch: Launch, now: Timestamp, todo: &mut Vec<Todo>) {
        self.turn_known = self.turn_known.max(launch.turn);
        let id = launch.attempt;
        let site = self.site(self.cluster(&launch.cluster), &launch.namespace);
        self.attempts.entry(id).or_insert_with(|| Slot::new(Attempt::ordered(&launch))).is_ordered = true;
        for (site, pod) in self.strays.take(id) {
            self.feed(id, Input::Pod(site, pod), now, todo);
        }
        if let Some((site, application)) = self.applications.take_stray(id) {
            self.feed(id, Input::Application(site, application), now, todo);
        }
        self.feed(id, Input::Launch(Arc::new(launch), site), now, todo);
        self.tell_unseen(id, now, todo);
    }

    fn stand_for(&mut self, run: RunKey, attempt: AttemptId, home: Home) {
        self.attempts.entry(attempt).or_insert_with(|| Slot::new(Attempt::unknown(attempt, run, home)));
    }

    fn cluster(&self, name: &str) -> Option<usize> {
        self.clusters.iter().position(|cluster| *cluster.name == *name)
    }

    /// `None`: nobody looks there.
    fn site(&self, cluster: Option<usize>, namespace: &Arc<str>) -> Option<Site> {
        let site = Site { cluster: cluster?, namespace: namespace.clone() };
        self.sites.contains_key(&site).then_some(site)
    }

    fn home(&self, claim: &Claim) -> Home {
        let Some(name) = &claim.site else { return Home::Unknown };
        let cluster = self.cluster(&name.cluster);
        match self.site(cluster, &name.namespace) {
            Some(site) => Home::At(site),
            None => Home::OutOfReach { site: name.clone(), cluster },
        }
    }

    fn claim(&self, site: Site, uid: Arc<str>) -> Arc<str> {
        let cluster = self.clusters[site.cluster].name.clone();
        Claim { site: Some(SiteName { cluster, namespace: site.namespace }), uid }.to_string().into()
    }

    fn take_word(&mut self, site: Site, word: Word, now: Timestamp, todo: &mut Vec<Todo>) {
        match word {
            Word::ListBegan => {
                if let Some(listing) = self.sites.get_mut(&site) {
                    listing.generation = listing.generation.wrapping_add(1);
                }
            }
            Word::Listed(pod) | Word::Applied(pod) => self.take_pod(site, *pod, now, todo),
            Word::Deleted(pod) => {
                let attempt = pod.mark.attempt;
                self.strays.drop_pod(attempt, &pod.uid);
                self.feed(attempt, Input::PodDeleted(*pod), now, todo);
            }
            Word::ListEnded => self.end_list(&site, now, todo),
            Word::Unseen(kind, reason) => self.take_unseen(&site, kind, reason.as_ref(), now, todo),
            Word::ApplicationsBegan => self.applications.list_began(&site),
            Word::Application(application) => self.take_application(site, application, now, todo),
            Word::ApplicationDeleted(application) => {
                if let Some(attempt) = application.attempt {
                    self.applications.gone(attempt);
                    self.feed(attempt, Input::ApplicationGone(Some(application.uid)), now, todo);
                }
            }
            Word::ApplicationsEnded => self.end_applications(&site, now, todo),
        }
    }

    fn take_pod(&mut self, site: Site, pod: Pod, now: Timestamp, todo: &mut Vec<Todo>) {
        let generation = self.generation(&site);
        let attempt = pod.mark.attempt;
        if !self.attempts.get(&attempt).is_some_and(|slot| slot.is_ordered) {
            self.turn_max = self.turn_max.max(pod.mark.turn.unwrap_or_default());
        }
        match self.attempts.get_mut(&attempt) {
            Some(slot) => {
                slot.generation = generation;
                self.feed(attempt, Input::Pod(site, pod), now, todo);
            }
            None => {
                self.strays.put(site, pod, generation);
                self.look_at_strays(Some(attempt), now, todo);
            }
        }
    }

    fn take_application(&mut self, site: Site, application: Box<Application>, now: Timestamp, todo: &mut Vec<Todo>) {
        let Some(attempt) = application.attempt else { return };
        self.turn_max = self.turn_max.max(application.turn.unwrap_or_default());
        self.applications.seen(&site, attempt);
        if self.attempts.contains_key(&attempt) {
            self.feed(attempt, Input::Application(site, application), now, todo);
        } else if !self.applications.is_kept(attempt) {
            self.applications.put_stray(site, attempt, application);
            self.look_at_applications(now, todo);
        }
    }

    fn end_applications(&mut self, site: &Site, now: Timestamp, todo: &mut Vec<Todo>) {
        let listed = self.applications.list_ended(site);
        let is_gone = |id: &AttemptId, slot: &Slot| slot.attempt.site() == Some(site) && !listed.contains(id);
        let gone: Vec<AttemptId> =
            self.attempts.iter().filter(|(id, slot)| is_gone(id, slot)).map(|(id, _)| *id).collect();
        for attempt in gone {
            self.feed(attempt, Input::ApplicationGone(None), now, todo);
        }
        self.look_at_applications(now, todo);
    }

    fn look_at_applications(&mut self, now: Timestamp, todo: &mut Vec<Todo>) {
        if !self.is_synced {
            return;
        }
        let clusters = &self.clusters;
        self.applications.judge_strays(self.turn_known, |site| clusters[site.cluster].keep, now);
        todo.extend(self.applications.due(now).into_iter().map(|(site, id)| Todo::DropApplication(site, id)));
    }

    fn generation(&self, site: &Site) -> u32 {
        self.sites.get(site).map(|listing| listing.generation).unwrap_or_default()
    }

    fn end_list(&mut self, site: &Site, now: Timestamp, todo: &mut Vec<Todo>) {
        let generation = self.generation(site);
        self.strays.drop_unlisted(site, generation);
        let is_unlisted = |slot: &Slot| {
            let is_expected = slot.attempt.pod().is_some() || slot.attempt.is_unseen();
            slot.attempt.site() == Some(site) && is_expected && slot.generation != generation
        };
        let unlisted: Vec<AttemptId> =
            self.attempts.iter().filter(|(_, slot)| is_unlisted(slot)).map(|(id, _)| *id).collect();
        for attempt in unlisted {
            self.feed(attempt, Input::Unlisted, now, todo);
        }
        if let Some(listing) = self.sites.get_mut(site) {
            listing.was_complete = true;
        }
        if !self.is_synced && self.sites.values().all(|listing| listing.was_complete) {
            self.sync(now, todo);
        }
    }

    /// Everything was listed once: what is not there by now is nowhere that anybody looks.
    fn sync(&mut self, now: Timestamp, todo: &mut Vec<Todo>) {
        self.is_synced = true;
        let unseen: Vec<AttemptId> =
            self.attempts.iter().filter(|(_, slot)| slot.attempt.is_unseen()).map(|(id, _)| *id).collect();
        for attempt in unseen {
            self.feed(attempt, Input::Unlisted, now, todo);
        }
        todo.push(Todo::Report(Report::Synced { turn_max: self.turn_max }));
        self.look_at_strays(None, now, todo);
        self.look_at_applications(now, todo);
    }

    fn feed(&mut self, id: AttemptId, input: Input, now: Timestamp, todo: &mut Vec<Todo>) {
        let Some(slot) = self.attempts.get_mut(&id) else { return };
        let rules =
            slot.attempt.site().map_or_else(|| self.clusters[0].rules, |site| self.clusters[site.cluster].rules);
        for effect in step(&mut slot.attempt, input, &rules, now) {
            self.carry(id, effect, now, todo);
        }
    }

    fn carry(&mut self, id: AttemptId, effect: Effect, now: Timestamp, todo: &mut Vec<Todo>) {
        match effect {
            Effect::Report(report) => todo.push(Todo::Report(report)),
            Effect::Claim { site, uid } => {
                if let Some(slot) = self.attempts.get(&id) {
                    let (run, claim) = (slot.attempt.run, self.claim(site, uid));
                    todo.push(Todo::Report(Report::Claimed { run, attempt: id, claim }));
                }
            }
            Effect::WakeAt(at) => {
                if let Some(slot) = self.attempts.get_mut(&id)
                    && slot.wake_at.is_none_or(|known| at < known)
                {
                    slot.wake_at = Some(at);
                    self.wakes.push(Reverse((at, id)));
                }
            }
            Effect::AskForWarnings { site } => self.ask_for_warnings(id, site, now, todo),
            Effect::Sweep(site, pod) => {
                let generation = self.generation(&site);
                self.strays.put(site, *pod, generation);
                self.strays.acknowledge(id);
                self.look_at_strays(Some(id), now, todo);
            }
            Effect::KeepApplication { site, until } => self.applications.keep(site, id, until),
            Effect::Forget(left) => {
                self.attempts.remove(&id);
                todo.push(Todo::Forgotten(id));
                if let Some((site, pod)) = left {
                    let generation = self.generation(&site);
                    self.strays.put(site, *pod, generation);
                    self.strays.acknowledge(id);
                    self.look_at_strays(Some(id), now, todo);
                }
            }
            effect => todo.push(Todo::Attempt(id, effect)),
        }
    }

    fn look_at_strays(&mut self, attempt: Option<AttemptId>, now: Timestamp, todo: &mut Vec<Todo>) {
        // Before every list is complete and every order of the takeover has come, a stray may be somebody's.
        if !self.is_synced || self.strays.is_empty() {
            return;
        }
        let (clusters, turn_known) = (&self.clusters, self.turn_known);
        let horizon = |site: &Site| Horizon { turn_known, keep: clusters[site.cluster].keep };
        let found = self.strays.look(attempt, horizon, now);
        todo.extend(found.sweeps.into_iter().map(Todo::Sweep));
        if let Some(at) = found.look_again_at {
            self.stray_wake = Some(self.stray_wake.map_or(at, |known| known.min(at)));
        }
    }

    fn wake(&mut self, now: Timestamp, todo: &mut Vec<Todo>) {
        while let Some(Reverse((at, id))) = self.wakes.peek().copied()
            && at <= now
        {
            self.wakes.pop();
            if let Some(slot) = self.attempts.get_mut(&id)
                && slot.wake_at == Some(at)
            {
                slot.wake_at = None;
                self.feed(id, Input::Wake, now, todo);
            }
        }
        if self.applications.wake_at().is_some_and(|at| at <= now) {
            self.look_at_applications(now, todo);
        }
        if self.stray_wake.is_some_and(|at| at <= now) {
            self.stray_wake = None;
            self.look_at_strays(None, now, todo);
        }
    }
}

impl Cluster {
    fn new(config: &ClusterConfig) -> Self {
        Self {
            name: config.name.clone(),
            keep: config.keep,
            rules: Rules { unschedulable_after: config.unschedulable_after, keep: config.keep },
        }
    }
}

impl Slot {
    fn new(attempt: Attempt) -> Self {
        Self { attempt, generation: 0, wake_at: None, is_ordered: false }
    }
}
