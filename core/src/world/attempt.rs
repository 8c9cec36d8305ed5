//! Reports about attempts, and what they mean for their task instances.

use std::{collections::BTreeSet, sync::Arc};

use chrono::TimeDelta;

use crate::{
    attempt::{AttemptOutcome, AttemptState, Output},
    id::{AttemptId, NodeId, RunKey, TaskNo, Timestamp},
    plan::{Action, Plan},
    retry::retry_delay,
    state::TaskState,
};

use super::{
    Shared, World,
    active::{ActiveRun, Ending},
    timers::Timer,
};

/// What an outcome means, before tries are counted.
enum Meaning {
    Success,
    Skipped,
    /// Counts against the task's own retries.
    TaskFailed(String),
    /// Counts against the budget for the infrastructure's faults.
    Lost(String),
}

impl World {
    pub(super) fn attempt_claimed(&mut self, run_key: RunKey, attempt: AttemptId, claim: Arc<str>, plan: &mut Plan) {
        if let Some((run, task_no)) = self.open_attempt(run_key, attempt) {
            run.claimed(task_no, claim, plan);
        } else if !self.is_quarantined(run_key) {
            // It was left behind by a leader that is gone.
            plan.acknowledge(run_key, attempt, None);
        }
    }

    pub(super) fn attempt_started(
        &mut self,
        (run, attempt): (RunKey, AttemptId),
        at: Timestamp,
        pid: Option<u32>,
        place: Option<Arc<str>>,
        plan: &mut Plan,
    ) {
        let Some((run, task_no)) = self.open_attempt(run, attempt) else { return };
        run.started(task_no, at, (pid, place), plan);
    }

    pub(super) fn attempt_finished(
        &mut self,
        (run_key, attempt): (RunKey, AttemptId),
        ending: Ending,
        output: Option<Output>,
        now: Timestamp,
        plan: &mut Plan,
    ) {
        let Some(task_no) = self.open_attempt(run_key, attempt).map(|(_, task_no)| task_no) else {
            // Its end was committed, but perhaps the executor was never told: it may tidy up. What
            // belongs to a run that could not be read must be told again to who can read it.
            if !self.is_quarantined(run_key) {
                plan.acknowledge(run_key, attempt, None);
            }
            return;
        };
        let run = self.runs.get_mut(&run_key).expect("the attempt is open in it");
        if implies_start(&ending.outcome) {
            run.started(task_no, ending.at, (None, None), plan);
        }
        let open = run.tis[task_no.0 as usize].open.as_ref().expect("found open");
        if open.is_in_reach(self.shared.config.binding.as_ref()) {
            plan.acknowledge(run_key, attempt, Some(open.executor));
        }
        run.close_attempt(task_no, &ending, &mut self.shared, plan);
        run.attempt_over(task_no, &ending, &mut self.shared, now, plan);
        // What a try left that is tried again must not be taken for what the next one leaves, or does not leave.
        if let Some(output) = output
            && run.ti(task_no).state.is_finished()
        {
            plan.put_return_value(run.ti_key(task_no), output);
        }
        run.settle(&mut self.shared, now, plan);
        self.forget_if_over(run_key, plan);
    }

    /// A node is given up: whatever it ran counts as gone, although nobody has seen it go. The one place where a
    /// command may run twice.
    pub(super) fn node_lost(&mut self, node: NodeId, at: Timestamp, reason: &str, now: Timestamp, plan: &mut Plan) {
        for (run, attempt) in self.open_on(node) {
            let outcome = AttemptOutcome::Lost { reason: reason.to_owned() };
            self.attempt_finished((run, attempt), Ending { at, outcome, usage: None }, None, now, plan);
        }
    }

    /// The open attempts of a node, in the order of their ids.
    fn open_on(&self, node: NodeId) -> Vec<(RunKey, AttemptId)> {
        let bound = self.bound_attempts().filter(|(_, bound)| *bound == node);
        let mut open: Vec<_> = bound.map(|(named, _)| named).collect();
        open.sort_unstable();
        open
    }

    /// Nodes other than this leader's that have open attempts.
    pub fn other_nodes(&self) -> BTreeSet<NodeId> {
        let own = self.shared.config.binding.as_ref().map(|binding| binding.node);
        self.bound_attempts().map(|(_, node)| node).filter(|node| Some(*node) != own).collect()
    }

    /// Open attempts with their nodes.
    fn bound_attempts(&self) -> impl Iterator<Item = ((RunKey, AttemptId), NodeId)> {
        self.runs.values().flat_map(|run| {
            run.open.iter().filter_map(|(attempt, task_no)| {
                let binding = run.tis[task_no.0 as usize].open.as_ref()?.binding.as_ref()?;
                Some(((run.key(), *attempt), binding.node))
            })
        })
    }

    pub(super) fn prepared(&mut self, run: RunKey, attempt: AttemptId, spec_hash: [u8; 32], plan: &mut Plan) {
        let Some((run, task_no)) = self.open_attempt(run, attempt) else { return };
        let open = run.ti(task_no).open.as_mut().expect("found open");
        if open.state != AttemptState::Queued || open.spec_hash.is_some() {
            self.shared.stats.stale_answers += 1;
            return;
        }
        open.spec_hash = Some(spec_hash);
        let state = Some(open.state);
        run.put_attempt(task_no, state, None, plan);
        plan.actions.push(Action::Launch(run.launch_order(task_no)));
    }

    pub(super) fn prepare_failed(
        &mut self,
        run_key: RunKey,
        attempt: AttemptId,
        message: String,
        now: Timestamp,
        plan: &mut Plan,
    ) {
        let Some((run, task_no)) = self.open_attempt(run_key, attempt) else { return };
        if run.ti(task_no).open.as_ref().is_some_and(|open| open.spec_hash.is_some()) {
            self.shared.stats.stale_answers += 1;
            return;
        }
        let ending = Ending { at: now, outcome: AttemptOutcome::SpawnFailed { message }, usage: None };
        let run = self.runs.get_mut(&run_key).expect("the attempt is open in it");
        run.close_attempt(task_no, &ending, &mut self.shared, plan);
        run.attempt_over(task_no, &ending, &mut self.shared, now, plan);
        run.settle(&mut self.shared, now, plan);
        self.forget_if_over(run_key, plan);
    }

    pub(super) fn retry_due(&mut self, run: RunKey, task_no: TaskNo, now: Timestamp, plan: &mut Plan) {
        let run = self.runs.get_mut(&run).expect("a run that ends takes its timers with it");
        run.schedule(task_no, &mut self.shared, now, plan);
        run.settle(&mut self.shared, now, plan);
    }

    /// The open attempt of this id; counts a report about any other.
    fn open_attempt(&mut self, run: RunKey, attempt: AttemptId) -> Option<(&mut ActiveRun, TaskNo)> {
        let found = self.runs.get_mut(&run).and_then(|run| {
            let task_no = *run.open.get(&attempt)?;
            Some((&mut **run, task_no))
        });
        if found.is_none() {
            self.shared.stats.stale_reports += 1;
        }
        found
    }
}

impl ActiveRun {
    /// Something was made outside for the attempt. The first that is told of while the attempt is queued is the one
    /// that may run; of any other nobody will ever hear that it may.
    fn claimed(&mut self, task_no: TaskNo, claim: Arc<str>, plan: &mut Plan) {
        let run = self.key();
        let open = self.ti(task_no).open.as_mut().expect("the caller found it open");
        match open.state {
            AttemptState::Queued => {}
            AttemptState::Running | AttemptState::Canceling | AttemptState::Closed => return,
        }
        let (id, executor) = (open.id, open.executor);
        match &open.claim {
            None => {
                open.claim = Some(Arc::clone(&claim));
                self.put_attempt(task_no, Some(AttemptState::Queued), None, plan);
            }
            Some(known) if *known == claim => {}
            Some(_) => return,
        }
        plan.actions.push(Action::Confirm { run, attempt: id, executor, claim });
    }

    /// The command has started, by this instant at the latest.
    fn started(
        &mut self,
        task_no: TaskNo,
        at: Timestamp,
        (pid, place): (Option<u32>, Option<Arc<str>>),
        plan: &mut Plan,
    ) {
        let ti = self.ti(task_no);
        let open = ti.open.as_mut().expect("the caller found it open");
        let from = open.state;
        if open.started_at.is_some() {
            return; // Reported before.
        }
        open.started_at = Some(at);
        open.pid = pid;
        open.place = place;
        match from {
            AttemptState::Queued => open.state = AttemptState::Running,
            AttemptState::Canceling => {}
            AttemptState::Running | AttemptState::Closed => return,
        }
        let is_current = ti.attempt == Some(open.id) && ti.state == TaskState::Queued;
        self.put_attempt(task_no, Some(from), None, plan);
        if is_current {
            self.ti(task_no).started_at = Some(at);
            self.set_ti(task_no, TaskState::Running, plan);
        }
    }

    /// Nothing of the attempt is left: its row closes, its slots are free.
    fn close_attempt(&mut self, task_no: TaskNo, ending: &Ending, shared: &mut Shared, plan: &mut Plan) {
        let open = self.ti(task_no).open.as_mut().expect("the caller found it open");
        let from = std::mem::replace(&mut open.state, AttemptState::Closed);
        self.put_attempt(task_no, Some(from), Some(ending), plan);
        let open = self.ti(task_no).open.take().expect("the caller found it open");
        self.open.remove(&open.id);
        shared.open_attempts -= 1;
        shared.lanes.release(self.routes.lanes[task_no.0 as usize]);
        if let Some(limit) = self.routes.limits[task_no.0 as usize] {
            shared.limits[limit.0 as usize].active -= 1;
            shared.freed.insert(limit);
        }
        self.sync_offers(&mut shared.lanes);
    }

    /// What the end of an attempt means for its task instance.
    fn attempt_over(&mut self, task_no: TaskNo, ending: &Ending, shared: &mut Shared, now: Timestamp, plan: &mut Plan) {
        match self.ti(task_no).state {
            TaskState::Queued | TaskState::Running => {}
            // A next try waited for this attempt's processes to be gone.
            TaskState::Scheduled => return self.make_ready(task_no, &mut shared.lanes),
            // Decided otherwise meanwhile: canceled, timed out with its run, stopped by fail_fast.
            TaskState::Success
            | TaskState::Failed
            | TaskState::Skipped
            | TaskState::UpstreamFailed
            | TaskState::Removed
            | TaskState::NoStatus
            | TaskState::UpForRetry
            | TaskState::UpForReschedule
            | TaskState::Deferred
            | TaskState::AwaitingInput
            | TaskState::Restarting => return,
        }
        let skip_exit_codes = &self.dag.task(task_no).skip_exit_codes;
        match meaning(&ending.outcome, skip_exit_codes) {
            Meaning::Success => self.finish(task_no, TaskState::Success, ending.at, shared, plan),
            Meaning::Skipped => self.finish(task_no, TaskState::Skipped, ending.at, shared, plan),
            Meaning::TaskFailed(reason) => self.task_failed(task_no, reason, ending.at, shared, plan),
            Meaning::Lost(reason) => self.attempt_lost(task_no, reason, ending.at, shared, now, plan),
        }
    }

    /// The task's own fault: tried again after a delay while its tries last.
    pub(super) fn task_failed(
        &mut self,
        task_no: TaskNo,
        reason: String,
        at: Timestamp,
        shared: &mut Shared,
        plan: &mut Plan,
    ) {
        let ti = &mut self.tis[task_no.0 as usize];
        ti.reason = Some(reason);
        let may_retry = ti.try_number.0 <= ti.tries_max;
        if !may_retry {
            self.finish(task_no, TaskState::Failed, at, shared, plan);
            return;
        }
        let task = self.dag.task(task_no);
        let delay = retry_delay(
            task,
            ti.try_number,
            &[self.queued.dag.as_str(), task.id.as_str(), self.queued.run_id.as_str()],
        );
        let delay = TimeDelta::from_std(delay).unwrap_or(TimeDelta::MAX);
        let retry_at = at.checked_add_signed(delay).unwrap_or(Timestamp::MAX_UTC);
        ti.ended_at = Some(at);
        ti.retry_at = Some(retry_at);
        shared.timers.set(retry_at, Timer::Retry(self.key(), task_no));
        self.set_ti(task_no, TaskState::UpForRetry, plan);
    }

    /// The infrastructure's fault: tried again at once, without using one of the task's own tries.
    fn attempt_lost(
        &mut self,
        task_no: TaskNo,
        reason: String,
        at: Timestamp,
        shared: &mut Shared,
        now: Timestamp,
        plan: &mut Plan,
    ) {
        let losses_max = shared.config.losses_max;
        let ti = self.ti(task_no);
        if losses_max <= ti.losses {
            ti.reason = Some(format!("{reason} (given up after {} losses)", ti.losses + 1));
            ti.losses += 1;
            self.finish(task_no, TaskState::Failed, at, shared, plan);
            return;
        }
        ti.losses += 1;
        ti.tries_max += 1;
        self.schedule(task_no, shared, now, plan);
    }

    /// Asks for the end of an open attempt. One that this very turn queued is known to nobody: it ends here.
    pub(super) fn cancel_attempt(&mut self, task_no: TaskNo, shared: &mut Shared, now: Timestamp, plan: &mut Plan) {
        let run = self.key();
        let Some(open) = self.ti(task_no).open.as_mut() else { return };
        let from = open.state;
        match from {
            AttemptState::Queued if open.queued_turn == plan.turn => {
                let ending = Ending { at: now, outcome: AttemptOutcome::NeverStarted, usage: None };
                self.close_attempt(task_no, &ending, shared, plan);
            }
            AttemptState::Queued | AttemptState::Running => {
                open.state = AttemptState::Canceling;
                // Here nobody knows another node's attempt: a claim taken here would prove nothing about it.
                // Its own scheduler reads that it is to end.
                if open.is_in_reach(shared.config.binding.as_ref()) {
                    plan.actions.push(Action::Cancel { run, attempt: open.id, executor: open.executor });
                } else {
                    plan.actions.push(Action::CancelElsewhere);
                }
                self.put_attempt(task_no, Some(from), None, plan);
            }
            AttemptState::Canceling | AttemptState::Closed => {}
        }
    }
}

/// Whether a command must have run to end this way.
fn implies_start(outcome: &AttemptOutcome) -> bool {
    match outcome {
        AttemptOutcome::Exited { .. }
        | AttemptOutcome::Signaled { .. }
        | AttemptOutcome::OutOfMemory
        | AttemptOutcome::TimedOut
        | AttemptOutcome::Canceled
        | AttemptOutcome::OutputInvalid { .. } => true,
        AttemptOutcome::NeverStarted | AttemptOutcome::SpawnFailed { .. } | AttemptOutcome::Lost { .. } => false,
    }
}

fn meaning(outcome: &AttemptOutcome, skip_exit_codes: &[i32]) -> Meaning {
    match outcome {
        AttemptOutcome::Exited { code: 0 } => Meaning::Success,
        AttemptOutcome::Exited { code } if skip_exit_codes.contains(code) => Meaning::Skipped,
        AttemptOutcome::Exited { code } => Meaning::TaskFailed(format!("exit code {code}")),
        AttemptOutcome::Signaled { signal } => Meaning::TaskFailed(format!("ended by signal {signal}")),
        AttemptOutcome::OutOfMemory => Meaning::TaskFailed("out of memory: ended by the kernel".to_owned()),
        AttemptOutcome::TimedOut => Meaning::TaskFailed("execution timeout".to_owned()),
        AttemptOutcome::SpawnFailed { message } => Meaning::TaskFailed(format!("could not be started: {message}")),
        AttemptOutcome::OutputInvalid { message } => Meaning::TaskFailed(format!("invalid output: {message}")),
        AttemptOutcome::Lost { reason } => Meaning::Lost(format!("lost: {reason}")),
        // Where a cancel was asked for, the task instance is finished already and nobody comes here.
        AttemptOutcome::Canceled => Meaning::Lost("stopped, but not by a decision of the scheduler".to_owned()),
        AttemptOutcome::NeverStarted => Meaning::Lost("its launch was called off from outside".to_owned()),
    }
}
