//! The queued runs of a DAG: the first ones in memory, the others in the database.

use std::collections::{BTreeMap, HashSet};

use crate::{
    hash::FastMap,
    id::{DagId, RunKey, Timestamp},
    plan::{Action, Plan},
    run::{QueuedRun, RunType},
};

use super::{DagIx, Shared, dag_state::DagState};

/// Queued runs go by `run_after`, then by age.
pub(super) type QueueKey = (Timestamp, RunKey);

/// Up to which queued run memory is complete. `None`: not even the first is known.
pub(super) type Horizon = Option<QueueKey>;

/// A fetch of queued runs under way.
#[derive(Debug)]
pub(super) struct Fetch {
    /// Runs that stopped being queued meanwhile: the answer may still hold them.
    pub left: HashSet<RunKey>,
}

impl DagState {
    pub fn queue_of(&mut self, run_type: RunType) -> &mut BTreeMap<QueueKey, QueuedRun> {
        if run_type == RunType::Backfill { &mut self.queued_backfill } else { &mut self.queued }
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

    pub fn take_fetched(&mut self, dag: &DagId, after: Option<QueueKey>, runs: Vec<QueuedRun>, has_more: bool) {
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
}
