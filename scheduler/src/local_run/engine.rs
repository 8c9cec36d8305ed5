//! The turns of a local run: the same steps as a leader's, committed to memory.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use chrono::Utc;
use gridflow_core::{
    Action, Answer, AttemptId, AttemptOutcome, ChildRequest, Committed, DataInterval, Epoch, Event, LaunchOrder, Need,
    NewRun, NodeBinding, Plan, QueuedRun, RunId, RunKey, RunState, RunType, RunWrite, TaskInstanceKey,
    TaskInstanceWrite, Timestamp, TriggeredBy, TryNumber, Turn, Usage, World, WorldConfig, Writes, admit, step,
};
use gridflow_executor::local::{self, Handle, Launch, Report, log_path};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Change, Config, Error, Outcome, RunResult, TaskInstanceResult, children::Dags, node_of};
use crate::{
    bundle::LoadedDag,
    memory::RunMemory,
    prepare::{self, Ground, Try},
};

/// There is no other leader.
const EPOCH: Epoch = Epoch(1);
/// Reports taken into one turn.
const REPORTS_AT_ONCE: usize = 1024;
/// Longest sleep for a timer, so that a clock that is set is noticed.
const TIMER_MAX: Duration = Duration::from_secs(10);

pub(super) struct Engine<F> {
    world: World,
    turn: Turn,
    dags: Dags,
    /// What templates read of runs.
    runs: RunMemory,
    rows: Rows,
    /// Rendered, and not launched yet.
    prepared: HashMap<AttemptId, Launch>,
    /// Launched, and not known to be gone: who may still report.
    open: HashSet<AttemptId>,
    executor: Handle,
    /// What acting found out, for the next turn.
    pending: Vec<Event>,
    program: PathBuf,
    state_dir: PathBuf,
    logical_date: Option<Timestamp>,
    run_id: Option<RunId>,
    on_change: F,
}

/// What the tables of a database would hold.
#[derive(Default)]
struct Rows {
    /// In the order of creation: keys are UUIDv7, but two of one millisecond may lie either way.
    order: Vec<RunKey>,
    new_runs: HashMap<RunKey, NewRun>,
    runs: HashMap<RunKey, RunWrite>,
    task_instances: BTreeMap<TaskInstanceKey, TaskInstanceWrite>,
    attempts: BTreeMap<TaskInstanceKey, Vec<AttemptId>>,
    outputs: HashMap<TaskInstanceKey, Arc<Value>>,
}

impl<F: FnMut(&Change)> Engine<F> {
    pub fn new(config: &Config, state_dir: &Path, executor: Handle, on_change: F) -> Result<Self, Error> {
        let boot = local::boot_identity().map_err(Error::Boot)?;
        // One process, one node: the binding only has to be the same everywhere.
        let node = node_of(gridflow_core::InstallationId(Uuid::nil()));
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
                return Ok(self.outcome(root, is_canceled));
            }
            let deadline = self.world.next_deadline();
            if deadline.is_none() && self.open.is_empty() {
                return Err(Error::Stuck(self.unfinished()));
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
                    let unfinished = self.rows.order.iter().filter(|run| !self.rows.is_finished(**run));
                    self.pending.extend(unfinished.map(|run| Event::CancelRun { run: *run, command: None }));
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
            self.remember_output(&event);
            step(&mut self.world, event, now, &mut plan);
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
        self.commit(sealed.writes());
        let actions = sealed.open(Committed { epoch: EPOCH, turn: self.turn });
        self.act(actions).await
    }

    /// Templates of later tasks read it.
    fn remember_output(&mut self, event: &Event) {
        if let Event::AttemptFinished { run, attempt, output: Some(output), .. } = event
            && let Some(key) = self.world.task_instance_of(*run, *attempt)
        {
            self.runs.set_output(key, Arc::clone(&output.value));
        }
    }

    fn answer(&mut self, need: Need, now: Timestamp, plan: &mut Plan) -> Answer {
        match need {
            Need::Version { version } => Answer::Version { version, definition: self.dags.definition(version) },
            Need::Prepare(order) => self.prepare(&order),
            Need::Child { parent, version, try_number, .. } => {
                let request = self.child(parent, version, try_number, now, plan);
                Answer::Child { parent, request }
            }
            Need::Taken { dag, logical_dates, run_ids } => {
                let taken: Vec<_> =
                    self.rows.new_runs.values().map(|run| &run.queued).filter(|run| run.dag == dag).collect();
                let dates =
                    logical_dates.into_iter().filter(|date| taken.iter().any(|run| run.logical_date == Some(*date)));
                let ids = run_ids.into_iter().filter(|id| taken.iter().any(|run| run.run_id == *id));
                Answer::Taken { logical_dates: dates.collect(), run_ids: ids.collect(), dag }
            }
        }
    }

    fn prepare(&mut self, order: &LaunchOrder) -> Answer {
        let (run, attempt) = (order.key.run, order.attempt);
        let launch = self.ground(run, order.version, |ground| prepare::launch(ground, order.into(), self.turn));
        match launch {
            Ok(launch) => {
                let spec_hash = launch.spec_hash;
                self.prepared.insert(attempt, launch);
                Answer::Prepared { run, attempt, spec_hash }
            }
            Err(message) => Answer::PrepareFailed { run, attempt, message },
        }
    }

    /// What a `trigger_dag` task asks for, checked against its target in the same folder.
    fn child(
        &mut self,
        parent: TaskInstanceKey,
        version: gridflow_core::DagVersionId,
        number: TryNumber,
        now: Timestamp,
        plan: &mut Plan,
    ) -> Result<ChildRequest, String> {
        // No attempt exists; the run's own key stands in.
        let attempt = AttemptId(parent.run.0);
        let which = Try { task_no: parent.task_no, map_index: parent.map_index, number, attempt };
        let wanted = self.ground(parent.run, version, |ground| prepare::trigger_dag(ground, which))?;
        let (version, news) = self.dags.find(&wanted.dag_id)?;
        for event in news {
            step(&mut self.world, event, now, plan);
        }
        let target = self.dags.compiled(version).ok_or("the version is not of this run")?;
        prepare::params(target, &wanted.conf)?;
        Ok(ChildRequest {
            dag: wanted.dag_id,
            version,
            run_id: wanted.run_id,
            logical_date: wanted.logical_date,
            conf: Arc::new(wanted.conf),
        })
    }

    fn ground<T>(
        &self,
        run: RunKey,
        version: gridflow_core::DagVersionId,
        render: impl FnOnce(&Ground<'_>) -> Result<T, String>,
    ) -> Result<T, String> {
        let compiled = self.dags.compiled(version).ok_or("the version is not of this run")?;
        let facts = self.runs.facts(run).ok_or("the run is not known")?;
        render(&Ground { compiled, facts: &facts, runs: &self.runs, program: &self.program })
    }

    /// Nothing here outlives the process, so memory is as durable as it gets.
    fn commit(&mut self, writes: &Writes) {
        for run in &writes.new_runs {
            self.rows.insert(run);
            self.runs.remember(run);
        }
        for row in &writes.attempts {
            let key = TaskInstanceKey { run: row.run, task_no: row.task_no, map_index: row.map_index };
            let attempts = self.rows.attempts.entry(key).or_default();
            if !attempts.contains(&row.attempt) {
                attempts.push(row.attempt);
            }
        }
        for xcom in &writes.xcoms {
            self.rows.outputs.insert(xcom.key, Arc::clone(&xcom.output.value));
        }
        // A run's start comes before what happens in it, its end after.
        let (ends, starts): (Vec<_>, Vec<_>) = writes.runs.iter().partition(|row| row.to.is_finished());
        starts.into_iter().for_each(|row| self.tell_run(row));
        for row in &writes.task_instances {
            self.tell_task_instance(row);
        }
        ends.into_iter().for_each(|row| self.tell_run(row));
    }

    fn tell_run(&mut self, row: &RunWrite) {
        let is_news = self.rows.runs.get(&row.key).is_none_or(|before| before.to != row.to);
        self.rows.runs.insert(row.key, row.clone());
        if let Some(run) = self.rows.new_runs.get(&row.key).filter(|_| is_news) {
            let QueuedRun { dag, run_id, .. } = run.queued.clone();
            (self.on_change)(&Change::Run { dag, run_id, state: row.to, reason: row.reason.clone() });
        }
    }

    fn tell_task_instance(&mut self, row: &TaskInstanceWrite) {
        let before = self.rows.task_instances.insert(row.key, row.clone());
        let is_news = before.is_none_or(|before| before.to != row.to || before.try_number != row.try_number);
        let Some(run) = self.rows.new_runs.get(&row.key.run).filter(|_| is_news) else { return };
        let Some(compiled) = self.dags.compiled(run.queued.version) else { return };
        let change = Change::TaskInstance {
            dag: run.queued.dag.clone(),
            run_id: run.queued.run_id.clone(),
            task: compiled.dag.task(row.key.task_no).id.clone(),
            map_index: row.key.map_index,
            try_number: row.try_number,
            from: row.from,
            state: row.to,
            reason: row.reason.clone(),
            log: row.attempt.map(|attempt| log_path(&self.state_dir, attempt)),
        };
        (self.on_change)(&change);
    }

    async fn act(&mut self, actions: Vec<Action>) -> Result<(), Error> {
        let (mut launches, mut cancels, mut ended) = (Vec::new(), Vec::new(), Vec::new());
        for action in actions {
            match action {
                Action::Launch(order) => launches.extend(self.prepared.remove(&order.attempt)),
                Action::Cancel { run, attempt, .. } => cancels.push((run, attempt)),
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
        self.world.active_runs() == 0 && self.rows.order.iter().all(|run| self.rows.is_finished(*run))
    }

    fn unfinished(&self) -> String {
        let runs = self.rows.order.iter().filter(|run| !self.rows.is_finished(**run));
        let names = runs.filter_map(|run| self.rows.new_runs.get(run)).map(|run| run.queued.run_id.to_string());
        names.collect::<Vec<_>>().join(", ")
    }

    fn outcome(&self, root: RunKey, is_canceled: bool) -> Outcome {
        let mut results: Vec<_> = self.rows.order.iter().filter_map(|run| self.result(*run)).collect();
        let at = results.iter().position(|result| result.key == root).expect("the run was made in the beginning");
        let run = results.remove(at);
        Outcome { run, children: results, is_canceled }
    }

    fn result(&self, key: RunKey) -> Option<RunResult> {
        let run = self.rows.new_runs.get(&key)?;
        let row = self.rows.runs.get(&key);
        let compiled = self.dags.compiled(run.queued.version)?;
        let from = TaskInstanceKey {
            run: key,
            task_no: gridflow_core::TaskNo(0),
            map_index: gridflow_core::MapIndex(i32::MIN),
        };
        let rows = self.rows.task_instances.range(from..).take_while(|(of, _)| of.run == key);
        let task_instances = rows.map(|(of, row)| TaskInstanceResult {
            task: compiled.dag.task(of.task_no).id.clone(),
            operator: compiled.operators[of.task_no.0 as usize].name(),
            map_index: of.map_index,
            state: row.to,
            try_number: row.try_number,
            tries_max: row.tries_max,
            started_at: row.started_at,
            ended_at: row.ended_at,
            reason: row.reason.clone(),
            output: self.rows.outputs.get(of).cloned(),
            attempts: self.attempts(of),
        });
        Some(RunResult {
            key,
            dag: run.queued.dag.clone(),
            run_id: run.queued.run_id.clone(),
            run_type: run.queued.run_type,
            state: row.map_or(RunState::Queued, |row| row.to),
            logical_date: run.queued.logical_date,
            run_after: run.queued.run_after,
            started_at: row.and_then(|row| row.started_at),
            ended_at: row.and_then(|row| row.ended_at),
            conf: Arc::clone(&run.conf),
            reason: row.and_then(|row| row.reason.clone()),
            task_instances: task_instances.collect(),
        })
    }

    fn attempts(&self, key: &TaskInstanceKey) -> Vec<(AttemptId, PathBuf)> {
        let attempts = self.rows.attempts.get(key).into_iter().flatten();
        attempts.map(|attempt| (*attempt, log_path(&self.state_dir, *attempt))).collect()
    }
}

impl Rows {
    fn insert(&mut self, run: &NewRun) {
        let key = run.queued.key;
        if self.new_runs.insert(key, run.clone()).is_none() {
            self.order.push(key);
        }
    }

    fn is_finished(&self, run: RunKey) -> bool {
        self.runs.get(&run).is_some_and(|row| row.to.is_finished())
    }
}

fn event_of(report: Report) -> Option<Event> {
    match report {
        Report::Synced { .. } => None,
        Report::Started { attempt, run, pid, at } => Some(Event::AttemptStarted { run, attempt, at, pid: Some(pid) }),
        Report::Finished { attempt, run, at, outcome, usage, output } => {
            Some(Event::AttemptFinished { run, attempt, at, outcome, usage, output })
        }
        // Impossible in a state directory of our own; if it happens, the command did not start.
        Report::Conflict { attempt, run, message } => {
            let outcome = AttemptOutcome::SpawnFailed { message };
            Some(Event::AttemptFinished {
                run,
                attempt,
                at: Utc::now(),
                outcome,
                usage: Usage::default(),
                output: None,
            })
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
