//! What memory knows of a DAG: its current version, its queued runs, and its counts.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use crate::{
    dag::Dag,
    event::DagChanged,
    hash::FastMap,
    id::{CommandId, DagId, DagVersionId, RunKey, TaskId, Timestamp},
    plan::{Action, Plan},
    run::{QueuedRun, RunType},
    state::RunState,
    timetable::ScheduleCursor,
};

use super::{DagIx, LimitIx, Shared, TaskLimit, active::Routes, timers::Timer};

/// Airflow's default, for a DAG that has no current version.
const MAX_ACTIVE_RUNS_DEFAULT: u32 = 16;

/// Queued runs go by `run_after`, then by age.
pub(super) type QueueKey = (Timestamp, RunKey);

#[derive(Debug)]
pub(super) struct DagState {
    pub id: DagId,
    /// None: not in its bundle, or never loaded.
    pub current: Option<DagVersionId>,
    pub is_paused: bool,
    pub cursor: ScheduleCursor,
    /// Running runs without backfills, which have their own count.
    pub running: u32,
    pub running_backfill: u32,
    pub queued: BTreeMap<QueueKey, QueuedRun>,
    pub queued_backfill: BTreeMap<QueueKey, QueuedRun>,
    /// Memory holds every queued run up to this one; the database may hold more behind it.
    /// None: memory holds all.
    pub horizon: Option<Horizon>,
    pub fetch: Option<Fetch>,
    /// The newest finished runs, for `max_consecutive_failed_runs`.
    pub finished: BTreeMap<QueueKey, RunState>,
    /// Where the `max_active_per_dag` of its tasks are counted.
    pub limits: BTreeMap<TaskId, LimitIx>,
    pub timer: Option<Timestamp>,
    pub is_stirred: bool,
    /// Ticks are being asked for by [`crate::Need::Taken`].
    pub is_asking: bool,
}

/// Up to which queued run memory is complete. `None`: not even the first is known.
pub(super) type Horizon = Option<QueueKey>;

/// A fetch of queued runs under way.
#[derive(Debug)]
pub(super) struct Fetch {
    /// Runs that stopped being queued meanwhile: the answer may still hold them.
    pub left: HashSet<RunKey>,
}

/// A version in memory: current, or pinned by a running run.
#[derive(Debug)]
pub(super) struct Version {
    pub definition: Result<(Arc<Dag>, Arc<Routes>), String>,
    /// Running runs pinned to it.
    pub runs: u32,
    pub is_current: bool,
}

impl DagState {
    fn new(id: DagId) -> Self {
        Self {
            id,
            current: None,
            is_paused: false,
            cursor: ScheduleCursor::default(),
            running: 0,
            running_backfill: 0,
            queued: BTreeMap::new(),
            queued_backfill: BTreeMap::new(),
            horizon: None,
            fetch: None,
            finished: BTreeMap::new(),
            limits: BTreeMap::new(),
            timer: None,
            is_stirred: false,
            is_asking: false,
        }
    }

    pub fn queue_of(&mut self, run_type: RunType) -> &mut BTreeMap<QueueKey, QueuedRun> {
        if run_type == RunType::Backfill { &mut self.queued_backfill } else { &mut self.queued }
    }

    pub fn running_of(&mut self, run_type: RunType) -> &mut u32 {
        if run_type == RunType::Backfill { &mut self.running_backfill } else { &mut self.running }
    }

    pub fn queued_in_memory(&self) -> usize {
        self.queued.len() + self.queued_backfill.len()
    }

    /// Drops what lies behind the horizon.
    fn shorten_queue(&mut self, queued_max: usize, index: &mut FastMap<RunKey, (DagIx, QueueKey)>) {
        self.drop_behind_horizon(index);
        // Only what is left is known to have no gaps, so only there a nearer horizon may be chosen.
        if queued_max.saturating_mul(2) < self.queued_in_memory() {
            self.horizon = Some(self.nth_queued(queued_max - 1));
            self.drop_behind_horizon(index);
        }
    }

    fn drop_behind_horizon(&mut self, index: &mut FastMap<RunKey, (DagIx, QueueKey)>) {
        let Some(horizon) = self.horizon else { return };
        for queue in [&mut self.queued, &mut self.queued_backfill] {
            while let Some((&last, _)) = queue.last_key_value()
                && horizon < Some(last)
            {
                queue.remove(&last);
                index.remove(&last.1);
            }
        }
    }

    fn nth_queued(&self, n: usize) -> Option<QueueKey> {
        let mut keys: Vec<QueueKey> = self.queued.keys().chain(self.queued_backfill.keys()).copied().collect();
        keys.sort_unstable();
        keys.get(n).copied()
    }
}

impl Shared {
    pub fn dag_ix(&mut self, id: &DagId) -> DagIx {
        if let Some(&ix) = self.dag_by_id.get(id) {
            return ix;
        }
        let ix = DagIx(self.dags.len() as u32);
        self.dags.push(DagState::new(id.clone()));
        self.dag_by_id.insert(id.clone(), ix);
        ix
    }

    pub fn change_dag(&mut self, changed: DagChanged) {
        let DagChanged { version, definition, is_paused, cursor } = changed;
        let is_new = !self.dag_by_id.contains_key(definition.id());
        let ix = self.dag_ix(definition.id());
        self.drop_current(ix);
        self.learn_version(version, ix, definition);
        self.versions.get_mut(&version).expect("just learnt").is_current = true;
        let dag = self.dag(ix);
        dag.current = Some(version);
        // A known DAG's pause and cursor are the leader's own: the loader may have read older rows.
        if is_new {
            dag.is_paused = is_paused;
            dag.cursor = cursor;
        }
        dag.cursor.last = dag.cursor.last.max(cursor.last);
        self.set_limits(ix);
        self.shorten_finished(ix);
        self.stir(ix);
    }

    pub fn remove_dag(&mut self, id: &DagId) {
        if let Some(&ix) = self.dag_by_id.get(id) {
            self.drop_current(ix);
            self.set_limits(ix);
            self.shorten_finished(ix);
            self.stir(ix);
        }
    }

    pub fn pause_dag(&mut self, id: &DagId, is_paused: bool, command: Option<CommandId>, plan: &mut Plan) {
        let Some(&ix) = self.dag_by_id.get(id) else {
            plan.settle_command(command, Err(format!("the DAG `{id}` does not exist")));
            return;
        };
        self.set_paused(ix, is_paused, plan);
        plan.settle_command(command, Ok(()));
    }

    pub fn set_paused(&mut self, ix: DagIx, is_paused: bool, plan: &mut Plan) {
        let dag = self.dag(ix);
        if dag.is_paused != is_paused {
            dag.is_paused = is_paused;
            let id = dag.id.clone();
            plan.writes.paused.retain(|(dag, _)| *dag != id);
            plan.writes.paused.push((id, is_paused));
            self.stir(ix);
        }
    }

    pub fn max_active_runs(&self, ix: DagIx) -> u32 {
        self.current(ix).map_or(MAX_ACTIVE_RUNS_DEFAULT, |dag| dag.parts().max_active_runs.get())
    }

    /// The current version's definition.
    pub fn current(&self, ix: DagIx) -> Option<&Arc<Dag>> {
        let version = self.versions.get(&self.dags[ix.0 as usize].current?)?;
        version.definition.as_ref().ok().map(|(dag, _)| dag)
    }

    fn drop_current(&mut self, ix: DagIx) {
        if let Some(version) = self.dag(ix).current.take()
            && let Some(known) = self.versions.get_mut(&version)
        {
            known.is_current = false;
            self.drop_version_if_idle(version);
        }
    }

    /// Keeps a definition in memory, with what admission needs of it.
    pub fn learn_version(&mut self, version: DagVersionId, ix: DagIx, dag: Arc<Dag>) {
        let routes = Arc::new(self.routes(ix, &dag));
        let runs = self.versions.get(&version).map_or(0, |known| known.runs);
        self.versions.insert(version, Version { definition: Ok((dag, routes)), runs, is_current: false });
    }

    pub fn take_version(&mut self, version: DagVersionId, definition: Result<Arc<Dag>, String>) {
        let Some(ix) = self.asked.remove(&version) else {
            self.stats.stale_answers += 1;
            return;
        };
        match definition {
            Ok(dag) => self.learn_version(version, ix, dag),
            Err(text) => {
                self.broken.push(version);
                self.versions.insert(version, Version { definition: Err(text), runs: 0, is_current: false });
            }
        }
        self.stir(ix);
    }

    pub fn release_version(&mut self, version: DagVersionId) {
        if let Some(known) = self.versions.get_mut(&version) {
            known.runs -= 1;
            self.drop_version_if_idle(version);
        }
    }

    fn drop_version_if_idle(&mut self, version: DagVersionId) {
        if self.versions.get(&version).is_some_and(|known| known.runs == 0 && !known.is_current) {
            self.versions.remove(&version);
        }
    }

    /// The limits of a DAG's tasks are those of its current version; whoever is parked looks again.
    pub fn set_limits(&mut self, ix: DagIx) {
        let current = self.current(ix).cloned();
        for (task, limit) in &self.dags[ix.0 as usize].limits {
            let task = current.as_ref().and_then(|dag| Some(dag.task(dag.task_no(task.as_str())?)));
            let max = task.and_then(|task| task.max_active_per_dag);
            self.limits[limit.0 as usize].max = max.map(std::num::NonZeroU32::get);
            self.freed.insert(*limit);
        }
    }

    fn routes(&mut self, ix: DagIx, dag: &Dag) -> Routes {
        let lanes = dag.tasks().map(|(_, task)| self.lanes.lane_ix(&task.pool, task.pool_slots)).collect();
        let limits = dag
            .tasks()
            .map(|(_, task)| {
                task.max_active_per_dag?;
                let next = LimitIx(self.limits.len() as u32);
                let limit = *self.dags[ix.0 as usize].limits.entry(task.id.clone()).or_insert(next);
                if limit == next {
                    self.limits.push(TaskLimit::default());
                }
                Some(limit)
            })
            .collect();
        Routes { lanes, limits }
    }

    /// A queued run was committed, or is being created in this turn.
    pub fn queue_run(&mut self, run: QueuedRun) {
        let ix = self.dag_ix(&run.dag);
        let key = (run.run_after, run.key);
        if self.queued_index.insert(key.1, (ix, key)).is_some() {
            self.stats.repeated_runs += 1;
            return;
        }
        self.dag(ix).queue_of(run.run_type).insert(key, run);
        self.stir(ix);
    }

    /// Takes a run out of the queue.
    pub fn unqueue(&mut self, ix: DagIx, key: QueueKey) -> QueuedRun {
        self.queued_index.remove(&key.1);
        let dag = self.dag(ix);
        if let Some(fetch) = &mut dag.fetch {
            fetch.left.insert(key.1);
        }
        let run = dag.queued.remove(&key).or_else(|| dag.queued_backfill.remove(&key));
        run.expect("the caller found it queued")
    }

    /// Keeps the queued runs of a DAG within bounds, and asks for more when memory drains.
    pub fn tidy_queue(&mut self, ix: DagIx, plan: &mut Plan) {
        let queued_max = self.config.queued_max;
        let dag = &mut self.dags[ix.0 as usize];
        if dag.fetch.is_some() {
            return; // What came since the fetch was asked for may be missing from its answer.
        }
        dag.shorten_queue(queued_max, &mut self.queued_index);
        let in_memory = dag.queued_in_memory();
        if let Some(horizon) = dag.horizon
            && in_memory <= queued_max / 4
        {
            let limit = (queued_max - in_memory) as u32;
            dag.fetch = Some(Fetch { left: HashSet::new() });
            plan.actions.push(Action::FetchQueued { dag: dag.id.clone(), after: horizon, limit });
        }
    }

    pub fn take_fetched(&mut self, dag: &crate::DagId, after: Option<QueueKey>, runs: Vec<QueuedRun>, has_more: bool) {
        let Some(&ix) = self.dag_by_id.get(dag) else { return };
        let Some(Fetch { left }) = self.dag(ix).fetch.take() else {
            self.stats.stale_answers += 1;
            return;
        };
        let last = runs.last().map(|run| (run.run_after, run.key)).or(after);
        self.dag(ix).horizon = has_more.then_some(last);
        for run in runs.into_iter().filter(|run| !left.contains(&run.key)) {
            self.queue_run(run);
        }
        self.stir(ix);
    }

    /// Remembers how a run ended; pauses the DAG when the newest ones all failed.
    pub fn note_finished(&mut self, ix: DagIx, key: QueueKey, state: RunState, plan: &mut Plan) {
        let Some(max) = self.failed_runs_max(ix) else { return };
        self.dag(ix).finished.insert(key, state);
        self.shorten_finished(ix);
        let finished = &self.dag(ix).finished;
        if state == RunState::Failed
            && max <= finished.len()
            && finished.values().all(|state| *state == RunState::Failed)
        {
            self.set_paused(ix, true, plan);
        }
    }

    pub(super) fn shorten_finished(&mut self, ix: DagIx) {
        let max = self.failed_runs_max(ix).unwrap_or(0);
        let finished = &mut self.dag(ix).finished;
        while max < finished.len() {
            finished.pop_first();
        }
    }

    fn failed_runs_max(&self, ix: DagIx) -> Option<usize> {
        let max = self.current(ix)?.parts().max_consecutive_failed_runs?;
        Some(max.get() as usize)
    }

    /// Sets, moves or removes the one timer of a DAG.
    pub fn set_dag_timer(&mut self, ix: DagIx, at: Option<Timestamp>) {
        let before = std::mem::replace(&mut self.dag(ix).timer, at);
        if before != at {
            if let Some(before) = before {
                self.timers.unset(before, Timer::Dag(ix));
            }
            if let Some(at) = at {
                self.timers.set(at, Timer::Dag(ix));
            }
        }
    }
}
