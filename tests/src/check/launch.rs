//! ONE-LAUNCH: no attempt's command starts twice, no two attempts of one task instance live at the same time.

use std::collections::{BTreeMap, HashMap};

use super::{Finding, Invariant, find};
use crate::evidence::{Attempt, Evidence, Mark, MarkKind};

/// From a command's first mark to the last one of anything that it started.
#[derive(Debug, Clone)]
pub struct Interval {
    pub attempt: String,
    pub dag: String,
    pub run_id: String,
    pub task: String,
    pub start: i64,
    pub end: i64,
}

/// One for each attempt that has left a mark.
pub(super) fn intervals(evidence: &Evidence, findings: &mut Vec<Finding>) -> Vec<Interval> {
    let mut of: BTreeMap<&str, Vec<&Mark>> = BTreeMap::new();
    for mark in &evidence.marks {
        of.entry(&mark.attempt).or_default().push(mark);
    }
    of.into_values().filter_map(|marks| interval(evidence, &marks, findings)).collect()
}

/// When a process that wrote no end was killed: with its pod, or with everything.
fn killed_at(evidence: &Evidence, start: &Mark) -> Option<i64> {
    match &evidence.last_seen {
        Some(last_seen) if !start.pod.is_empty() => {
            // It lived, if only for a moment.
            Some(last_seen.get(&start.pod).copied().unwrap_or(start.at).max(start.at + 1))
        }
        Some(_) | None => evidence.killed_at.iter().copied().filter(|at| start.at <= *at).min(),
    }
}

fn interval(evidence: &Evidence, marks: &[&Mark], findings: &mut Vec<Finding>) -> Option<Interval> {
    let of = |kind| marks.iter().copied().filter(move |mark: &&Mark| mark.kind == kind);
    let first = marks.first()?;
    let starts: Vec<&Mark> = of(MarkKind::Start).collect();
    let Some(start) = starts.iter().map(|mark| mark.at).min() else {
        find(findings, Invariant::Truth, format!("attempt {} has an end without a start", first.attempt));
        return None;
    };
    if 1 < starts.len() {
        let pids: Vec<&str> = starts.iter().map(|mark| mark.pid.as_str()).collect();
        find(
            findings,
            Invariant::OneLaunch,
            format!("attempt {} started {} times: {pids:?}", first.attempt, pids.len()),
        );
    }
    // A process that wrote no end was killed; or it still lives, for all we know.
    let end_of = |start: &Mark, kind| {
        let own = of(kind).filter(|end| end.pid == start.pid && end.pod == start.pod).map(|end| end.at).max();
        own.or_else(|| killed_at(evidence, start))
    };
    let commands = starts.iter().map(|mark| end_of(mark, MarkKind::End));
    let children = of(MarkKind::ChildStart).map(|mark| end_of(mark, MarkKind::ChildEnd));
    let ends: Option<Vec<i64>> = commands.chain(children).collect();
    let end = ends.and_then(|ends| ends.into_iter().max()).unwrap_or_else(|| {
        find(findings, Invariant::Truth, format!("a process of attempt {} never wrote its end", first.attempt));
        i64::MAX
    });
    let Mark { attempt, dag, run_id, task, .. } = (*first).clone();
    Some(Interval { attempt, dag, run_id, task, start, end })
}

pub(super) fn check(evidence: &Evidence, intervals: &[Interval], findings: &mut Vec<Finding>) {
    let mut of: BTreeMap<(&str, &str, &str), Vec<&Interval>> = BTreeMap::new();
    for interval in intervals {
        of.entry((&interval.dag, &interval.run_id, &interval.task)).or_default().push(interval);
    }
    for (key, mut attempts) in of {
        attempts.sort_by_key(|interval| interval.start);
        for pair in attempts.windows(2) {
            let [before, after] = pair else { continue };
            if after.start < before.end {
                let (one, two) = (&before.attempt, &after.attempt);
                let text =
                    format!("{key:?}: attempt {two} started while {one} lived ({} < {})", after.start, before.end);
                find(findings, Invariant::OneLaunch, text);
            }
        }
    }
    said_and_seen(evidence, intervals, findings);
}

/// What the table says of an attempt's start, and what its command saw.
fn said_and_seen(evidence: &Evidence, intervals: &[Interval], findings: &mut Vec<Finding>) {
    let seen: HashMap<&str, &Interval> =
        intervals.iter().map(|interval| (interval.attempt.as_str(), interval)).collect();
    let said: HashMap<&str, &Attempt> =
        evidence.attempts.iter().map(|attempt| (attempt.id.as_str(), attempt)).collect();
    for attempt in seen.keys() {
        if !said.contains_key(attempt) {
            find(findings, Invariant::Truth, format!("a command ran for attempt {attempt}, which no table knows"));
        }
    }
    for mark in evidence.marks.iter().filter(|mark| mark.kind == MarkKind::Start && !mark.pod.is_empty()) {
        let claim = said.get(mark.attempt.as_str()).map_or("", |attempt| attempt.claim.as_str());
        if claim != mark.pod {
            let text = format!("attempt {} ran in pod {}, and `{claim}` is its claim", mark.attempt, mark.pod);
            find(findings, Invariant::OneLaunch, text);
        }
    }
    for attempt in &evidence.attempts {
        let is_seen = seen.contains_key(attempt.id.as_str());
        // Cancelled, signalled or lost: before or after it wrote its first line, who knows.
        let must_be_seen = match attempt.outcome.as_str() {
            "exited" | "output_invalid" => Some(true),
            "never_started" | "spawn_failed" => Some(false),
            _ => None,
        };
        if must_be_seen.is_some_and(|must| must != is_seen) {
            let text = format!(
                "attempt {} is {}, and its command did {}start",
                attempt.id,
                attempt.outcome,
                if is_seen { "" } else { "not " }
            );
            let invariant = if is_seen { Invariant::OneLaunch } else { Invariant::Truth };
            find(findings, invariant, text);
        }
    }
}
