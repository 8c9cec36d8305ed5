//! Queued runs become running: their task instances are created, all at once.

use crate::{
    hash::FastMap,
    id::{TaskNo, Timestamp},
    plan::{Need, Plan, RunWrite},
    run::{QueuedRun, RunType},
    state::{RunState, TaskState},
};

use super::{
    DagIx, Shared, World,
    active::{ActiveRun, TaskInstance},
    queue::QueueKey,
    timers::Timer,
};

/// Whether the budget let everything start that may.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    Done,
    BudgetSpent,
}

impl World {
    /// Starts the queued runs of a DAG for which there is room.
    pub(super) fn start_runs(&mut self, ix: DagIx, now: Timestamp, plan: &mut Plan) -> Progress {
        while let Some((key, run_type)) = self.shared.next_startable(ix, now) {
            if self.is_budget_spent(plan) {
                return Progress::BudgetSpent;
            }
            self.shared.at_work = Some(key.1);
            let version = self.shared.dag(ix).queue_of(run_type)[&key].version;
            match self.shared.versions.get(&version) {
                None => {
                    // The answer stirs the DAG again.
                    if self.shared.asked.insert(version, ix).is_none() {
                        plan.needs.push(Need::Version { version });
                    }
                    return Progress::Done;
                }
                Some(known) if known.definition.is_err() => {
                    let reason = known.definition.as_ref().err().cloned();
                    self.shared.fail_queued(ix, key, reason, now, plan);
                    self.end_step(now, plan);
                }
                Some(_) => {
                    let run = self.shared.unqueue(ix, key);
                    self.start_run(ix, run, now, plan);
                    self.end_step(now, plan);
                }
            }
        }
        Progress::Done
    }

    fn start_run(&mut self, dag_ix: DagIx, queued: QueuedRun, now: Timestamp, plan: &mut Plan) {
        let version = self.shared.versions.get_mut(&queued.version).expect("the caller looked");
        let (dag, routes) = version.definition.as_ref().expect("the caller looked").clone();
        version.runs += 1;
        *self.shared.dag(dag_ix).running_of(queued.run_type) += 1;
        let tis = dag
            .tasks()
            .map(|(_, task)| TaskInstance::new(task.retries, task.upstream.len() as u32))
            .collect::<Vec<_>>();
        let mut run = Box::new(ActiveRun {
            unfinished: tis.len() as u32,
            queued,
            dag_ix,
            dag,
            routes,
            state: RunState::Queued,
            started_at: Some(now),
            ended_at: None,
            reason: None,
            tis,
            open: FastMap::default(),
            failed_leaves: 0,
            ready: Vec::new(),
        });
        run.set_state(RunState::Running, plan);
        if let Some(at) = run.times_out_at() {
            self.shared.timers.set(at, Timer::RunTimeout(run.key()));
        }
        run.create_tis(&mut self.shared, now, plan);
        self.runs.insert(run.key(), run);
    }
}

impl ActiveRun {
    pub(super) fn times_out_at(&self) -> Option<Timestamp> {
        let timeout = chrono::TimeDelta::from_std(self.dag.parts().dagrun_timeout?).ok()?;
        self.started_at?.checked_add_signed(timeout)
    }

    fn create_tis(&mut self, shared: &mut Shared, now: Timestamp, plan: &mut Plan) {
        for index in 0..self.tis.len() {
            let task_no = TaskNo(index as u32);
            if self.is_outside_window(task_no) {
                let ti = self.ti(task_no);
                ti.state = TaskState::Removed;
                ti.reason = Some("the logical date lies outside the task's start_date and end_date".to_owned());
                self.unfinished -= 1;
                shared.unsettled.push_back(task_no);
            }
            self.create_ti(task_no, plan);
        }
        // Tasks without upstreams, and those that do not look at them.
        for index in 0..self.tis.len() {
            self.decide(TaskNo(index as u32), shared, now, plan);
        }
        self.settle(shared, now, plan);
    }

    fn is_outside_window(&self, task_no: TaskNo) -> bool {
        let task = self.dag.task(task_no);
        let Some(date) = self.queued.logical_date else { return false };
        if self.queued.run_type == RunType::Backfill {
            return false;
        }
        task.start_date.is_some_and(|start| date < start) || task.end_date.is_some_and(|end| end < date)
    }
}

impl Shared {
    /// The next queued run that may start now. Sets the timer of one that is not due.
    fn next_startable(&mut self, ix: DagIx, now: Timestamp) -> Option<(QueueKey, RunType)> {
        let max = self.max_active_runs(ix);
        let dag = &self.dags[ix.0 as usize];
        if dag.is_paused {
            return None;
        }
        let plain = dag.queued.first_key_value().filter(|_| dag.running < max);
        let backfill = dag.queued_backfill.first_key_value().filter(|_| dag.running_backfill < max);
        let (key, run) = [plain, backfill].into_iter().flatten().min_by_key(|(key, _)| **key)?;
        (run.run_after <= now).then_some((*key, run.run_type))
    }

    /// When the first queued run for which there is room comes to its `run_after`.
    pub(super) fn next_run_after(&self, ix: DagIx) -> Option<Timestamp> {
        let max = self.max_active_runs(ix);
        let dag = &self.dags[ix.0 as usize];
        if dag.is_paused {
            return None;
        }
        let plain = dag.queued.first_key_value().filter(|_| dag.running < max);
        let backfill = dag.queued_backfill.first_key_value().filter(|_| dag.running_backfill < max);
        [plain, backfill].into_iter().flatten().map(|((run_after, _), _)| *run_after).min()
    }

    /// A queued run fails without ever having run.
    pub(super) fn fail_queued(
        &mut self,
        ix: DagIx,
        key: QueueKey,
        reason: Option<String>,
        now: Timestamp,
        plan: &mut Plan,
    ) {
        self.unqueue(ix, key);
        plan.put_run(RunWrite {
            key: key.1,
            from: Some(RunState::Queued),
            to: RunState::Failed,
            started_at: None,
            ended_at: Some(now),
            reason,
        });
        self.note_finished(ix, key, RunState::Failed, plan);
        self.ended.push_back((key.1, RunState::Failed));
        self.stir(ix);
    }
}
