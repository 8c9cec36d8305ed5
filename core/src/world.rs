//! The state that decisions are made on, and the two functions that change it.
//!
//! [`step`] takes one event, [`admit`] lets start what now may. Both write what they decided into a
//! [`Plan`]; a world whose plan was not committed is thrown away and [`crate::recover`]ed.

mod active;
mod admit;
mod attempt;
mod cancel;
mod child;
mod create;
mod dag_state;
mod explain;
mod lane;
mod limit;
mod queue;
mod recover;
mod schedule;
mod settle;
mod snapshot;
mod start;
mod timers;

use std::collections::{BTreeSet, HashMap, VecDeque};

use crate::{
    attempt::NodeBinding,
    event::{Answer, Event},
    hash::FastMap,
    id::{DagId, DagVersionId, RunKey, TaskInstanceKey, TaskNo, Timestamp},
    plan::Plan,
    run::QueuedRun,
};

use active::ActiveRun;
use dag_state::{DagState, Version};
use lane::{Capacity, Lanes, RunOrder};
use limit::TaskLimit;
use timers::{Timer, Timers};

pub use admit::admit;
pub use explain::{Reason, explain, explain_run};
pub use recover::{recover, recover_watched};
pub use snapshot::Snapshot;

/// What bounds a world. Every limit has a default.
#[derive(Debug, Clone)]
pub struct WorldConfig {
    /// Attempts open at the same time, over everything (Airflow's `parallelism`).
    pub parallelism: u32,
    /// The node and boot that this leader's local attempts are bound to.
    pub binding: Option<NodeBinding>,
    /// How often a task instance is tried again because the infrastructure lost its attempt.
    pub losses_max: u32,
    /// A turn starts nothing more once that has made so many rows; the next one goes on. So a turn writes
    /// at most about twice this (timers and starts), what its other events make, and one run's task instances.
    pub rows_max: usize,
    /// Queued runs kept in memory for each DAG; the database holds the others.
    pub queued_max: usize,
}

impl Default for WorldConfig {
    fn default() -> Self {
        Self { parallelism: 32, binding: None, losses_max: 3, rows_max: 4_000, queued_max: 1_000 }
    }
}

/// Counts of what changed nothing. For metrics; never part of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Reports about attempts that are closed already.
    pub stale_reports: u64,
    /// Answers and timers that nobody waited for any more.
    pub stale_answers: u64,
    /// Queued runs that were known already.
    pub repeated_runs: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct DagIx(u32);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct LimitIx(u32);

/// All DAGs, all running runs, and the first queued ones.
#[derive(Debug)]
pub struct World {
    runs: FastMap<RunKey, Box<ActiveRun>>,
    shared: Shared,
}

/// Everything but the running runs, so that a run and what all runs share can be changed together.
#[derive(Debug)]
struct Shared {
    config: WorldConfig,
    dags: Vec<DagState>,
    dag_by_id: HashMap<DagId, DagIx>,
    versions: FastMap<DagVersionId, Version>,
    /// Versions asked for in this turn, and by which DAG.
    asked: FastMap<DagVersionId, DagIx>,
    /// Versions that turned out to be unreadable; forgotten when their runs have failed.
    broken: Vec<DagVersionId>,
    lanes: Lanes,
    limits: Vec<TaskLimit>,
    /// Limits that got a slot back and have somebody parked.
    freed: BTreeSet<LimitIx>,
    timers: Timers,
    /// Attempts that are not closed.
    open_attempts: u32,
    /// Deferred task instances by the run they wait for.
    waits: FastMap<RunKey, Vec<TaskInstanceKey>>,
    /// Finished task instances whose downstreams have not heard of it. Empty between steps.
    unsettled: VecDeque<TaskNo>,
    /// Runs that ended and whose waiters have not heard of it. Empty between steps.
    ended: VecDeque<(RunKey, crate::RunState)>,
    /// DAGs whose queued runs or schedule may be able to go on.
    stirred: VecDeque<DagIx>,
    /// Creations that wait for [`Answer::Taken`].
    asks: create::Asks,
    /// Queued runs in memory.
    queued_index: FastMap<RunKey, (DagIx, queue::QueueKey)>,
    /// What recovery found to be due, for the next [`admit`].
    recovered: Vec<child::Recovered>,
    /// Runs that could not be read, with the reason. Nothing is decided about them.
    quarantined: FastMap<RunKey, String>,
    has_more: bool,
    /// The instant of the last step.
    clock: Timestamp,
    /// The run that is being decided about: who is to blame for a panic.
    at_work: Option<RunKey>,
    stats: Stats,
}

impl World {
    pub fn new(config: WorldConfig) -> Self {
        let shared = Shared {
            config,
            dags: Vec::new(),
            dag_by_id: HashMap::new(),
            versions: FastMap::default(),
            asked: FastMap::default(),
            broken: Vec::new(),
            lanes: Lanes::default(),
            limits: Vec::new(),
            freed: BTreeSet::new(),
            timers: Timers::default(),
            open_attempts: 0,
            waits: FastMap::default(),
            unsettled: VecDeque::new(),
            ended: VecDeque::new(),
            stirred: VecDeque::new(),
            asks: HashMap::new(),
            queued_index: FastMap::default(),
            recovered: Vec::new(),
            quarantined: FastMap::default(),
            has_more: false,
            clock: Timestamp::MIN_UTC,
            at_work: None,
            stats: Stats::default(),
        };
        Self { runs: FastMap::default(), shared }
    }

    /// When [`Event::TimersDue`] is due next.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.shared.timers.next()
    }

    /// Whether the clock was set back since the last step: what is due next must be worked out again, by any step.
    pub fn clock_went_back(&self, now: Timestamp) -> bool {
        to_micros(now) < self.shared.clock
    }

    /// The turn's budget was spent before all that may start was started: turn again at once.
    pub fn has_more(&self) -> bool {
        self.shared.has_more || !self.shared.recovered.is_empty()
    }

    /// Runs that recovery could not read, each with the reason. They stay as they are.
    pub fn quarantined(&self) -> impl Iterator<Item = (RunKey, &str)> {
        self.shared.quarantined.iter().map(|(run, reason)| (*run, reason.as_str()))
    }

    /// After a panic: the run that was being decided about, if it was one.
    pub fn at_work(&self) -> Option<RunKey> {
        self.shared.at_work
    }

    pub fn stats(&self) -> Stats {
        self.shared.stats
    }

    /// Running runs, and finished ones whose last processes are not gone.
    pub fn active_runs(&self) -> usize {
        self.runs.len()
    }
}

/// Takes one event. What follows from it without anything outside goes to its fixpoint here.
pub fn step(world: &mut World, event: Event, now: Timestamp, plan: &mut Plan) {
    let now = to_micros(now);
    world.shared.note_clock(now);
    world.shared.at_work = event.run();
    match event {
        Event::CommandRefused { command, reason } => plan.settle_command(Some(command), Err(reason)),
        Event::DagChanged(changed) => world.shared.change_dag(changed),
        Event::DagRemoved { dag } => world.shared.remove_dag(&dag),
        Event::DagPaused { dag, is_paused, command } => world.shared.pause_dag(&dag, is_paused, command, plan),
        Event::PoolChanged { pool, slots } => {
            world.shared.lanes.set_capacity(&pool, slots.map_or(Capacity::Unlimited, Capacity::Slots));
        }
        Event::RunQueued(run) => world.queue_run(run, plan),
        Event::QueuedFetched { dag, after, runs, has_more } => world.take_fetched(&dag, after, runs, has_more),
        Event::EventIgnored { event, reason } => create::refuse_events(&[event], &reason, plan),
        Event::RunRequested(request) => world.shared.request_run(request, now, plan),
        Event::AttemptClaimed { run, attempt, claim } => world.attempt_claimed(run, attempt, claim, plan),
        Event::AttemptStarted { run, attempt, at, pid, place } => {
            world.attempt_started((run, attempt), to_micros(at), pid, place, plan);
        }
        Event::AttemptFinished { run, attempt, at, outcome, usage, output } => {
            let ending = active::Ending { at: to_micros(at), outcome, usage: Some(usage) };
            world.attempt_finished((run, attempt), ending, output, now, plan);
        }
        Event::NodeLost { node, at, reason } => world.node_lost(node, to_micros(at), &reason, now, plan),
        Event::CancelRun { run, command } => world.cancel_run(run, command, now, plan),
        Event::TimersDue => world.timers_due(now, plan),
        Event::Answer(answer) => world.answer(answer, now, plan),
    }
    world.end_step(now, plan);
    world.shared.at_work = None;
}

/// The database keeps microseconds, so memory does: an instant read back must equal the one decided on.
fn to_micros(at: Timestamp) -> Timestamp {
    chrono::SubsecRound::trunc_subsecs(at, 6)
}

impl Shared {
    /// Deadlines of DAGs hold for a clock that goes forward: one that was an hour ahead may have passed over ticks that
    /// are still to come.
    fn note_clock(&mut self, now: Timestamp) {
        if now < self.clock {
            (0..self.dags.len() as u32).for_each(|ix| self.stir(DagIx(ix)));
        }
        self.clock = now;
    }
}

impl World {
    fn answer(&mut self, answer: Answer, now: Timestamp, plan: &mut Plan) {
        match answer {
            Answer::Version { version, definition } => self.shared.take_version(version, definition),
            Answer::Prepared { run, attempt, spec_hash } => self.prepared(run, attempt, spec_hash, plan),
            Answer::PrepareFailed { run, attempt, message } => self.prepare_failed(run, attempt, message, now, plan),
            Answer::Child { parent, request } => self.take_child(parent, request, now, plan),
            Answer::Taken { dag, logical_dates, run_ids } => self.taken(&dag, &logical_dates, &run_ids, now, plan),
        }
    }

    fn timers_due(&mut self, now: Timestamp, plan: &mut Plan) {
        while plan.rows() < self.shared.config.rows_max
            && let Some(timer) = self.shared.timers.pop_due(now)
        {
            match timer {
                Timer::Retry(run, task_no) => {
                    self.shared.at_work = Some(run);
                    self.retry_due(run, task_no, now, plan);
                }
                Timer::RunTimeout(run) => {
                    self.shared.at_work = Some(run);
                    self.time_out_run(run, now, plan);
                }
                Timer::Dag(dag) => {
                    self.shared.at_work = None;
                    self.shared.dag(dag).timer = None;
                    self.shared.stir(dag);
                }
            }
            self.end_step(now, plan);
        }
    }

    /// Tells those who wait for runs that ended, and lets go of runs that are over.
    fn end_step(&mut self, now: Timestamp, plan: &mut Plan) {
        debug_assert!(self.shared.unsettled.is_empty(), "a step settles what it finishes");
        while let Some((run, state)) = self.shared.ended.pop_front() {
            for waiter in self.shared.waits.remove(&run).unwrap_or_default() {
                self.shared.at_work = Some(waiter.run);
                self.resume(waiter, run, Some(state), now, plan);
            }
            self.forget_if_over(run, plan);
        }
    }

    fn forget_if_over(&mut self, run: RunKey, plan: &mut Plan) {
        if self.runs.get(&run).is_some_and(|run| run.is_over()) {
            let run = self.runs.remove(&run).expect("just found");
            self.shared.release_version(run.queued.version);
            plan.actions.push(crate::Action::RunEnded { run: run.queued.key });
        }
    }

    fn queue_run(&mut self, run: QueuedRun, plan: &Plan) {
        // The shell read it as queued before this turn; the turn itself may have ended it already.
        let has_ended = plan.run_state(run.key).is_some_and(crate::RunState::is_finished);
        if has_ended || self.runs.contains_key(&run.key) || self.shared.quarantined.contains_key(&run.key) {
            self.shared.stats.repeated_runs += 1;
        } else {
            self.shared.queue_run(run);
        }
    }

    fn take_fetched(&mut self, dag: &DagId, after: Option<RunOrder>, runs: Vec<QueuedRun>, has_more: bool) {
        let is_known = |run: &RunKey| self.runs.contains_key(run) || self.is_quarantined(*run);
        let runs = runs.into_iter().filter(|run| !is_known(&run.key)).collect();
        self.shared.take_fetched(dag, after, runs, has_more);
    }
}

impl Shared {
    fn dag(&mut self, ix: DagIx) -> &mut DagState {
        &mut self.dags[ix.0 as usize]
    }

    /// Makes the next [`admit`] look at a DAG's queued runs and schedule.
    fn stir(&mut self, ix: DagIx) {
        if !std::mem::replace(&mut self.dag(ix).is_stirred, true) {
            self.stirred.push_back(ix);
        }
    }
}

impl World {
    /// Whether a DAG is paused; one never heard of is not.
    pub fn is_paused(&self, dag: &DagId) -> bool {
        self.shared.dag_by_id.get(dag).is_some_and(|ix| self.shared.dags[ix.0 as usize].is_paused)
    }

    /// The task instance of an attempt whose processes are not known to be gone.
    pub fn task_instance_of(&self, run: RunKey, attempt: crate::AttemptId) -> Option<TaskInstanceKey> {
        let run = self.runs.get(&run)?;
        Some(run.ti_key(*run.open.get(&attempt)?))
    }

    /// The attempt of a task instance whose processes are not known to be gone.
    pub fn attempt_of(&self, key: TaskInstanceKey) -> Option<crate::AttemptId> {
        let ti = self.runs.get(&key.run)?.tis.get(key.task_no.0 as usize)?;
        ti.open.as_ref().map(|open| open.id)
    }
}
