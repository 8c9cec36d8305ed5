//! The transition log: LEGAL, FENCED, and that it replays to the present states.

use std::collections::HashMap;

use super::{Finding, Invariant, find, legal::may_become};
use crate::evidence::Evidence;

pub(super) fn check(evidence: &Evidence, findings: &mut Vec<Finding>) {
    fenced(evidence, findings);
    let mut states: HashMap<String, String> = HashMap::new();
    for row in &evidence.log {
        for change in &row.changes {
            let Some((kind, key, from, to)) = parse(&row.run, change) else {
                find(findings, Invariant::Replay, format!("turn {}: `{change}` is no change", row.turn));
                continue;
            };
            if !may_become(kind, &from, &to) {
                find(findings, Invariant::Legal, format!("turn {}: {key} went {from} → {to}", row.turn));
            }
            // A run that a handler created was queued before the log knew of it.
            let unknown = if kind == "run" && from == "queued" { "queued" } else { "-" };
            let before = states.insert(key.clone(), to.clone()).unwrap_or_else(|| unknown.into());
            if before != from {
                find(
                    findings,
                    Invariant::Replay,
                    format!("turn {}: {key} went {from} → {to}, but was {before}", row.turn),
                );
            }
        }
    }
    let present = present(evidence);
    for (key, state) in &present {
        let replayed = states.get(key).map_or("-", String::as_str);
        if replayed != state {
            find(findings, Invariant::Replay, format!("{key} is {state}, but the log replays to {replayed}"));
        }
    }
    for key in states.keys().filter(|key| !present.contains_key(*key)) {
        find(findings, Invariant::Replay, format!("the log speaks of {key}, which is not there"));
    }
}

/// Turns of a deposed leader would carry an epoch that is lower than one before them, or share a turn.
fn fenced(evidence: &Evidence, findings: &mut Vec<Finding>) {
    for pair in evidence.log.windows(2) {
        let [before, after] = pair else { continue };
        if after.epoch < before.epoch || (after.turn == before.turn && after.epoch != before.epoch) {
            let text = format!(
                "turn {} of epoch {} comes after turn {} of epoch {}",
                after.turn, after.epoch, before.turn, before.epoch
            );
            find(findings, Invariant::Fenced, text);
        }
    }
}

fn present(evidence: &Evidence) -> HashMap<String, String> {
    // The log knows nothing of a run that a handler created and the leader has not touched yet.
    let runs = evidence.runs.iter().filter(|run| run.state != "queued" || run.has_started);
    let runs = runs.map(|run| (format!("run {}", run.id), run.state.clone()));
    let task_instances = evidence.task_instances.iter();
    let task_instances =
        task_instances.map(|ti| (format!("ti {}/{}/{}", ti.run, ti.task_no, ti.map_index), ti.state.clone()));
    let attempts = evidence.attempts.iter().map(|attempt| (format!("attempt {}", attempt.id), attempt.state.clone()));
    runs.chain(task_instances).chain(attempts).collect()
}

fn parse<'a>(run: &str, change: &'a str) -> Option<(&'a str, String, String, String)> {
    let words: Vec<&str> = change.split(' ').collect();
    let (kind, key, from, to) = match words.as_slice() {
        [kind @ "run", from, to] => (kind, format!("run {run}"), from, to),
        [kind @ "ti", task, map, from, to, _try] => (kind, format!("ti {run}/{task}/{map}"), from, to),
        [kind @ "attempt", id, from, to] => (kind, format!("attempt {id}"), from, to),
        _ => return None,
    };
    Some((kind, key, (*from).into(), (*to).into()))
}
