//! The turns of a local run: the same steps as a leader's, committed to memory.

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use chrono::Utc;
use gridflow_core::{
    Action, AttemptId, Committed, DataInterval, Epoch, Event, NewRun, NodeBinding, NodeId, Plan, QueuedRun, RunId,
    RunKey, RunType, Timestamp, TriggeredBy, Turn, World, WorldConfig, admit, step,
};
use gridflow_executor::local::{self, Handle, Launch, Report};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    Change, Config, Error, Outcome,
    children::Dags,
    rows::{Names, Rows},
};
use crate::{bundle::LoadedDag, memory::RunMemory};

/// There is no other leader.
const EPOCH: Epoch = Epoch(1);
/// Reports taken into one turn.
const REPORTS_AT_ONCE: usize = 1024;
/// Longest sleep for a timer, so that a clock that is set is noticed.
const TIMER_MAX: Duration = Duration::from_secs(10);

pub(super) struct Engine<F> {
    pub(super) world: World,
    pub(super) turn: Turn,
    pub(super) dags: Dags,
    /// What templates read of runs.
    pub(super) runs: RunMemory,
    pub(super) rows: Rows,
    /// Rendered, and not launched yet.
    pub(super) prepared: HashMap<AttemptId, Launch>,
    /// Launched, and not known to be gone: who may still report.
    open: HashSet<AttemptId>,
    executor: Handle,
    /// What acting found out, for the next turn.
    pending: Vec<Event>,
    pub(super) program: PathBuf,
    state_dir: PathBuf,
    logical_date: Option<Timestamp>,
    run_id: Option<RunId>,
    on_change: F,
}

impl<F: FnMut(&Change)> Engine<F> {
    pub fn new(
        config: &Config,
        state_dir: &Path,
        (node, executor): (NodeId, Handle),
        on_change: F,
    ) -> Result<Self, Error> {
        let boot = local::boot_identity().map_err(Error::Boot)?;
        let world = World::new(WorldConfig {
            parallelism: config.parallelism.get(),
            binding: Some(NodeBinding { node, boot }),
            ..WorldConfig::default()
        });
        Ok(Self {
            world,
            turn: Turn(0),
            dags: Dags::beside(&config.file),
            runs: RunMemory::default(),
            rows: Rows::default(),
            prepared: HashMap::new(),
            open: HashSet::new(),
            executor,
            pending: Vec::new(),
            program: config.program.clone(),
            state_dir: state_dir.to_owned(),
            logical_date: config.logical_date,
            run_id: config.run_id.clone(),
            on_change,
        })
    }

    /// Runs until all runs are over and nothing of them is left.
    pub async fn run(
        mut self,
        loaded: LoadedDag,
        conf: Value,
        mut reports: mpsc::Receiver<Report>,
        shutdown: CancellationToken,
    ) -> Result<Outcome, Error> {
        let root = self.begin(&loaded, conf);
        let mut is_canceled = false;
        loop {
            while !self.pending.is_empty() || self.world.has_more() {
                let events = std::mem::take(&mut self.pending);
                self.take_turn(events).await?;
            }
            if self.is_over() {
                return Ok(self.rows.outcome(root, is_canceled, self.names()));
            }
            let deadline = self.world.next_deadline();
            if deadline.is_none() && self.open.is_empty() {
                let names = self.rows.unfinished().filter_map(|run| self.rows.run_id(run)).map(RunId::as_str);
                return Err(Error::Stuck(names.collect::<Vec<_>>().join(", ")));
            }
            let mut received = Vec::new();
            tokio::select! {
                count = reports.recv_many(&mut received, REPORTS_AT_ONCE) => {
                    if count == 0 {
                        return Err(Error::Executor(local::Error::Stopped));
                    }
                    self.pending.extend(received.into_iter().filter_map(event_of));
                }
                () = until(deadline), if deadline.is_some() => self.pending.push(Event::TimersDue),
                () = shutdown.cancelled(), if !is_canceled => {
                    is_canceled = true;
                    self.pending.extend(self.rows.unfinished().map(|run| Event::CancelRun { run, command: None }));
                }
            }
        }
    }

    /// Makes the run that was asked for.
    fn begin(&mut self, loaded: &LoadedDag, conf: Value) -> RunKey {
        let now = Utc::now();
        let (version, mut events) = self.dags.add(loaded);
        let logical_date = self.logical_date.unwrap_or(now);
        let run_id = self.run_id.clone().unwrap_or_else(|| {
            let text = format!("manual__{}", logical_date.to_rfc3339_opts(chrono::SecondsFormat::Micros, false));
            RunId::parse(&text).expect("made of allowed characters")
        });
        let queued = QueuedRun {
            key: RunKey(Uuid::now_v7()),
            dag: loaded.id().clone(),
            version,
            run_id,
            run_type: RunType::Manual,
            logical_date: Some(logical_date),
            data_interval: Some(DataInterval { start: logical_date, end: logical_date }),
            run_after: now,
        };
        let run = NewRun {
            queued: queued.clone(),
            queued_at: now,
            triggered_by: TriggeredBy::Cli,
            actor: None,
            conf: Arc::new(conf),
            trigger: None,
            events: Vec::new(),
            parent: None,
            note: None,
            traceparent: None,
        };
        let key = queued.key;
        self.rows.insert(&run);
        self.runs.remember(&run);
        events.push(Event::RunQueued(queued));
        self.pending = events;
        key
    }

    async fn take_turn(&mut self, events: Vec<Event>) -> Result<(), Error> {
        let now = Utc::now();
        self.turn.0 += 1;
        let mut plan = Plan::begin(self.turn, seed());
        for event in events {
            step(&mut self.world, event, now, &mut plan);
        }
        // Templates of later tasks read them.
        for xcom in plan.outputs() {
            self.runs.set_output(xcom.key, Arc::clone(&xcom.output.value));
        }
        loop {
            admit(&mut self.world, now, &mut plan);
            let needs = plan.take_needs();
            if needs.is_empty() {
                break;
            }
            for run in plan.new_runs() {
                self.runs.remember(run);
            }
            for need in needs {
                let answer = self.answer(need, now, &mut plan);
                step(&mut self.world, Event::Answer(answer), now, &mut plan);
            }
        }
        let sealed = plan.seal();
        sealed.writes().new_runs.iter().for_each(|run| self.runs.remember(run));
        let names = Names { dags: &self.dags, state_dir: &self.state_dir };
        self.rows.commit(sealed.writes(), names).iter().for_each(|change| (self.on_change)(change));
        let actions = sealed.open(Committed { epoch: EPOCH, turn: self.turn });
        self.act(actions).await
    }

    async fn act(&mut self, actions: Vec<Action>) -> Result<(), Error> {
        let (mut launches, mut cancels, mut ended) = (Vec::new(), Vec::new(), Vec::new());
        for action in actions {
            match action {
                Action::Launch(order) => launches.extend(self.prepared.remove(&order.attempt)),
                Action::Cancel { run, attempt, .. } => cancels.push((run, attempt)),
                // There is one node, and its commands need no confirmation.
                Action::CancelElsewhere | Action::Confirm { .. } => {}
                Action::Acknowledge { attempt, .. } => {
                    self.open.remove(&attempt);
                    ended.push(attempt);
                }
                // Memory holds all runs there are.
                Action::FetchQueued { dag, after, .. } => {
                    self.pending.push(Event::QueuedFetched { dag, after, runs: Vec::new(), has_more: false });
                }
                Action::RunEnded { run } => self.runs.forget(run),
            }
        }
        if !launches.is_empty() {
            self.open.extend(launches.iter().map(|launch: &Launch| launch.attempt));
            self.executor.launch(launches).await?;
        }
        if !cancels.is_empty() {
            self.executor.cancel(cancels).await?;
        }
        if !ended.is_empty() {
            self.executor.acknowledge(ended).await?;
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.world.active_runs() == 0 && self.rows.unfinished().next().is_none()
    }

    fn names(&self) -> Names<'_> {
        Names { dags: &self.dags, state_dir: &self.state_dir }
    }
}

fn event_of(report: Report) -> Option<Event> {
    match report {
        Report::Synced { .. } => None,
        Report::Started { attempt, run, pid, at } => {
            Some(Event::AttemptStarted { run, attempt, at, pid: Some(pid), place: None })
        }
        Report::Finished { attempt, run, at, outcome, usage, output } => {
            Some(Event::AttemptFinished { run, attempt, at, outcome, usage, output })
        }
    }
}

async fn until(deadline: Option<Timestamp>) {
    let left = deadline.and_then(|at| (at - Utc::now()).to_std().ok()).unwrap_or_default();
    tokio::time::sleep(left.min(TIMER_MAX)).await;
}

fn seed() -> u64 {
    // The random part of a UUIDv7.
    let (high, low) = Uuid::now_v7().as_u64_pair();
    high.rotate_left(32) ^ low
}
