//! Tasks that can never run: no end of the tasks they need satisfies their trigger rule.

use gridflow_core::{TaskKind, TriggerRule};

use super::FlatTask;
use crate::{code::Code, read::Cx, suggest};

/// The ends that a task may come to.
#[derive(Clone, Copy, Default)]
struct Ends {
    success: bool,
    failed: bool,
    skipped: bool,
    upstream_failed: bool,
}

impl Ends {
    fn failed_any(self) -> bool {
        self.failed || self.upstream_failed
    }
}

pub fn check(tasks: &[FlatTask], order: &[usize], cx: &mut Cx<'_>) {
    let mut ends = vec![Ends::default(); tasks.len()];
    let mut is_dead = vec![false; tasks.len()];
    for &at in order {
        let task = &tasks[at];
        let upstream: Vec<Ends> = task.upstream.iter().map(|(upstream, _)| ends[*upstream]).collect();
        let behind_dead = task.upstream.iter().any(|(upstream, _)| is_dead[*upstream]);
        let (can_run, mut own) = judge(task.rule(), &upstream);
        if can_run {
            match task.operator.as_ref().map(|operator| operator.kind()) {
                Some(TaskKind::Empty) => own.success = true,
                Some(TaskKind::TriggerDag { .. }) => (own.success, own.failed) = (true, true),
                Some(TaskKind::Attempt(_)) | None => (own.success, own.failed, own.skipped) = (true, true, true),
            }
        } else {
            is_dead[at] = true;
            if !behind_dead && !task.has_broken_needs {
                report(task, tasks, cx);
            }
        }
        ends[at] = own;
    }
}

fn report(task: &FlatTask, tasks: &[FlatTask], cx: &mut Cx<'_>) {
    let rule = task.rule().as_str();
    let needs = suggest::list(task.upstream.iter().map(|(upstream, _)| tasks[*upstream].id.as_str()));
    let span = task.settings.trigger_rule.as_ref().map_or(task.span, |rule| rule.span);
    let message = format!("task `{}` can never run: however {needs} ends, `{rule}` is not satisfied", task.id);
    cx.report(Code::Unreachable, span, message).help = Some("change `trigger_rule` or `needs`".into());
}

/// Whether a task can run, and which ends it may come to without running. Each upstream may come to
/// any of its own ends, whatever the others do.
fn judge(rule: TriggerRule, upstream: &[Ends]) -> (bool, Ends) {
    if upstream.is_empty() {
        return (true, Ends::default());
    }
    let all = |test: fn(&Ends) -> bool| upstream.iter().all(test);
    let any = |test: fn(&Ends) -> bool| upstream.iter().any(test);
    let mut ends = Ends::default();
    let can_run = match rule {
        TriggerRule::AllSuccess => {
            ends.upstream_failed = any(|e| e.failed_any());
            ends.skipped = any(|e| e.skipped);
            all(|e| e.success)
        }
        TriggerRule::AllFailed => {
            ends.skipped = any(|e| e.success || e.skipped);
            all(|e| e.failed_any())
        }
        TriggerRule::AllDone | TriggerRule::Always => true,
        TriggerRule::AllDoneSetupSuccess => {
            ends.upstream_failed = true;
            ends.skipped = true;
            true
        }
        TriggerRule::AllDoneMinOneSuccess => {
            ends.skipped = any(|e| e.skipped);
            ends.upstream_failed = all(|e| e.failed_any());
            all(|e| e.success || e.failed_any()) && any(|e| e.success)
        }
        TriggerRule::OneSuccess => {
            ends.skipped = all(|e| e.skipped);
            ends.upstream_failed = all(|e| e.failed_any() || e.skipped);
            any(|e| e.success)
        }
        TriggerRule::OneFailed => {
            ends.skipped = all(|e| e.success || e.skipped);
            any(|e| e.failed_any())
        }
        TriggerRule::OneDone => {
            ends.skipped = all(|e| e.skipped || e.upstream_failed);
            any(|e| e.success || e.failed)
        }
        TriggerRule::NoneFailed => {
            ends.upstream_failed = any(|e| e.failed_any());
            all(|e| e.success || e.skipped)
        }
        TriggerRule::NoneFailedMinOneSuccess => {
            ends.upstream_failed = any(|e| e.failed_any());
            ends.skipped = all(|e| e.skipped);
            all(|e| e.success || e.skipped) && any(|e| e.success)
        }
        TriggerRule::NoneSkipped => {
            ends.skipped = any(|e| e.skipped);
            all(|e| e.success || e.failed_any())
        }
        TriggerRule::AllSkipped => {
            ends.skipped = any(|e| e.success || e.failed_any());
            all(|e| e.skipped)
        }
    };
    (can_run, ends)
}
