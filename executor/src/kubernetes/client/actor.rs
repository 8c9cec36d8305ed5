//! The task behind a handle: hears orders, watches and answers, and has done what the fleet makes of them.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use gridflow_core::{AttemptId, ExecutorKind};
use gridflow_failpoint::{Point, reach};
use tokio::{
    sync::{mpsc, oneshot},
    task::{AbortHandle, JoinSet},
    time::sleep,
};

use super::{
    super::{
        attempt::{Answer, Effect, Made, Site},
        config::Config,
        fleet::{ByUid, Fleet, Happened, Order, Sweep, Swept, Todo, Word},
        gone::NodeWord,
        identity,
        launch::{Launch, Object, Open},
        logs::{Ended, Source},
        output::Left,
        pod::RawPod,
        report::Report,
    },
    access::Cluster,
    call, carry,
    clock::Clock,
    events,
    lanes::{Job, Lane, Lanes},
    log::{self, LogRoom},
    watch::{self, Watch, Words},
    watched::RawApplication,
};
use crate::local::log_path;

const ORDERS_AT_ONCE: usize = 64;
/// Batches of watches that wait to be taken in.
const WORDS_MAX: usize = 64;
/// Watches are not heard while that many reports wait.
const REPORTS_WAITING_MAX: usize = 1024;
/// An application that could not be deleted is tried again.
const DROP_AGAIN: Duration = Duration::from_secs(5);

struct Actor {
    config: Arc<Config>,
    clusters: Vec<Cluster>,
    fleet: Fleet,
    lanes: Vec<Lanes>,
    jobs: JoinSet<Done>,
    reports: VecDeque<Report>,
    rooms: Vec<LogRoom>,
    logs: HashMap<AttemptId, LogTask>,
    nodes: HashMap<(usize, Arc<str>), NodeAsk>,
    /// Answers about nodes that all clusters have to give together.
    joint: HashMap<AttemptId, Joint>,
    words: mpsc::Sender<Words>,
    /// Where SparkApplications are watched: where there are any of ours. Their kind need not be known to a cluster.
    spark_sites: HashSet<Site>,
    clock: Clock,
}

struct LogTask {
    ended: Option<oneshot::Sender<Ended>>,
    task: AbortHandle,
}

/// One call about a node at a time, however many wait for it; each gets an answer younger than its question.
#[derive(Default)]
struct NodeAsk {
    is_under_way: bool,
    heard: Vec<AttemptId>,
    next: Vec<AttemptId>,
}

struct Joint {
    missing: usize,
    word: Option<NodeWord>,
}

enum Done {
    Created { attempt: AttemptId, launch: Arc<Launch>, site: Site, made: Made },
    Answered { attempt: AttemptId, effect: Effect, answer: Option<Answer>, cluster: usize, lane: Lane },
    Again { cluster: usize, attempt: AttemptId, effect: Effect },
    Node { cluster: usize, node: Arc<str>, word: NodeWord },
    Swept { sweep: Sweep, swept: Swept },
    Warnings { site: Site, by_uid: ByUid },
    Log(AttemptId, Left),
    Watched,
}

pub(super) async fn run(
    config: Config,
    clusters: Vec<Cluster>,
    open: Vec<Open>,
    mut orders: mpsc::Receiver<Order>,
    reports: mpsc::Sender<Report>,
) {
    let (say, mut words) = mpsc::channel(WORDS_MAX);
    let mut actor = Actor::new(config, clusters, &open, say);
    actor.watch_all(&open);
    drop(open);
    let mut received = Vec::new();
    let mut heard = Vec::new();
    loop {
        actor.start_jobs();
        let may_hear = actor.reports.len() < REPORTS_WAITING_MAX;
        let pause = actor.pause();
        tokio::select! {
            count = orders.recv_many(&mut received, ORDERS_AT_ONCE) => {
                if count == 0 {
                    return;
                }
                received.drain(..).for_each(|order| actor.take(Happened::Ordered(order)));
            }
            Some(done) = actor.jobs.join_next(), if !actor.jobs.is_empty() => match done {
                Ok(done) => actor.take_done(done),
                Err(error) if error.is_cancelled() => {}
                // What it had in its hands is unknown: whoever starts the next executor looks at everything again.
                Err(error) => return tracing::error!(%error, "a job of the Kubernetes executor crashed, and it ends"),
            },
            permit = reports.reserve(), if !actor.reports.is_empty() => match permit {
                Ok(permit) => {
                    if let Some(report) = actor.reports.pop_front() {
                        permit.send(report);
                    }
                }
                // Nobody listens any more.
                Err(_) => return,
            },
            _ = words.recv_many(&mut heard, WORDS_MAX), if may_hear => actor.take_words(&mut heard),
            () = sleep(pause.unwrap_or_default()), if pause.is_some() => actor.take(Happened::Woke),
        }
    }
}

impl Actor {
    fn new(config: Config, clusters: Vec<Cluster>, open: &[Open], words: mpsc::Sender<Words>) -> Self {
        let limits = || config.clusters.iter().map(|cluster| cluster.limits);
        Self {
            fleet: Fleet::new(&config.clusters, open),
            lanes: limits().map(Lanes::new).collect(),
            rooms: limits().map(|limits| LogRoom::new(limits.logs_at_once)).collect(),
            config: Arc::new(config),
            clusters,
            jobs: JoinSet::new(),
            reports: VecDeque::new(),
            logs: HashMap::new(),
            nodes: HashMap::new(),
            joint: HashMap::new(),
            words,
            spark_sites: HashSet::new(),
            clock: Clock::start(),
        }
    }

    fn watch_all(&mut self, open: &[Open]) {
        // One without a claim may be anywhere, and so may those that are kept for a while after their end.
        let is_spark_open = open.iter().any(|open| open.executor == ExecutorKind::Spark);
        for site in self.fleet.sites().cloned().collect::<Vec<_>>() {
            let watch = self.watch(site.clone());
            self.jobs.spawn(async move {
                watch::run::<RawPod>(watch).await;
                Done::Watched
            });
            if is_spark_open {
                self.watch_applications(&site);
            }
        }
    }

    fn watch(&self, site: Site) -> Watch {
        let cluster = self.clusters[site.cluster].clone();
        Watch { cluster, site, installation: self.config.installation, words: self.words.clone() }
    }

    fn watch_applications(&mut self, site: &Site) {
        if self.spark_sites.insert(site.clone()) {
            let watch = self.watch(site.clone());
            self.jobs.spawn(async move {
                watch::run::<RawApplication>(watch).await;
                Done::Watched
            });
        }
    }

    /// Until something is due.
    fn pause(&self) -> Option<Duration> {
        let now = self.clock.now();
        let lanes = self.lanes.iter().filter_map(|lanes| lanes.wake_at(now)).min();
        let at = [self.fleet.wake_at(), lanes].into_iter().flatten().min()?;
        Some((at - now).to_std().unwrap_or_default())
    }

    fn take_words(&mut self, heard: &mut Vec<Words>) {
        for (site, words) in heard.drain(..) {
            for word in words {
                if matches!(word, Word::Deleted(_)) {
                    self.lanes[site.cluster].make_room(&site, self.clock.now());
                }
                self.take(Happened::Watched(site.clone(), word));
            }
        }
    }

    fn take(&mut self, happened: Happened) {
        for todo in self.fleet.step(happened, self.clock.now()) {
            match todo {
                Todo::Report(report) => self.reports.push_back(report),
                Todo::Sweep(sweep) => self.lanes[sweep.site.cluster].push(Job::Sweep(sweep)),
                Todo::Attempt(attempt, effect) => self.carry_out(attempt, effect),
                Todo::FindWarnings(site) => self.lanes[site.cluster].push(Job::Warnings(site)),
                Todo::DropApplication(site, attempt) => {
                    let cluster = site.cluster;
                    self.lanes[cluster].push(Job::Attempt(attempt, Effect::DropApplication { site }));
                }
                Todo::Forgotten(attempt) => {
                    if let Some(log) = self.logs.remove(&attempt) {
                        log.task.abort();
                    }
                }
            }
        }
    }

    fn carry_out(&mut self, attempt: AttemptId, effect: Effect) {
        match effect {
            Effect::Create(launch, site) => {
                if matches!(launch.object, Object::SparkApplication(_)) {
                    self.watch_applications(&site);
                }
                self.lanes[site.cluster].push(Job::Create(attempt, launch, site));
            }
            Effect::LookAtNode { cluster, node } => self.ask_node(attempt, cluster, &node),
            Effect::Follow { site, name, container } => self.follow(attempt, &site, name, container),
            Effect::EndLog(ended) => self.end_log(attempt, ended),
            Effect::Warn(reason) => tracing::warn!(attempt.id = %attempt, reason, "an attempt's pod is waited for"),
            effect => {
                if let Some(cluster) = carry::cluster_of(&effect) {
                    self.lanes[cluster].push(Job::Attempt(attempt, effect));
                }
            }
        }
    }

    fn start_jobs(&mut self) {
        for cluster in 0..self.clusters.len() {
            while let Some(job) = self.lanes[cluster].next(self.clock.now()) {
                self.start(cluster, job);
            }
        }
    }

    fn start(&mut self, at: usize, job: Job) {
        let lane = job.lane();
        let cluster = self.clusters[at].clone();
        let installation = self.config.installation;
        match job {
            Job::Create(attempt, launch, site) => {
                if self.fleet.wants_creation(attempt) {
                    self.jobs.spawn(async move {
                        let made = call::create(&cluster, installation, &launch).await;
                        Done::Created { attempt, launch, site, made }
                    });
                } else {
                    self.take_made(attempt, &site, Made::Later("it is not wanted any more".to_owned()));
                }
            }
            Job::Attempt(attempt, effect) => {
                self.jobs.spawn(async move {
                    let answer = carry::call(&cluster, installation, attempt, &effect).await;
                    Done::Answered { attempt, effect, answer, cluster: at, lane }
                });
            }
            Job::Sweep(sweep) => {
                self.jobs.spawn(async move {
                    let swept = carry::sweep(&cluster, &sweep).await;
                    Done::Swept { sweep, swept }
                });
            }
            Job::Warnings(site) => {
                self.jobs.spawn(async move {
                    let by_uid = events::warnings(&cluster, &site.namespace).await;
                    Done::Warnings { site, by_uid }
                });
            }
            Job::Node(node) => {
                self.jobs.spawn(async move {
                    let word = call::look_at_node(&cluster, &node).await;
                    Done::Node { cluster: at, node, word }
                });
            }
        }
    }

    fn take_done(&mut self, done: Done) {
        match done {
            Done::Created { attempt, launch, site, made } => match made {
                Made::Later(reason) => {
                    self.lanes[site.cluster].ended(Lane::Launching);
                    if self.lanes[site.cluster].refused(&site, attempt, launch, self.clock.now()) {
                        let namespace = &*site.namespace;
                        tracing::warn!(attempt.id = %attempt, namespace, reason, "pods can't be made now, and wait");
                    }
                    self.hold_back(attempt, &site, &reason);
                }
                made => self.take_made(attempt, &site, made),
            },
            Done::Answered { attempt, effect, answer, cluster, lane } => {
                self.lanes[cluster].ended(lane);
                match answer {
                    Some(answer) => self.take(Happened::Answered(attempt, answer)),
                    // It is nothing that the attempt waits for.
                    None => self.again_later(cluster, attempt, effect),
                }
            }
            Done::Node { cluster, node, word } => {
                self.lanes[cluster].ended(Lane::Other);
                self.take_node(cluster, &node, &word);
            }
            Done::Swept { sweep, swept } => {
                self.lanes[sweep.site.cluster].ended(Lane::Other);
                self.take(Happened::Swept { attempt: sweep.attempt, uid: sweep.uid, swept });
            }
            Done::Warnings { site, by_uid } => {
                self.lanes[site.cluster].ended(Lane::Other);
                self.take(Happened::Warned(site, by_uid));
            }
            Done::Again { cluster, attempt, effect } => self.lanes[cluster].push(Job::Attempt(attempt, effect)),
            Done::Log(attempt, left) => {
                reach(Point::PodLogRead);
                self.logs.remove(&attempt);
                self.take(Happened::LogEnded(attempt, left));
            }
            Done::Watched => {}
        }
    }

    /// Tells those that wait behind the one that was refused, all in the same words.
    fn hold_back(&mut self, refused: AttemptId, site: &Site, reason: &str) {
        let waiting = self.lanes[site.cluster].held_back(site);
        if waiting.is_empty() {
            return;
        }
        let reason = reason.replace(&format!(" \"{}\"", identity::name(refused)), "");
        let reason: Arc<str> = format!("it can't be made in namespace `{}` now: {reason}", site.namespace).into();
        for attempt in waiting {
            self.take(Happened::HeldBack(attempt, reason.clone()));
        }
    }

    fn take_made(&mut self, attempt: AttemptId, site: &Site, made: Made) {
        self.lanes[site.cluster].ended(Lane::Launching);
        self.lanes[site.cluster].created(site);
        self.take(Happened::Answered(attempt, Answer::Created(made)));
    }

    /// The deletion of an application that failed: nobody asks for it again.
    fn again_later(&mut self, cluster: usize, attempt: AttemptId, effect: Effect) {
        if matches!(effect, Effect::DropApplication { .. }) {
            self.jobs.spawn(async move {
                sleep(DROP_AGAIN).await;
                Done::Again { cluster, attempt, effect }
            });
        }
    }

    fn ask_node(&mut self, attempt: AttemptId, cluster: Option<usize>, node: &Arc<str>) {
        let clusters = cluster.map_or(0..self.clusters.len(), |cluster| cluster..cluster + 1);
        if 1 < clusters.len() {
            // The one before is still being answered: its words must not be counted with those of this one.
            if self.joint.contains_key(&attempt) {
                return;
            }
            self.joint.insert(attempt, Joint { missing: clusters.len(), word: None });
        }
        for cluster in clusters {
            self.nodes.entry((cluster, node.clone())).or_default().next.push(attempt);
            self.start_node(cluster, node);
        }
    }

    fn start_node(&mut self, cluster: usize, node: &Arc<str>) {
        let Some(ask) = self.nodes.get_mut(&(cluster, node.clone())) else { return };
        if ask.is_under_way {
            return;
        }
        if ask.next.is_empty() {
            self.nodes.remove(&(cluster, node.clone()));
            return;
        }
        ask.is_under_way = true;
        ask.heard = std::mem::take(&mut ask.next);
        self.lanes[cluster].push(Job::Node(node.clone()));
    }

    fn take_node(&mut self, cluster: usize, node: &Arc<str>, word: &NodeWord) {
        let Some(ask) = self.nodes.get_mut(&(cluster, node.clone())) else { return };
        ask.is_under_way = false;
        let heard = std::mem::take(&mut ask.heard);
        self.start_node(cluster, node);
        for attempt in heard {
            if let Some(word) = self.joined(attempt, word) {
                self.take(Happened::NodeSpoke(attempt, word));
            }
        }
    }

    /// Where nobody knows in which cluster a node was, it is gone when all of them say so.
    fn joined(&mut self, attempt: AttemptId, word: &NodeWord) -> Option<NodeWord> {
        let Some(joint) = self.joint.get_mut(&attempt) else { return Some(word.clone()) };
        joint.missing = joint.missing.saturating_sub(1);
        let is_stronger = match (&joint.word, word) {
            (None | Some(NodeWord::Missing), _) => true,
            (Some(NodeWord::There { .. }), NodeWord::Silent(_)) => true,
            (Some(_), _) => false,
        };
        if is_stronger {
            joint.word = Some(word.clone());
        }
        if joint.missing == 0 { self.joint.remove(&attempt)?.word } else { None }
    }

    fn follow(&mut self, attempt: AttemptId, site: &Site, pod: Arc<str>, container: Arc<str>) {
        let source = Source {
            client: self.clusters[site.cluster].log_client.clone(),
            namespace: site.namespace.clone(),
            pod,
            container,
            attempt: attempt.to_string().into(),
            path: log_path(&self.config.state_dir, attempt),
            looks: self.rooms[site.cluster].looks(),
        };
        let (tell, told) = oneshot::channel();
        let following = log::follow(self.rooms[site.cluster].clone(), source, told);
        let task = self.jobs.spawn(async move { Done::Log(attempt, following.await) });
        self.logs.insert(attempt, LogTask { ended: Some(tell), task });
    }

    fn end_log(&mut self, attempt: AttemptId, ended: Ended) {
        reach(Point::PodGone);
        if let Some(log) = self.logs.get_mut(&attempt) {
            if let Some(tell) = log.ended.take() {
                // A task that is over has said so itself.
                let _ = tell.send(ended);
            }
            return;
        }
        let path = log_path(&self.config.state_dir, attempt);
        let noting = log::note(self.clusters[0].log_client.clone(), path, ended);
        let task = self.jobs.spawn(async move { Done::Log(attempt, noting.await) });
        self.logs.insert(attempt, LogTask { ended: None, task });
    }
}
