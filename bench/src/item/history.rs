//! W10: whether a long history slows anything down.

use std::time::Duration;

use anyhow::Result;

use super::{chain, fan, latency, throughput, triggers};
use crate::{
    bench::Bench,
    line::{Better, Line, Target, number},
    process, stats,
};

const TASK_INSTANCES: i64 = 1_000_000;
/// Of one round: as many runs as W7c makes at once, with 100 task instances each.
const ROUND: i64 = 100_000;
const SLOWER_MAX: f64 = 0.1;
const SETTLE_WITHIN: Duration = Duration::from_secs(120);

type Measure = fn(&mut Bench) -> Result<Vec<Line>>;

/// What is measured on a new database and on the one with history in turn, so that both meet the same machine: a disk
/// has better and worse minutes, and they differ by more than what is looked for.
const IN_TURN: [Measure; 4] = [chain::measure, fan::measure, latency::measure, triggers::measure];
const TIMES: usize = 3;

pub fn measure(bench: &mut Bench) -> Result<Vec<Line>> {
    let w7c: Vec<Line> = bench.lines.iter().filter(|line| line.item == "W7c").cloned().collect();
    // It makes a history of its own, on new databases.
    let w7c = if w7c.is_empty() { throughput::measure(bench)? } else { w7c };
    let history = grow(bench)?;
    let (without, with) = in_turn(bench)?;
    let mut lines = compared(&without, &with, history);
    lines.extend(compared(&w7c, &throughput::measure_again(bench)?, history));
    // No target, but what grows with history would show.
    let memory = process::memory_mb(&bench.site()?.processes())?;
    lines.push(Line::lower("W10", "memory after all that", memory, "MB"));
    Ok(lines)
}

/// Real runs, through the scheduler; how many task instances they have.
fn grow(bench: &mut Bench) -> Result<i64> {
    let wanted = if bench.is_quick() { TASK_INSTANCES / 5 } else { TASK_INSTANCES };
    let mut rounds = 0;
    while rounds * ROUND < wanted {
        for shape in ["chain", "wide"] {
            throughput::once(bench, shape, 1_000)?;
            rounds += 1;
        }
    }
    bench.progress("PostgreSQL puts its house in order");
    bench.site()?.db()?.settle(SETTLE_WITHIN)?;
    Ok(rounds * ROUND)
}

/// All lines of a new installation, and all of the shared one.
fn in_turn(bench: &mut Bench) -> Result<(Vec<Line>, Vec<Line>)> {
    let (mut without, mut with) = (Vec::new(), Vec::new());
    let mut other = None;
    for time in 0..bench.few(TIMES) {
        for measure in IN_TURN {
            // Who is second meets what the first one has left to be written.
            for is_new in [time % 2 == 0, time % 2 != 0] {
                if is_new {
                    bench.exchange(&mut other);
                    without.extend(measure(bench)?);
                    bench.exchange(&mut other);
                } else {
                    with.extend(measure(bench)?);
                }
            }
        }
    }
    Ok((without, with))
}

/// The figures with history, beside those without.
fn compared(without: &[Line], with: &[Line], history: i64) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for line in with {
        let what = format!("{} {}", line.item, line.what);
        if lines.iter().any(|done| done.what == what) {
            continue;
        }
        let (Some(before), Some(now)) = (Middle::of(without, line), Middle::of(with, line)) else { continue };
        let target = match line.better {
            Better::Lower => Target::Ratio(1.0 + SLOWER_MAX),
            Better::Higher => Target::Ratio(1.0 - SLOWER_MAX),
        };
        let bare = |middle: &Middle| middle.limit.map_or(String::new(), number);
        let note = format!("{history} task instances in history; bare {} without, {} with", bare(&before), bare(&now));
        let line = Line { item: "W10".into(), what, value: now.value, limit: None, target: None, ..line.clone() };
        lines.push(line.limit("the same without history", before.value).target(target).note(note));
    }
    lines
}

/// The medians of all lines about the same.
struct Middle {
    value: f64,
    limit: Option<f64>,
}

impl Middle {
    fn of(lines: &[Line], like: &Line) -> Option<Self> {
        let same = || lines.iter().filter(|line| line.key() == like.key());
        let values: Vec<f64> = same().map(|line| line.value).collect();
        let limits: Vec<f64> = same().filter_map(|line| Some(line.limit.as_ref()?.value)).collect();
        Some(Self { value: stats::median(&values)?, limit: stats::median(&limits) })
    }
}
