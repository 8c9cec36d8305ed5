//! A finished task instance tells its downstreams; the last one ends its run.

use crate::{
    dag::TaskKind,
    id::{TaskNo, Timestamp, TryNumber},
    plan::{Need, Plan},
    state::{RunState, TaskState},
    trigger_rule::{Verdict, verdict},
};

use super::{
    Shared,
    active::{ActiveRun, Place},
    cancel::Stop,
    timers::Timer,
};

impl ActiveRun {
    /// Asks the trigger rule of a task instance that has no status yet.
    pub(super) fn decide(&mut self, task_no: TaskNo, shared: &mut Shared, now: Timestamp, plan: &mut Plan) {
        let rule = self.dag.task(task_no).trigger_rule;
        let ti = self.ti(task_no);
        if ti.state != TaskState::NoStatus {
            return;
        }
        match verdict(rule, ti.upstream) {
            Verdict::Wait => {}
            Verdict::Run => self.schedule(task_no, shared, now, plan),
            Verdict::Skip => self.pass_over(task_no, TaskState::Skipped, shared, now, plan),
            Verdict::UpstreamFailed => self.pass_over(task_no, TaskState::UpstreamFailed, shared, now, plan),
        }
    }

    /// Begins a try: at once for what needs nothing outside, else by way of admission.
    pub(super) fn schedule(&mut self, task_no: TaskNo, shared: &mut Shared, now: Timestamp, plan: &mut Plan) {
        let kind = self.dag.task(task_no).kind;
        let ti = self.ti(task_no);
        ti.try_number = TryNumber(ti.try_number.0 + 1);
        ti.attempt = None;
        ti.scheduled_at = Some(now);
        ti.queued_at = None;
        ti.started_at = None;
        ti.ended_at = None;
        ti.reason = None;
        ti.retry_at = None;
        self.set_ti(task_no, TaskState::Scheduled, plan);
        match kind {
            TaskKind::Empty => {
                self.ti(task_no).started_at = Some(now);
                self.finish(task_no, TaskState::Success, now, shared, plan);
            }
            TaskKind::TriggerDag { .. } => {
                self.ti(task_no).started_at = Some(now);
                self.ask_child(task_no, plan);
            }
            TaskKind::Attempt(_) => {
                if self.ti(task_no).open.is_none() {
                    self.make_ready(task_no, &mut shared.lanes);
                }
            }
        }
    }

    pub(super) fn ask_child(&self, task_no: TaskNo, plan: &mut Plan) {
        plan.needs.push(Need::Child {
            parent: self.ti_key(task_no),
            dag: self.queued.dag.clone(),
            version: self.queued.version,
            try_number: self.tis[task_no.0 as usize].try_number,
        });
    }

    /// Ends a task instance; [`Self::settle`] tells its downstreams.
    pub(super) fn finish(
        &mut self,
        task_no: TaskNo,
        to: TaskState,
        at: Timestamp,
        shared: &mut Shared,
        plan: &mut Plan,
    ) {
        self.ti(task_no).ended_at = Some(at);
        self.set_ti(task_no, to, plan);
        shared.unsettled.push_back(task_no);
    }

    /// Tells the downstreams of everything that finished, to the fixpoint; then looks whether the run ends.
    pub(super) fn settle(&mut self, shared: &mut Shared, now: Timestamp, plan: &mut Plan) {
        let dag = self.dag.clone();
        let mut failed_fast = false;
        while let Some(task_no) = shared.unsettled.pop_front() {
            let state = self.ti(task_no).state;
            for downstream in dag.downstream(task_no) {
                self.ti(downstream).upstream.add(state);
                self.decide(downstream, shared, now, plan);
            }
            if state == TaskState::Failed && dag.parts().fail_fast && self.state == RunState::Running && !failed_fast {
                failed_fast = true;
                self.stop_rest(Stop::FailFast, shared, now, plan);
            }
        }
        if self.unfinished == 0 && !self.state.is_finished() {
            let verdict = if 0 < self.failed_leaves || failed_fast { RunState::Failed } else { RunState::Success };
            self.end(verdict, None, shared, now, plan);
        }
    }

    /// Ends the run. Its open attempts go on holding their slots.
    pub(super) fn end(
        &mut self,
        state: RunState,
        reason: Option<&str>,
        shared: &mut Shared,
        now: Timestamp,
        plan: &mut Plan,
    ) {
        if let Some(at) = self.times_out_at() {
            shared.timers.unset(at, Timer::RunTimeout(self.key()));
        }
        self.ended_at = Some(now);
        self.reason = reason.map(str::to_owned);
        self.set_state(state, plan);
        *shared.dag(self.dag_ix).running_of(self.queued.run_type) -= 1;
        shared.note_finished(self.dag_ix, (self.queued.run_after, self.key()), state, plan);
        shared.ended.push_back((self.key(), state));
        shared.stir(self.dag_ix);
    }

    /// A task instance is not run: by its trigger rule, or because the run is stopped.
    fn pass_over(&mut self, task_no: TaskNo, to: TaskState, shared: &mut Shared, now: Timestamp, plan: &mut Plan) {
        let rule = self.dag.task(task_no).trigger_rule;
        let ti = self.ti(task_no);
        ti.started_at = Some(now);
        ti.reason = Some(format!("trigger rule `{}`", rule.as_str()));
        self.finish(task_no, to, now, shared, plan);
    }

    /// Takes a task instance out of every queue and timer it may wait in.
    pub(super) fn stop_waiting(&mut self, task_no: TaskNo, shared: &mut Shared) {
        let key = self.ti_key(task_no);
        let order = self.order();
        let weight = self.dag.priority_weight(task_no);
        match self.ti(task_no).place {
            Place::Nowhere => {}
            Place::Ready => self.unready(task_no, &mut shared.lanes),
            Place::Parked => {
                let limit = self.routes.limits[task_no.0 as usize].expect("it parks at its limit");
                let own_max = self.dag.task(task_no).max_active_per_dag.expect("it parks at its limit");
                shared.limits[limit.0 as usize].unpark(own_max, &(std::cmp::Reverse(weight), order, task_no));
                self.ti(task_no).place = Place::Nowhere;
            }
        }
        let ti = self.ti(task_no);
        if let Some(at) = ti.retry_at.take() {
            shared.timers.unset(at, Timer::Retry(key.run, task_no));
        }
        if let Some(run) = ti.waits_for_run.take()
            && let Some(waiters) = shared.waits.get_mut(&run)
        {
            waiters.retain(|waiter| *waiter != key);
            if waiters.is_empty() {
                shared.waits.remove(&run);
            }
        }
    }
}
