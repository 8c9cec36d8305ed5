//! One term of leadership: recover, then turn after turn until it is lost or we stop.
//!
//! **Architecture Invariant:** nothing here matches on the state of a run or a task instance. The
//! loop waits, asks the core, commits, and does what the committed plan says.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use chrono::{TimeDelta, Utc};
use gridflow_core::{AttemptId, DagId, DagVersionId, Event, Plan, QueuedRun, RunKey, Timestamp, Turn, World};
use gridflow_dag_spec::CompiledDag;
use gridflow_executor::local;
use gridflow_store::{Leader, Reader, inbox::Facts};
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};
use tokio_util::sync::CancellationToken;

use crate::{
    Clusters, Error, Shared,
    bundle::Published,
    executors::{Executors, Report, Reports},
    inbox,
    memory::RunMemory,
    parts::{answered, changed},
    prepare::Launch,
    publish, pulse, trigger,
    turn::{Input, turn},
    unhurried::Unhurried,
    version::VersionCache,
};

/// Events taken into one turn at most, so that a turn's transaction stays short.
const EVENTS_PER_TURN_MAX: usize = 2_048;
/// For everything that a turn does: reads, its commit, and handing over what it allows. The commit has a deadline of
/// its own, which is shorter.
const TURN_MAX: Duration = Duration::from_secs(60);

/// Everything a term of leadership holds. Dropped as a whole when it ends: what is true then is in
/// the database and on the nodes, and nowhere else.
pub(crate) struct Lead {
    pub shared: Arc<Shared>,
    pub leader: Leader,
    /// For reads beside the turns; what they say is checked by the turn's guards.
    pub reader: Reader,
    pub world: World,
    /// What recovery wants done; the first turn does it.
    pub recovered: Option<Plan>,
    pub versions: VersionCache,
    pub runs: RunMemory,
    /// What came with the letters of the turn under way.
    pub letters: HashMap<RunKey, (QueuedRun, Facts)>,
    /// The present version of each DAG in the bundle.
    pub current: HashMap<DagId, DagVersionId>,
    /// What is published from the bundle now.
    pub published: BTreeMap<DagId, Published>,
    /// Import errors as they were last written.
    pub import_errors: publish::ImportErrors,
    /// DAGs that may have events without an outcome.
    pub dags_with_events: BTreeSet<DagId>,
    /// Rendered specs of attempts whose commit is under way.
    pub prepared: HashMap<AttemptId, Launch>,
    /// What earlier leaders committed about attempts that they may not have launched.
    pub committed: HashMap<AttemptId, Committed>,
    /// Open attempts of this node that its host has not mentioned since the term began.
    pub unmentioned: HashMap<AttemptId, Unmentioned>,
    /// Where pods run in this term.
    pub clusters: Arc<Clusters>,
    /// Where they are to run: others end the term.
    pub later_clusters: watch::Receiver<Arc<Clusters>>,
    pub executors: Executors,
    pub reports: Reports,
    /// What the host had told when the term began.
    pub told: Vec<local::Report>,
    /// Commands that run here and of which the world knows nothing.
    pub strays: Vec<(RunKey, AttemptId)>,
    /// Input that came up while acting, for the next turn.
    pub pending: VecDeque<Event>,
    /// Input that joins the next turn, or makes one after a moment.
    pub unhurried: Unhurried,
}

/// An attempt as the turn that queued it has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Committed {
    pub turn: Turn,
    pub spec_hash: Option<[u8; 32]>,
}

/// An open attempt of this node as the database has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unmentioned {
    pub run: RunKey,
    pub life: Life,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    /// Bound to this boot and committed as launched or being canceled.
    ThisBoot,
    /// Bound to a boot that is over: no process of it can exist.
    DeadBoot,
}

impl Lead {
    pub fn new(
        shared: Arc<Shared>,
        (leader, reader): (Leader, Reader),
        (world, recovered): (World, Plan),
        (executors, reports, told): (Executors, Reports, Vec<local::Report>),
    ) -> Self {
        Self {
            clusters: Arc::default(),
            later_clusters: shared.config.clusters.clone(),
            shared,
            leader,
            reader,
            world,
            recovered: Some(recovered),
            versions: VersionCache::default(),
            current: HashMap::new(),
            runs: RunMemory::default(),
            letters: HashMap::new(),
            published: BTreeMap::new(),
            import_errors: publish::ImportErrors::default(),
            dags_with_events: BTreeSet::new(),
            prepared: HashMap::new(),
            committed: HashMap::new(),
            unmentioned: HashMap::new(),
            executors,
            reports,
            told,
            strays: Vec::new(),
            pending: VecDeque::new(),
            unhurried: Unhurried::default(),
        }
    }

    /// The version of a DAG that new runs get, if it is there and this program can read it.
    pub fn current(&self, dag: &DagId) -> Option<(DagVersionId, &Arc<CompiledDag>)> {
        let version = *self.current.get(dag)?;
        Some((version, self.versions.get(version)?))
    }

    /// Starts and ends file triggers as the current DAGs want it.
    pub fn triggers_changed(&self) {
        let wanted = self.current.values().filter_map(|version| self.versions.get(*version));
        let wanted = wanted.flat_map(|compiled| trigger::file::wanted(compiled)).collect();
        self.shared.wanted.send_replace(Arc::new(wanted));
    }

    /// Turns until the term is lost (an error) or the shutdown (leadership is handed back).
    pub async fn run(mut self, shutdown: &CancellationToken) -> Result<(), Error> {
        let shared = Arc::clone(&self.shared);
        let mut heartbeat = interval(shared.config.heartbeat);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut snapshots = shared.snapshots.clone();
        snapshots.mark_changed();
        let mut read_inbox = true;
        for report in std::mem::take(&mut self.told) {
            self.take_report(Report::Local(report)).await?;
        }
        let mut later_clusters = self.later_clusters.clone();
        loop {
            // Their executor, and what it watches, belong to the term.
            if later_clusters.has_changed().unwrap_or(false) {
                tracing::info!("the clusters have changed: everything is read again");
                return Ok(self.leader.resign().await?);
            }
            if !self.strays.is_empty() {
                answered("looking for strays", TURN_MAX, pulse::end_strays(&mut self)).await?;
            }
            let mut input = Input::default();
            input.events.extend(self.pending.drain(..));
            if read_inbox {
                read_inbox = answered("reading the inbox", TURN_MAX, inbox::read(&mut self, &mut input)).await?;
            }
            self.drain_reports(&mut input).await?;
            let now = Utc::now();
            if self.world.next_deadline().is_some_and(|due| due <= now) || self.world.clock_went_back(now) {
                input.events.push(Event::TimersDue);
            }
            let has_work = !input.is_empty() || self.recovered.is_some() || self.world.has_more();
            if has_work || self.unhurried.is_due(Instant::now()) {
                // First: that a command has started comes before its end.
                input.events.splice(0..0, self.unhurried.take());
                let before = self.leader.turn();
                answered("turning", TURN_MAX, turn(&mut self, input)).await?;
                // Give others the thread; whatever came meanwhile goes into the next turn.
                tokio::task::yield_now().await;
                if self.leader.turn() != before {
                    // Only now: what tasks wait for has left.
                    shared.turn_committed();
                }
                if self.is_busy() || read_inbox {
                    self.keep_alive(&mut heartbeat).await?;
                    continue;
                }
            }
            let due = self.world.next_deadline();
            let unhurried_due = self.unhurried.due();
            tokio::select! {
                () = shutdown.cancelled() => return Ok(self.leader.resign().await?),
                // Without an executor no report would ever come; the next term starts another one.
                report = self.reports.recv() => self.take_report(report?).await?,
                () = shared.signals.inbox.notified() => read_inbox = true,
                changed = snapshots.changed() => {
                    if changed.is_err() { return Err(Error::PartEnded { part: "the watch over the folder of DAGs", panic: None }); }
                    let snapshot = snapshots.borrow_and_update().clone();
                    if let Some(snapshot) = snapshot {
                        answered("publishing DAGs", TURN_MAX, publish::publish(&mut self, &snapshot)).await?;
                        shared.signals.settled.notify_one();
                    }
                }
                () = changed(&mut later_clusters) => later_clusters.mark_changed(),
                () = sleep_to(due) => {}
                () = sleep_until(unhurried_due.unwrap_or_else(Instant::now)), if unhurried_due.is_some() => {}
                _ = heartbeat.tick() => {
                    answered("looking at the other nodes", TURN_MAX, pulse::beat(&mut self)).await?;
                    // The slow poll behind every wake-up.
                    read_inbox = true;
                }
            }
        }
    }

    fn is_busy(&self) -> bool {
        !self.pending.is_empty() || self.recovered.is_some() || self.world.has_more() || !self.reports.is_empty()
    }

    /// A leader that turns all the time sends enough; this is for one whose turns write nothing.
    async fn keep_alive(&mut self, heartbeat: &mut tokio::time::Interval) -> Result<(), Error> {
        tokio::select! {
            biased;
            _ = heartbeat.tick() => answered("looking at the other nodes", TURN_MAX, pulse::beat(self)).await,
            () = std::future::ready(()) => Ok(()),
        }
    }

    async fn drain_reports(&mut self, input: &mut Input) -> Result<(), Error> {
        while input.events.len() + self.pending.len() < EVENTS_PER_TURN_MAX
            && let Some(report) = self.reports.try_recv()
        {
            self.take_report(report).await?;
        }
        input.events.extend(self.pending.drain(..));
        Ok(())
    }
}

/// Sleeps until a wall-clock instant; for ever where there is none. The clock may be set meanwhile,
/// so long sleeps are cut: who wakes up too early just looks again.
async fn sleep_to(due: Option<Timestamp>) {
    const LOOK_AGAIN: TimeDelta = TimeDelta::seconds(60);
    let Some(due) = due else { return std::future::pending().await };
    let wait = (due - Utc::now()).clamp(TimeDelta::zero(), LOOK_AGAIN);
    sleep_until(Instant::now() + wait.to_std().unwrap_or_default()).await;
}
