//! W7c: tasks a second when nothing outside is needed.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::{
    bare,
    bench::Bench,
    dag,
    line::{Line, Target},
    stats,
};

const RUNS: usize = 1_000;
const TASKS: usize = 100;
const TIMES: usize = 3;
const SHAPES: [&str; 2] = ["chain", "wide"];
const WITHIN: Duration = Duration::from_secs(180);

/// Where 100,000 rows are inserted and updated in 0.8 s.
const FOOTING: f64 = 125_000.0;

/// Each shape on a new database: this item makes a history of its own.
pub fn measure(bench: &mut Bench) -> Result<Vec<Line>> {
    let fresh = |shape| {
        bench.end_site();
        shaped(bench, shape)
    };
    SHAPES.into_iter().map(fresh).collect()
}

/// On the database as it is.
pub fn measure_again(bench: &mut Bench) -> Result<Vec<Line>> {
    SHAPES.into_iter().map(|shape| shaped(bench, shape)).collect()
}

fn shaped(bench: &mut Bench, shape: &str) -> Result<Line> {
    let times = bench.few(TIMES);
    let mut own = bare::database(&bench.site()?.state_dir())?;
    let (mut rates, mut bare_rates) = (Vec::new(), Vec::new());
    for _ in 0..times {
        bare_rates.push(bare::row_rate(&mut own, RUNS * TASKS)?);
        rates.push(once(bench, shape, RUNS)?);
    }
    let median = |values: &[f64]| stats::median(values).context("nothing measured");
    let what = format!("{RUNS} runs × {TASKS} `empty`, {shape}: first start to last end");
    Ok(Line::higher("W7c", what, median(&rates)?, "tasks/s")
        .limit("rows inserted and updated", median(&bare_rates)?)
        .target(Target::Footing { bound: 40_000.0, footing: FOOTING })
        .note("all runs queued before the DAG is unpaused"))
}

/// Tasks a second of so many runs, which are all queued before any may start.
pub fn once(bench: &mut Bench, shape: &str, runs: usize) -> Result<f64> {
    let dag = format!("w7c_{shape}");
    let head = format!("max_active_runs: {RUNS}");
    let text = match shape {
        "chain" => dag::chain(&head, TASKS, "empty: {}"),
        _ => dag::wide(&head, TASKS, "empty: {}"),
    };
    bench.site()?.add_dag(&dag, &text)?;
    let (mut api, mut db) = (bench.site()?.api()?, bench.site()?.db()?);
    let prefix = bench.run_name();
    bench.progress(&format!("{runs} runs × {TASKS} `empty`, {shape}"));
    api.set_paused(&dag, true)?;
    bench.trigger_many(&dag, &prefix, runs)?;
    api.set_paused(&dag, false)?;
    db.wait_for_runs(&dag, bench.runs_of(&dag), WITHIN)?;
    let ended = db.successes(&dag)?;
    ensure!(ended == bench.runs_of(&dag) * TASKS as i64, "{ended} task instances ended well");
    let span = db.runs_span(&dag, &prefix)?;
    Ok((runs * TASKS) as f64 / ((span.ended - span.started) as f64 / 1e6))
}
