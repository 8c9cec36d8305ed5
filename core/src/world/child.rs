//! `trigger_dag` tasks: they create a run of another DAG and, if asked, wait for its end.

use crate::{
    dag::TaskKind,
    event::ChildRequest,
    id::{RunKey, TaskInstanceKey, Timestamp},
    plan::Plan,
    run::{RunType, TriggeredBy},
    state::{RunState, TaskState},
};

use super::{
    World,
    create::{Ask, Draft},
};

/// Something that recovery found to be due already.
#[derive(Debug)]
pub(super) enum Recovered {
    /// The awaited run has ended (or, none, was deleted) and the waiter does not know.
    Awaited { waiter: TaskInstanceKey, run: RunKey, state: Option<RunState> },
    /// A `trigger_dag` task instance that has not asked yet.
    AskChild(TaskInstanceKey),
}

impl World {
    /// The shell has rendered what a `trigger_dag` task asks for.
    pub(super) fn take_child(
        &mut self,
        parent: TaskInstanceKey,
        request: Result<ChildRequest, String>,
        now: Timestamp,
        plan: &mut Plan,
    ) {
        if !self.is_asking(parent) {
            self.shared.stats.stale_answers += 1;
            return;
        }
        match request {
            Err(reason) => self.fail_trigger(parent, reason, now, plan),
            Ok(request) if request.run_id.is_some() || request.logical_date.is_some() => {
                let ix = self.shared.dag_ix(&request.dag);
                let logical_dates = request.logical_date.into_iter().collect();
                let run_ids = request.run_id.iter().cloned().collect();
                let ask = Ask::Child(parent, Box::new(request));
                self.shared.ask_taken(ix, ask, logical_dates, run_ids, plan);
            }
            Ok(request) => self.child_answered(parent, request, None, now, plan),
        }
    }

    /// It is known now whether the child's run id and logical date are free.
    pub(super) fn child_answered(
        &mut self,
        parent: TaskInstanceKey,
        request: ChildRequest,
        taken: Option<String>,
        now: Timestamp,
        plan: &mut Plan,
    ) {
        if !self.is_asking(parent) {
            self.shared.stats.stale_answers += 1;
            return;
        }
        if let Some(reason) = taken {
            return self.fail_trigger(parent, reason, now, plan);
        }
        let ix = self.shared.dag_ix(&request.dag);
        let draft = Draft {
            version: request.version,
            run_id: request.run_id,
            run_type: RunType::OperatorTriggered,
            triggered_by: TriggeredBy::Operator,
            logical_date: request.logical_date.map(super::to_micros),
            data_interval: None,
            run_after: now,
            conf: request.conf,
            trigger: None,
            events: Vec::new(),
            actor: None,
            parent: Some(parent),
        };
        match self.shared.create_run(ix, draft, now, plan) {
            Some(child) => self.child_created(parent, child, now, plan),
            None => {
                let reason = "this turn gave the run id or logical date to another run".to_owned();
                self.fail_trigger(parent, reason, now, plan);
            }
        }
    }

    /// The awaited run has ended, or was deleted.
    pub(super) fn resume(
        &mut self,
        waiter: TaskInstanceKey,
        run: RunKey,
        state: Option<RunState>,
        now: Timestamp,
        plan: &mut Plan,
    ) {
        let Some(parent) = self.runs.get_mut(&waiter.run) else { return };
        let ti = parent.ti(waiter.task_no);
        if ti.state != TaskState::Deferred || ti.waits_for_run != Some(run) {
            return;
        }
        ti.waits_for_run = None;
        let shared = &mut self.shared;
        match state {
            Some(RunState::Success) => parent.finish(waiter.task_no, TaskState::Success, now, shared, plan),
            Some(RunState::Failed) => {
                parent.task_failed(waiter.task_no, "the triggered run failed".to_owned(), now, shared, plan);
            }
            None => {
                parent.task_failed(waiter.task_no, "the triggered run was deleted".to_owned(), now, shared, plan);
            }
            Some(RunState::Queued | RunState::Running) => unreachable!("only an ended run resumes its waiters"),
        }
        parent.settle(shared, now, plan);
    }

    /// Does what recovery found to be due; it may write nothing itself.
    pub(super) fn resume_recovered(&mut self, now: Timestamp, plan: &mut Plan) {
        for recovered in std::mem::take(&mut self.shared.recovered) {
            match recovered {
                Recovered::Awaited { waiter, run, state } => {
                    self.shared.at_work = Some(waiter.run);
                    self.resume(waiter, run, state, now, plan);
                    self.end_step(now, plan);
                }
                Recovered::AskChild(key) => self.runs[&key.run].ask_child(key.task_no, plan),
            }
        }
    }

    fn child_created(&mut self, parent: TaskInstanceKey, child: RunKey, now: Timestamp, plan: &mut Plan) {
        let run = self.runs.get_mut(&parent.run).expect("the caller looked");
        let waits = match run.dag.task(parent.task_no).kind {
            TaskKind::TriggerDag { wait_for_completion } => wait_for_completion,
            TaskKind::Empty | TaskKind::Attempt(_) => unreachable!("the caller looked"),
        };
        if waits {
            run.ti(parent.task_no).waits_for_run = Some(child);
            run.set_ti(parent.task_no, TaskState::Deferred, plan);
            self.shared.waits.entry(child).or_default().push(parent);
        } else {
            run.finish(parent.task_no, TaskState::Success, now, &mut self.shared, plan);
            run.settle(&mut self.shared, now, plan);
        }
    }

    fn fail_trigger(&mut self, parent: TaskInstanceKey, reason: String, now: Timestamp, plan: &mut Plan) {
        let run = self.runs.get_mut(&parent.run).expect("the caller looked");
        run.task_failed(parent.task_no, reason, now, &mut self.shared, plan);
        run.settle(&mut self.shared, now, plan);
    }

    fn is_asking(&mut self, parent: TaskInstanceKey) -> bool {
        self.runs.get_mut(&parent.run).is_some_and(|run| {
            let is_trigger = matches!(run.dag.task(parent.task_no).kind, TaskKind::TriggerDag { .. });
            is_trigger && run.ti(parent.task_no).state == TaskState::Scheduled
        })
    }
}
