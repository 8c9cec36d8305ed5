//! How an attempt ended: whose fault it is, and a reason that people understand. Pure.

use gridflow_core::{AttemptOutcome, Timestamp};

use super::{
    gone::Proof,
    output,
    pod::{Container, End, InitTrouble, Pod},
};

/// Why Gridflow ended a pod, as far as the outcome is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ours<'a> {
    No,
    Canceled,
    TimedOut,
    Unstartable(&'a str),
    /// The task had ended by itself; what ran beside it was ended.
    TaskEnded,
    Interfered,
}

/// How it ended, and what is to be said about it in the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    pub outcome: AttemptOutcome,
    pub notes: Vec<String>,
}

/// How an attempt ended whose pod is proven gone. `pod` is its last state that was seen.
pub fn classify(pod: Option<&Pod>, proof: &Proof, ours: Ours, is_missing: bool) -> Told {
    if ours == Ours::Interfered {
        let reason = "somebody removed the gate of its pod before its start was committed, so it was ended";
        return lost(reason, Vec::new());
    }
    let Some(pod) = pod else { return without_pod(proof, ours, is_missing) };
    match (&pod.task, proof) {
        (Container::Ended(end), Proof::Reported) if end.started_at.is_some() || is_never_created(end) => {
            ended(pod, end, ours)
        }
        (_, Proof::Reported) => never_started(pod, ours),
        (_, Proof::NeverBound) => never_bound(pod, ours, is_missing),
        (_, Proof::Node(reason)) => by_node(reason, pod, ours, is_missing),
    }
}

/// The runtime tried to start it and could not.
fn is_never_created(end: &End) -> bool {
    matches!(end.reason.as_deref(), Some("StartError" | "ContainerCannotRun"))
}

fn ended(pod: &Pod, end: &End, ours: Ours) -> Told {
    let notes = container_notes("the container", end);
    let is_after =
        |at: Option<Timestamp>| pod.deletion.is_none_or(|deletion| at.is_none_or(|at| deletion.asked_at <= at));
    // What ended before anybody could end it has ended by itself.
    let by_deletion = pod.deletion.is_some() && is_after(end.finished_at);
    match ours {
        Ours::Canceled if by_deletion => return Told { outcome: AttemptOutcome::Canceled, notes },
        Ours::TimedOut if by_deletion => return Told { outcome: AttemptOutcome::TimedOut, notes },
        Ours::TaskEnded => return Told { outcome: own_end(end), notes },
        Ours::Unstartable(message) => return unstartable(message),
        Ours::No | Ours::Canceled | Ours::TimedOut | Ours::Interfered => {}
    }
    if ran_out_of_time(pod, end) {
        return Told { outcome: AttemptOutcome::TimedOut, notes };
    }
    match pod.reason.as_deref() {
        Some("DeadlineExceeded") => {
            return Told { outcome: AttemptOutcome::TimedOut, notes: with(notes, deadline_note(pod)) };
        }
        Some("Evicted") if is_over_its_own_limit(pod) => {
            return Told { outcome: own_end(end), notes: with(notes, eviction(pod)) };
        }
        Some(_) | None => {}
    }
    if end.exit_code == 0 {
        return Told { outcome: AttemptOutcome::Exited { code: 0 }, notes: Vec::new() };
    }
    match disruption(pod) {
        Some(reason) => lost(&reason, notes),
        None if by_deletion => lost("somebody deleted its pod", notes),
        None => Told { outcome: own_end(end), notes },
    }
}

/// What the end of its container alone says.
fn own_end(end: &End) -> AttemptOutcome {
    match (end.reason.as_deref(), end.signal, end.exit_code) {
        (Some("OOMKilled"), ..) => AttemptOutcome::OutOfMemory,
        (Some("StartError" | "ContainerCannotRun"), ..) => {
            let message = end.message.as_deref().unwrap_or("the runtime gives no reason").trim();
            AttemptOutcome::SpawnFailed { message: format!("the container could not be started: {message}") }
        }
        (Some("ContainerStatusUnknown"), ..) => {
            AttemptOutcome::Lost { reason: "its node does not know any more how the container ended".to_owned() }
        }
        // The program around the command knows it better than its own exit code can say.
        (_, signal, code) => output::own_word(end.message.as_deref()).unwrap_or(match (signal, code) {
            (Some(signal), _) => AttemptOutcome::Signaled { signal },
            // The convention of shells and container runtimes.
            (None, 129..=159) => AttemptOutcome::Signaled { signal: code - 128 },
            (None, code) => AttemptOutcome::Exited { code },
        }),
    }
}

/// It was deleted by an earlier leader, for its execution timeout.
fn ran_out_of_time(pod: &Pod, end: &End) -> bool {
    let (Some(deletion), Some(started_at), Some(timeout_ms)) =
        (pod.deletion, end.started_at, pod.mark.execution_timeout_ms)
    else {
        return false;
    };
    let asked_after = (deletion.asked_at - started_at).num_milliseconds();
    timeout_ms <= asked_after && end.finished_at.is_none_or(|at| deletion.asked_at <= at)
}

fn never_started(pod: &Pod, ours: Ours) -> Told {
    match ours {
        Ours::Canceled => return Told { outcome: AttemptOutcome::NeverStarted, notes: Vec::new() },
        Ours::Unstartable(message) => return unstartable(message),
        Ours::No | Ours::TimedOut | Ours::TaskEnded | Ours::Interfered => {}
    }
    if let Some(reason) = disruption(pod) {
        return lost(&reason, Vec::new());
    }
    match (pod.reason.as_deref(), pod.init.as_deref()) {
        (Some("DeadlineExceeded"), _) => {
            Told { outcome: AttemptOutcome::TimedOut, notes: with(Vec::new(), deadline_note(pod)) }
        }
        (_, Some(InitTrouble::Failed { name, end })) => init_failed(name, end),
        _ if pod.deletion.is_some() => lost("somebody deleted its pod before it started", Vec::new()),
        (Some(reason), _) => lost(&format!("its node refused the pod: {}", said(reason, pod)), Vec::new()),
        (None, _) => lost("its node gave the pod up before it started", Vec::new()),
    }
}

fn never_bound(pod: &Pod, ours: Ours, is_missing: bool) -> Told {
    match ours {
        Ours::Canceled => Told { outcome: AttemptOutcome::NeverStarted, notes: Vec::new() },
        Ours::Unstartable(message) => unstartable(message),
        Ours::No | Ours::TimedOut | Ours::TaskEnded | Ours::Interfered => match disruption(pod) {
            Some(reason) => lost(&reason, Vec::new()),
            None if is_missing || pod.deletion.is_some() => {
                lost("somebody deleted its pod before it started", Vec::new())
            }
            None => lost("somebody marked its pod as ended before it started", Vec::new()),
        },
    }
}

fn without_pod(proof: &Proof, ours: Ours, is_missing: bool) -> Told {
    match (ours, proof) {
        (Ours::Canceled, Proof::NeverBound) => Told { outcome: AttemptOutcome::NeverStarted, notes: Vec::new() },
        (Ours::Canceled, Proof::Reported | Proof::Node(_)) => {
            Told { outcome: AttemptOutcome::Canceled, notes: Vec::new() }
        }
        (Ours::TimedOut, _) => Told { outcome: AttemptOutcome::TimedOut, notes: Vec::new() },
        (Ours::Unstartable(message), _) => unstartable(message),
        (Ours::No | Ours::TaskEnded | Ours::Interfered, Proof::Node(reason)) => {
            lost(&forced(reason, is_missing), Vec::new())
        }
        (Ours::No | Ours::TaskEnded | Ours::Interfered, Proof::NeverBound | Proof::Reported) => {
            lost("somebody deleted its pod before it started", Vec::new())
        }
    }
}

fn by_node(reason: &str, pod: &Pod, ours: Ours, is_missing: bool) -> Told {
    match ours {
        Ours::Canceled if pod.started_at().is_some() => {
            Told { outcome: AttemptOutcome::Canceled, notes: vec![reason.to_owned()] }
        }
        Ours::Canceled => Told { outcome: AttemptOutcome::NeverStarted, notes: vec![reason.to_owned()] },
        Ours::TimedOut => Told { outcome: AttemptOutcome::TimedOut, notes: vec![reason.to_owned()] },
        Ours::Unstartable(message) => unstartable(message),
        Ours::No | Ours::TaskEnded | Ours::Interfered => {
            let node = pod.node.as_deref().map(|node| format!(" (node `{node}`)")).unwrap_or_default();
            lost(&format!("{}{node}", forced(reason, is_missing)), Vec::new())
        }
    }
}

/// An object that is missing although our finalizer held it.
fn forced(reason: &str, is_missing: bool) -> String {
    if is_missing { format!("somebody removed its pod by force, and {reason}") } else { reason.to_owned() }
}

fn init_failed(name: &str, end: &End) -> Told {
    let notes = container_notes(&format!("the init container `{name}`"), end);
    match own_end(end) {
        AttemptOutcome::OutOfMemory => Told { outcome: AttemptOutcome::OutOfMemory, notes },
        outcome @ AttemptOutcome::Lost { .. } => Told { outcome, notes },
        _ => {
            let message = format!("the init container `{name}` failed with exit code {}", end.exit_code);
            Told { outcome: AttemptOutcome::SpawnFailed { message }, notes }
        }
    }
}

/// Who disrupted a pod, if it was neither the task nor us.
fn disruption(pod: &Pod) -> Option<String> {
    let message = pod.message.as_deref().map(|message| format!(": {message}")).unwrap_or_default();
    let by = match pod.disruption.as_deref() {
        Some("PreemptionByScheduler") => "a pod of higher priority took its place",
        Some("EvictionByEvictionAPI") => "it was evicted, for example because its node was drained",
        Some("DeletionByTaintManager") => "a taint of its node drove it away",
        Some("DeletionByPodGC") => "its node is gone",
        Some("TerminationByKubelet") | None => match pod.reason.as_deref()? {
            "Evicted" if is_over_its_own_limit(pod) => return None,
            "Evicted" => return Some(format!("its node evicted it{message}")),
            "Preempting" => "its node preempted it for a critical pod",
            "NodeLost" => "its node does not answer",
            "Terminated" | "NodeShutdown" | "Shutdown" => "its node shut down",
            _ => return None,
        },
        Some(other) => return Some(format!("it was disrupted ({other}){message}")),
    };
    Some(by.to_owned())
}

/// Storage that the task used beyond what it asked for is the task's fault, not the node's.
fn is_over_its_own_limit(pod: &Pod) -> bool {
    let message = pod.message.as_deref().unwrap_or_default();
    ["exceeds the total limit of containers", "exceeded its local ephemeral storage limit", "exceeds the limit"]
        .iter()
        .any(|known| message.contains(known))
}

fn eviction(pod: &Pod) -> Option<String> {
    Some(format!("its node evicted it: {}", pod.message.as_deref()?))
}

fn deadline_note(pod: &Pod) -> Option<String> {
    let message = pod.message.as_deref().unwrap_or("it was active for longer than `activeDeadlineSeconds`");
    Some(format!("the pod's deadline is exceeded: {message}"))
}

fn container_notes(what: &str, end: &End) -> Vec<String> {
    if end.exit_code == 0 {
        return Vec::new();
    }
    let reason = end.reason.as_deref().filter(|reason| *reason != "Error");
    let reason = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
    vec![format!("{what} ended with exit code {}{reason}", end.exit_code)]
}

fn said(reason: &str, pod: &Pod) -> String {
    pod.message.as_deref().map_or_else(|| reason.to_owned(), |message| format!("{reason}: {message}"))
}

fn unstartable(message: &str) -> Told {
    Told { outcome: AttemptOutcome::SpawnFailed { message: message.to_owned() }, notes: vec![message.to_owned()] }
}

fn lost(reason: &str, mut notes: Vec<String>) -> Told {
    notes.push(reason.to_owned());
    Told { outcome: AttemptOutcome::Lost { reason: reason.to_owned() }, notes }
}

fn with(mut notes: Vec<String>, more: Option<String>) -> Vec<String> {
    notes.extend(more);
    notes
}

#[cfg(test)]
mod tests;
