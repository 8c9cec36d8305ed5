//! What memory knows of a DAG: its current version, its queued runs, and its counts.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    dag::Dag,
    event::DagChanged,
    id::{CommandId, DagId, DagVersionId, TaskId, Timestamp},
    plan::Plan,
    run::{QueuedRun, RunType},
    state::RunState,
    timetable::ScheduleCursor,
};

use super::{
    DagIx, LimitIx, Shared,
    active::Routes,
    limit::TaskLimit,
    queue::{Fetch, Horizon, QueueKey},
    timers::Timer,
};

/// Airflow's default, for a DAG that has no current version.
const MAX_ACTIVE_RUNS_DEFAULT: u32 = 16;

#[derive(Debug)]
pub(super) struct DagState {
    pub id: DagId,
    /// Its row was read: otherwise it is known by name alone, because somebody spoke of it.
    pub is_loaded: bool,
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
            is_loaded: false,
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

    pub fn running_of(&mut self, run_type: RunType) -> &mut u32 {
        if run_type == RunType::Backfill { &mut self.running_backfill } else { &mut self.running }
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
        let ix = self.dag_ix(definition.id());
        self.drop_current(ix);
        self.learn_version(version, ix, definition);
        self.versions.get_mut(&version).expect("just learnt").is_current = true;
        let dag = self.dag(ix);
        dag.current = Some(version);
        // A known DAG's pause and cursor are the leader's own: the loader may have read older rows.
        if !std::mem::replace(&mut dag.is_loaded, true) {
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
