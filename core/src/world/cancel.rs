//! Runs that are stopped: by a person, by their timeout, by `fail_fast`.

use crate::{
    id::{CommandId, RunKey, TaskNo, Timestamp},
    plan::Plan,
    state::{RunState, TaskState},
};

use super::{Shared, World, active::ActiveRun};

/// Why the rest of a run is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    Canceled,
    TimedOut,
    FailFast,
}

impl World {
    pub(super) fn cancel_run(&mut self, key: RunKey, command: Option<CommandId>, now: Timestamp, plan: &mut Plan) {
        if let Some(reason) = self.shared.quarantined.get(&key) {
            let refusal = format!("the run is set aside until the scheduler is started again: {reason}");
            return plan.settle_command(command, Err(refusal));
        }
        let outcome = match self.runs.get_mut(&key) {
            Some(run) if run.state.is_finished() => Err(format!("the run is already {}", run.state.as_str())),
            Some(run) => {
                run.stop(Stop::Canceled, &mut self.shared, now, plan);
                Ok(())
            }
            None => match self.shared.queued_index.get(&key).copied() {
                Some((ix, queue_key)) => {
                    self.shared.fail_queued(ix, queue_key, Some("canceled".to_owned()), now, plan);
                    Ok(())
                }
                None => Err(match plan.run_state(key) {
                    Some(state) => format!("the run is already {}", state.as_str()),
                    None => "the run is neither queued nor running".to_owned(),
                }),
            },
        };
        plan.settle_command(command, outcome);
    }

    pub(super) fn time_out_run(&mut self, key: RunKey, now: Timestamp, plan: &mut Plan) {
        let run = self.runs.get_mut(&key).expect("a run that ends takes its timer with it");
        run.stop(Stop::TimedOut, &mut self.shared, now, plan);
    }
}

impl ActiveRun {
    fn stop(&mut self, why: Stop, shared: &mut Shared, now: Timestamp, plan: &mut Plan) {
        self.stop_rest(why, shared, now, plan);
        self.end(RunState::Failed, Some(why.as_str()), shared, now, plan);
        self.settle(shared, now, plan);
    }

    /// Finishes all that is unfinished and cancels what is open.
    pub(super) fn stop_rest(&mut self, why: Stop, shared: &mut Shared, now: Timestamp, plan: &mut Plan) {
        for index in 0..self.tis.len() {
            let task_no = TaskNo(index as u32);
            let state = self.tis[index].state;
            if state.is_finished() {
                continue;
            }
            self.stop_waiting(task_no, shared);
            let ti = self.ti(task_no);
            ti.reason = Some(why.as_str().to_owned());
            ti.started_at = ti.started_at.or(Some(now));
            self.finish(task_no, why.makes(state), now, shared, plan);
            self.cancel_attempt(task_no, shared, now, plan);
        }
    }
}

impl Stop {
    fn as_str(self) -> &'static str {
        match self {
            Self::Canceled => "canceled",
            Self::TimedOut => "timed_out",
            Self::FailFast => "fail_fast",
        }
    }

    /// What an unfinished task instance becomes.
    fn makes(self, state: TaskState) -> TaskState {
        match self {
            Self::TimedOut => TaskState::Skipped,
            Self::FailFast if state == TaskState::Running || state == TaskState::Restarting => TaskState::Failed,
            Self::FailFast => TaskState::Skipped,
            Self::Canceled => match state {
                TaskState::Queued
                | TaskState::Running
                | TaskState::Restarting
                | TaskState::Deferred
                | TaskState::UpForReschedule
                | TaskState::AwaitingInput => TaskState::Failed,
                TaskState::NoStatus | TaskState::Scheduled | TaskState::UpForRetry => TaskState::Skipped,
                TaskState::Success
                | TaskState::Failed
                | TaskState::Skipped
                | TaskState::UpstreamFailed
                | TaskState::Removed => unreachable!("only what is unfinished is stopped"),
            },
        }
    }
}
