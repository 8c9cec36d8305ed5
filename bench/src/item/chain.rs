//! W1: how soon a process starts after the one before it has ended.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::{
    bare,
    bench::Bench,
    dag,
    db::Span,
    line::{Line, Target},
    stats,
};

const TASKS: usize = 100;
const RUNS: usize = 3;
const WITHIN: Duration = Duration::from_secs(120);

pub fn measure(bench: &mut Bench) -> Result<Vec<Line>> {
    let runs = bench.few(RUNS);
    let site = bench.site()?;
    site.add_dag("w1", &dag::chain("", TASKS, "exec: ['true']"))?;
    let (mut db, mut own) = (site.db()?, bare::database(&site.state_dir())?);
    let (mut gaps, mut commits, mut spawns) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..runs {
        bench.progress(&format!("a chain of {TASKS} processes"));
        commits.push(bare::commit_ms(&mut own, 100)?);
        spawns.push(bare::spawn_ms(&["true"], 100)?);
        let run = bench.trigger("w1")?;
        db.wait_for_runs("w1", bench.runs_of("w1"), WITHIN)?;
        let spans = db.spans("w1", &run)?;
        ensure!(spans.len() == TASKS, "{} of {TASKS} tasks ended well", spans.len());
        gaps.extend(gaps_ms(&spans));
    }
    let median = |values: &[f64]| stats::median(values).context("nothing measured");
    let (commit, spawn) = (median(&commits)?, median(&spawns)?);
    let line = Line::lower("W1", format!("chain of {TASKS} processes: end → next start, median"), median(&gaps)?, "ms")
        .limit("bare commit + bare spawn", commit + spawn)
        .target(Target::Ratio(2.0))
        .note(format!(
            "commit {commit:.2} ms, spawn {spawn:.2} ms; p90 {:.2} ms",
            stats::percentile(&gaps, 90.0).context("nothing measured")?
        ));
    Ok(vec![line])
}

/// From each end to the next start, in milliseconds. The spans are in the order of their starts.
pub fn gaps_ms(spans: &[Span]) -> Vec<f64> {
    spans.windows(2).map(|pair| (pair[1].started - pair[0].ended) as f64 / 1e3).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_lies_between_an_end_and_the_next_start() {
        let span = |started, ended| Span { started, ended };
        assert_eq!(gaps_ms(&[span(0, 1_000), span(3_500, 4_000), span(4_100, 9_000)]), [2.5, 0.1]);
        assert!(gaps_ms(&[span(0, 1)]).is_empty());
    }
}
