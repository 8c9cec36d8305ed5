//! LIMITS, from the intervals that the commands wrote down themselves: what they say overlaps did overlap.

use std::collections::BTreeMap;

use super::{Finding, Interval, Invariant, Rules, find};
use crate::evidence::Evidence;

pub(super) fn check(evidence: &Evidence, intervals: &[Interval], rules: &Rules, findings: &mut Vec<Finding>) {
    let is_cancelled = |dag: &str, run: &str| evidence.cancelled.contains(&(dag.to_owned(), run.to_owned()));
    let all = intervals.iter().map(|interval| (interval.start, interval.end, 1));
    within("parallelism", rules.parallelism, all, findings);
    for (pool, slots) in &rules.pools {
        let taken = intervals.iter().filter_map(|interval| {
            let (of, taken) = rules.slots.get(&(interval.dag.clone(), interval.task.clone()))?;
            (of == pool).then_some((interval.start, interval.end, *taken))
        });
        within(&format!("slots of pool {pool}"), *slots, taken, findings);
    }
    let mut runs: BTreeMap<(&str, &str), Vec<&Interval>> = BTreeMap::new();
    for interval in intervals {
        runs.entry((&interval.dag, &interval.run_id)).or_default().push(interval);
    }
    for ((dag, run), intervals) in &runs {
        let Some(limit) = rules.max_active_tasks.get(*dag) else { continue };
        let all = intervals.iter().map(|interval| (interval.start, interval.end, 1));
        within(&format!("max_active_tasks of {dag} in {run}"), *limit, all, findings);
    }
    for (dag, limit) in &rules.max_active_runs {
        // A run is active from before its first command until after its last one, unless it was cancelled: then it is
        // over, and its commands still take their time to end.
        let of =
            runs.iter().filter(|((of, run), _)| of == dag && !is_cancelled(of, run)).filter_map(|(_, intervals)| {
                let start = intervals.iter().map(|interval| interval.start).min()?;
                Some((start, intervals.iter().map(|interval| interval.end).max()?, 1))
            });
        within(&format!("max_active_runs of {dag}"), *limit, of, findings);
    }
}

/// Reports the first instant at which the weights of what is under way exceed the limit.
fn within(what: &str, limit: usize, all: impl Iterator<Item = (i64, i64, usize)>, findings: &mut Vec<Finding>) {
    // At one instant, ends come before starts.
    let mut changes: Vec<(i64, bool, usize)> =
        all.flat_map(|(start, end, weight)| [(start, true, weight), (end, false, weight)]).collect();
    changes.sort_unstable();
    let mut under_way = 0;
    for (at, begins, weight) in changes {
        if !begins {
            under_way -= weight.min(under_way);
            continue;
        }
        under_way += weight;
        if limit < under_way {
            find(findings, Invariant::Limits, format!("{what}: {under_way} at {at}, the limit is {limit}"));
            return;
        }
    }
}
