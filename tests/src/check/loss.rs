//! NO-LOSS, NO-STUCK, ONE-RUN, and that outcomes are what the commands did.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{Finding, Invariant, Losses, Outputs, Rules, find};
use crate::evidence::{Attempt, Evidence};

pub(super) fn check(evidence: &Evidence, rules: &Rules, findings: &mut Vec<Finding>) {
    nothing_lost(evidence, findings);
    nothing_stuck(evidence, findings);
    one_run(evidence, findings);
    outcomes(evidence, rules, findings);
}

fn nothing_lost(evidence: &Evidence, findings: &mut Vec<Finding>) {
    let runs: HashSet<(&str, &str)> = evidence.runs.iter().map(|run| (run.dag.as_str(), run.run_id.as_str())).collect();
    for (dag, run) in &evidence.accepted {
        if !runs.contains(&(dag.as_str(), run.as_str())) {
            find(findings, Invariant::NoLoss, format!("run {run} of {dag} was confirmed and is not there"));
        }
    }
    for key in evidence.asked.difference(&evidence.answered) {
        find(findings, Invariant::NoLoss, format!("command {key} was confirmed and has no answer"));
    }
    if 0 < evidence.inbox {
        find(findings, Invariant::NoLoss, format!("{} letters were never opened", evidence.inbox));
    }
    if 0 < evidence.commands_open {
        find(findings, Invariant::NoLoss, format!("{} commands were never answered", evidence.commands_open));
    }
    for event in evidence.events.iter().filter(|event| event.outcome.is_empty()) {
        find(findings, Invariant::NoLoss, format!("event {} has no outcome", event.key));
    }
}

fn nothing_stuck(evidence: &Evidence, findings: &mut Vec<Finding>) {
    let is_over = |state: &str| ["success", "failed", "skipped", "upstream_failed", "removed"].contains(&state);
    for run in evidence.runs.iter().filter(|run| !is_over(&run.state)) {
        find(
            findings,
            Invariant::NoStuck,
            format!("run {} of {} is {} ({})", run.run_id, run.dag, run.state, run.reason),
        );
    }
    for ti in evidence.task_instances.iter().filter(|ti| !is_over(&ti.state)) {
        let text = format!("{} of {} of {} is {} ({})", ti.task, ti.run_id, ti.dag, ti.state, ti.reason);
        find(findings, Invariant::NoStuck, text);
    }
    for attempt in evidence.attempts.iter().filter(|attempt| attempt.state != "closed") {
        find(findings, Invariant::NoStuck, format!("attempt {} is {}", attempt.id, attempt.state));
    }
}

/// One event is one row, and one run; one `trigger_dag` that went well has made one run.
fn one_run(evidence: &Evidence, findings: &mut Vec<Finding>) {
    let mut keys: BTreeMap<&str, usize> = BTreeMap::new();
    let mut runs: BTreeMap<&str, usize> = BTreeMap::new();
    for event in &evidence.events {
        *keys.entry(&event.key).or_default() += 1;
        if event.outcome == "run" {
            *runs.entry(&event.run).or_default() += 1;
            if !evidence.runs.iter().any(|run| run.id == event.run && run.dag == event.dag) {
                find(findings, Invariant::OneRun, format!("the run of event {} is not there", event.key));
            }
        }
    }
    for (key, count) in keys.into_iter().filter(|(_, count)| *count != 1) {
        find(findings, Invariant::OneRun, format!("event {key} was taken {count} times"));
    }
    for (run, count) in runs.into_iter().filter(|(_, count)| *count != 1) {
        find(findings, Invariant::OneRun, format!("run {run} answers {count} events"));
    }
    let mut children: HashMap<(&str, &str), usize> = HashMap::new();
    for (run, task_no) in evidence.runs.iter().filter_map(|run| run.parent.as_ref()) {
        *children.entry((run, task_no)).or_default() += 1;
    }
    for ti in evidence.task_instances.iter().filter(|ti| ti.operator == "trigger_dag" && ti.state == "success") {
        let count = children.get(&(ti.run.as_str(), ti.task_no.as_str())).copied().unwrap_or(0);
        if count != 1 {
            find(findings, Invariant::OneRun, format!("{} of {} made {count} runs", ti.task, ti.run_id));
        }
    }
}

/// Attempts are accounted for, and the last one of a task instance is the one that counts.
fn outcomes(evidence: &Evidence, rules: &Rules, findings: &mut Vec<Finding>) {
    let mut of: HashMap<(&str, &str, &str), Vec<&Attempt>> = HashMap::new();
    for attempt in &evidence.attempts {
        of.entry((&attempt.run, &attempt.task_no, &attempt.map_index)).or_default().push(attempt);
    }
    for ti in &evidence.task_instances {
        let name = format!("{} of {} of {}", ti.task, ti.run_id, ti.dag);
        let attempts = of.remove(&(ti.run.as_str(), ti.task_no.as_str(), ti.map_index.as_str())).unwrap_or_default();
        let lost =
            attempts.iter().filter(|attempt| ["lost", "never_started"].contains(&attempt.outcome.as_str())).count();
        if rules.losses == Losses::None && 0 < lost && evidence.cancelled.is_empty() {
            find(
                findings,
                Invariant::Truth,
                format!("{name}: {lost} attempts were given up, and nothing was done to them"),
            );
        }
        if lost != ti.losses && !evidence.cancelled.contains(&(ti.dag.clone(), ti.run_id.clone())) {
            find(findings, Invariant::Truth, format!("{name}: {lost} attempts were lost, {} were counted", ti.losses));
        }
        let succeeded = attempts.iter().filter(|attempt| attempt.outcome == "exited" && attempt.exit_code == "0");
        let succeeded: Vec<&str> = succeeded.map(|attempt| attempt.id.as_str()).collect();
        if 1 < succeeded.len() {
            find(findings, Invariant::Truth, format!("{name} succeeded {} times: {succeeded:?}", succeeded.len()));
        }
        let is_success = ti.state == "success";
        // A command may end well just when its run is cancelled: then nobody asks how it ended.
        let is_open_how = !is_success && evidence.cancelled.contains(&(ti.dag.clone(), ti.run_id.clone()));
        if !attempts.is_empty() && !is_open_how && is_success != (succeeded == [ti.attempt.as_str()]) {
            find(findings, Invariant::Truth, format!("{name} is {}, and these succeeded: {succeeded:?}", ti.state));
        }
        let names_attempt = match rules.outputs {
            Outputs::AttemptId => ti.attempt.is_empty() || ti.output.is_empty() || ti.output == ti.attempt,
            Outputs::Any => true,
        };
        if !names_attempt {
            find(
                findings,
                Invariant::Truth,
                format!("{name} has the output of {}, its attempt is {}", ti.output, ti.attempt),
            );
        }
    }
    for key in of.keys() {
        find(findings, Invariant::Truth, format!("there are attempts of {key:?}, which is no task instance"));
    }
}
