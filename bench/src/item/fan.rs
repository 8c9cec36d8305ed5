//! W2: how many processes a second.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::{
    bare,
    bench::{Bench, PARALLELISM},
    dag,
    line::{Line, Target},
    stats,
};

const WIDTH: usize = 500;
const RUNS: usize = 3;
const WITHIN: Duration = Duration::from_secs(120);

pub fn measure(bench: &mut Bench) -> Result<Vec<Line>> {
    Ok(vec![
        fan(bench, "w2_exec", "exec: ['true']", &["true"])?,
        fan(bench, "w2_bash", "bash: 'true'", &["bash", "-c", "true"])?,
    ])
}

fn fan(bench: &mut Bench, dag: &str, operator: &str, argv: &[&str]) -> Result<Line> {
    let runs = bench.few(RUNS);
    let site = bench.site()?;
    let head = format!("max_active_tasks: {PARALLELISM}");
    site.add_dag(dag, &dag::fan(&head, WIDTH, operator))?;
    let mut db = site.db()?;
    let (mut rates, mut bare_rates) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        bench.progress(&format!("1 → {WIDTH} → 1 processes, `{operator}`"));
        bare_rates.push(bare::spawn_rate(argv, WIDTH + 2, PARALLELISM)?);
        let run = bench.trigger(dag)?;
        db.wait_for_runs(dag, bench.runs_of(dag), WITHIN)?;
        let spans = db.spans(dag, &run)?;
        ensure!(spans.len() == WIDTH + 2, "{} of {} tasks ended well", spans.len(), WIDTH + 2);
        let (first, last) = (spans.iter().map(|span| span.started).min(), spans.iter().map(|span| span.ended).max());
        let seconds = last.zip(first).map(|(last, first)| (last - first) as f64 / 1e6).context("no tasks")?;
        rates.push(spans.len() as f64 / seconds);
    }
    let median = |values: &[f64]| stats::median(values).context("nothing measured");
    Ok(Line::higher("W2", format!("1 → {WIDTH} → 1 processes, `{operator}`"), median(&rates)?, "tasks/s")
        .limit("bare spawn of the same argv", median(&bare_rates)?)
        .target(Target::Ratio(0.5))
        .note(format!("first start to last end; at most {PARALLELISM} at a time: parallelism, max_active_tasks, pool")))
}
