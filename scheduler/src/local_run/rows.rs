//! What the tables of a database would hold, and what a person is told of them.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::Arc,
};

use gridflow_core::{
    AttemptId, DagId, MapIndex, NewRun, QueuedRun, RunId, RunKey, RunState, RunWrite, TaskInstanceKey,
    TaskInstanceWrite, TaskNo, Timestamp, Writes,
};
use gridflow_executor::local::log_path;
use serde_json::Value;

use super::{Change, Outcome, RunResult, TaskInstanceResult, children::Dags};

#[derive(Debug, Default)]
pub(super) struct Rows {
    /// In the order of creation: keys are UUIDv7, but two of one millisecond may lie either way.
    order: Vec<RunKey>,
    new_runs: HashMap<RunKey, NewRun>,
    runs: HashMap<RunKey, RunWrite>,
    task_instances: BTreeMap<TaskInstanceKey, TaskInstanceWrite>,
    attempts: HashMap<TaskInstanceKey, Vec<AttemptId>>,
    outputs: HashMap<TaskInstanceKey, Arc<Value>>,
}

/// What turns numbers into names and paths.
#[derive(Clone, Copy)]
pub(super) struct Names<'a> {
    pub dags: &'a Dags,
    pub state_dir: &'a Path,
}

impl Rows {
    pub fn insert(&mut self, run: &NewRun) {
        let key = run.queued.key;
        if self.new_runs.insert(key, run.clone()).is_none() {
            self.order.push(key);
        }
    }

    /// Nothing here outlives the process, so memory is as durable as it gets. Returns what changed.
    pub fn commit(&mut self, writes: &Writes, names: Names<'_>) -> Vec<Change> {
        writes.new_runs.iter().for_each(|run| self.insert(run));
        for row in &writes.attempts {
            let key = TaskInstanceKey { run: row.run, task_no: row.task_no, map_index: row.map_index };
            let attempts = self.attempts.entry(key).or_default();
            if !attempts.contains(&row.attempt) {
                attempts.push(row.attempt);
            }
        }
        for xcom in &writes.xcoms {
            self.outputs.insert(xcom.key, Arc::clone(&xcom.output.value));
        }
        // A run's start comes before what happens in it, its end after.
        let (ends, starts): (Vec<_>, Vec<_>) = writes.runs.iter().partition(|row| row.to.is_finished());
        let mut changes: Vec<_> = starts.into_iter().filter_map(|row| self.take_run(row)).collect();
        changes.extend(writes.task_instances.iter().filter_map(|row| self.take_task_instance(row, names)));
        changes.extend(ends.into_iter().filter_map(|row| self.take_run(row)));
        changes
    }

    fn take_run(&mut self, row: &RunWrite) -> Option<Change> {
        let before = self.runs.insert(row.key, row.clone());
        if before.is_some_and(|before| before.to == row.to) {
            return None;
        }
        let QueuedRun { dag, run_id, .. } = self.new_runs.get(&row.key)?.queued.clone();
        Some(Change::Run { dag, run_id, state: row.to, reason: row.reason.clone() })
    }

    fn take_task_instance(&mut self, row: &TaskInstanceWrite, names: Names<'_>) -> Option<Change> {
        let before = self.task_instances.insert(row.key, row.clone());
        if before.is_some_and(|before| before.to == row.to && before.try_number == row.try_number) {
            return None;
        }
        let QueuedRun { dag, run_id, version, .. } = self.new_runs.get(&row.key.run)?.queued.clone();
        Some(Change::TaskInstance {
            dag,
            run_id,
            task: names.dags.compiled(version)?.dag.task(row.key.task_no).id.clone(),
            map_index: row.key.map_index,
            try_number: row.try_number,
            from: row.from,
            state: row.to,
            reason: row.reason.clone(),
            log: row.attempt.map(|attempt| log_path(names.state_dir, attempt)),
        })
    }

    /// Runs that have not ended, in the order of creation.
    pub fn unfinished(&self) -> impl Iterator<Item = RunKey> {
        let is_finished = |run: &RunKey| self.runs.get(run).is_some_and(|row| row.to.is_finished());
        self.order.iter().copied().filter(move |run| !is_finished(run))
    }

    pub fn run_id(&self, run: RunKey) -> Option<&RunId> {
        Some(&self.new_runs.get(&run)?.queued.run_id)
    }

    /// Which of these the runs of a DAG have taken.
    pub fn taken(&self, dag: &DagId, dates: &[Timestamp], ids: &[RunId]) -> (Vec<Timestamp>, Vec<RunId>) {
        let runs: Vec<_> = self.new_runs.values().map(|run| &run.queued).filter(|run| run.dag == *dag).collect();
        let dates = dates.iter().filter(|date| runs.iter().any(|run| run.logical_date == Some(**date)));
        let ids = ids.iter().filter(|id| runs.iter().any(|run| run.run_id == **id));
        (dates.copied().collect(), ids.cloned().collect())
    }

    pub fn outcome(&self, root: RunKey, is_canceled: bool, names: Names<'_>) -> Outcome {
        let mut results: Vec<_> = self.order.iter().filter_map(|run| self.result(*run, names)).collect();
        let at = results.iter().position(|result| result.key == root).expect("the run was made in the beginning");
        let run = results.remove(at);
        Outcome { run, children: results, is_canceled }
    }

    fn result(&self, key: RunKey, names: Names<'_>) -> Option<RunResult> {
        let run = self.new_runs.get(&key)?;
        let row = self.runs.get(&key);
        let compiled = names.dags.compiled(run.queued.version)?;
        let first = TaskInstanceKey { run: key, task_no: TaskNo(0), map_index: MapIndex(i32::MIN) };
        let rows = self.task_instances.range(first..).take_while(|(of, _)| of.run == key);
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
            output: self.outputs.get(of).cloned(),
            attempts: self.attempts(of, names),
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

    fn attempts(&self, key: &TaskInstanceKey, names: Names<'_>) -> Vec<(AttemptId, PathBuf)> {
        let attempts = self.attempts.get(key).into_iter().flatten();
        attempts.map(|attempt| (*attempt, log_path(names.state_dir, *attempt))).collect()
    }
}
