//! W10: whether a long history slows anything down.

use std::time::Duration;

use anyhow::Result;

use super::{chain, fan, latency, throughput, triggers};
use crate::{
    bench::Bench,
    line::{Better, Line, Target},
    process,
};

const TASK_INSTANCES: i64 = 1_000_000;
/// Of one round: as many runs as W7c makes at once, with 100 task instances each.
const ROUND: i64 = 100_000;
const SLOWER_MAX: f64 = 0.1;
const SETTLE_WITHIN: Duration = Duration::from_secs(120);

type Measure = fn(&mut Bench) -> Result<Vec<Line>>;

/// What is measured again: everything with a time of its own in it. Each with an item that one of its lines names,
/// how it is measured without history, and how with it.
const AGAIN: [(&str, Measure, Measure); 5] = [
    ("W1", chain::measure, chain::measure),
    ("W2", fan::measure, fan::measure),
    ("W8", latency::measure, latency::measure),
    ("W7a", triggers::measure, triggers::measure),
    ("W7c", throughput::measure, throughput::measure_again),
];

pub fn measure(bench: &mut Bench) -> Result<Vec<Line>> {
    let wanted = if bench.is_quick() { TASK_INSTANCES / 5 } else { TASK_INSTANCES };
    let without = lines_without(bench)?;
    let mut rounds = 0;
    // Real runs, through the scheduler.
    while rounds * ROUND < wanted {
        for shape in ["chain", "wide"] {
            throughput::once(bench, shape, 1_000)?;
            rounds += 1;
        }
    }
    bench.progress("PostgreSQL puts its house in order");
    bench.site()?.db()?.settle(SETTLE_WITHIN)?;
    let mut lines = Vec::new();
    for (_, _, measure) in AGAIN {
        for line in measure(bench)? {
            lines.extend(compared(&without, line, rounds * ROUND));
        }
    }
    // No target, but what grows with history would show.
    let memory = process::memory_mb(&bench.site()?.processes())?;
    lines.push(Line::lower("W10", "memory after all that", memory, "MB"));
    Ok(lines)
}

/// The figures without history: those that this run has measured, else measured now.
fn lines_without(bench: &mut Bench) -> Result<Vec<Line>> {
    let mut lines = bench.lines.clone();
    for (item, measure, _) in AGAIN {
        if lines.iter().all(|line| line.item != item) {
            lines.extend(measure(bench)?);
        }
    }
    Ok(lines)
}

/// The figure with history, beside the one without.
fn compared(without: &[Line], with: Line, history: i64) -> Option<Line> {
    let before = without.iter().find(|line| line.key() == with.key())?;
    let target = match with.better {
        Better::Lower => Target::Ratio(1.0 + SLOWER_MAX),
        Better::Higher => Target::Ratio(1.0 - SLOWER_MAX),
    };
    let bare = |line: &Line| line.limit.as_ref().map_or(String::new(), |limit| crate::line::number(limit.value));
    let note = format!("{history} task instances in history; bare {} before, {} now", bare(before), bare(&with));
    let line = Line {
        item: "W10".into(),
        what: format!("{} {}", with.item, with.what),
        limit: None,
        target: None,
        note: String::new(),
        ..with
    };
    Some(line.limit("the same without history", before.value).target(target).note(note))
}
