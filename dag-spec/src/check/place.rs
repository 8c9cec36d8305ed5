//! Where a task runs, against what it is.

use gridflow_core::{ExecutorKind, TaskKind};

use super::FlatTask;
use crate::{
    code::Code,
    diagnostic::Severity,
    operator::check_image,
    read::{Cx, Spanned},
};

pub fn check_place(task: &FlatTask, cx: &mut Cx<'_>) {
    let Some(operator) = &task.operator else { return };
    let name = operator.name();
    let executor = task.settings.executor.as_ref().map_or(ExecutorKind::Local, |executor| executor.value.0);
    let what = match operator.kind() {
        TaskKind::Attempt(ExecutorKind::Local) => {
            check_process(task, executor, cx);
            return;
        }
        TaskKind::Attempt(ExecutorKind::Kubernetes) => "is a pod on Kubernetes whatever is said",
        TaskKind::Attempt(ExecutorKind::Spark) => "is a SparkApplication on Kubernetes whatever is said",
        TaskKind::Empty | TaskKind::TriggerDag { .. } => "starts no process",
    };
    if let Some(span) = task.own.executor {
        let message = format!("task `{}` has no choice of its executor: `{name}` {what}", task.id);
        cx.report(Code::ExecutorNotPossible, span, message).help = Some("remove `executor:`".into());
    }
    match operator.pod() {
        Some(pod) => {
            let levels = task.settings.kubernetes.as_ref().map_or(&[][..], |kubernetes| &kubernetes.0);
            check_image(pod, levels, &Spanned { value: task.id.as_str(), span: task.span }, cx);
        }
        None if task.own.has_kubernetes => {
            let message = format!("task `{}` has no pod to set up: `{name}` {what}", task.id);
            let help = match operator.kind() {
                TaskKind::Attempt(_) => format!("say it in `{name}:`, for driver and executors"),
                TaskKind::Empty | TaskKind::TriggerDag { .. } => "remove `kubernetes:`".into(),
            };
            cx.report(Code::ExecutorNotPossible, task.span, message).help = Some(help);
        }
        None => {}
    }
}

fn check_process(task: &FlatTask, executor: ExecutorKind, cx: &mut Cx<'_>) {
    let is_local = executor == ExecutorKind::Local;
    if is_local && task.own.has_kubernetes {
        let message = format!("task `{}` has settings of a pod, and runs on this machine", task.id);
        let diagnostic = cx.report(Code::NotOnKubernetes, task.span, message);
        diagnostic.help = Some("add `executor: kubernetes`, or remove `kubernetes:`".into());
        diagnostic.severity = Severity::Warning;
    }
    let is_ours = task.operator.as_ref().filter(|operator| operator.runs_in_own_image());
    if let (false, Some(operator), Some(span)) = (is_local, is_ours, task.own.image) {
        let message = format!("`{}` runs in Gridflow's own image, and in no other", operator.name());
        cx.report(Code::KeyConflict, span, message).help = Some("remove `image:`".into());
    }
    if !is_local && task.own.has_run_as {
        let message = format!("task `{}` has `run_as`, and runs in a pod", task.id);
        cx.report(Code::KeyConflict, task.span, message).help =
            Some("write `kubernetes: {security_context: {runAsUser: 1000}}`".into());
    }
}
