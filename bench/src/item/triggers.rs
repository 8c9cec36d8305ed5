//! W7a and W7b: a hundred runs triggered at once.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};

use crate::{
    bare,
    bench::Bench,
    dag,
    line::{Line, Target},
    stats,
};

const RUNS: usize = 100;
const TASKS: usize = 20;
const TIMES: usize = 5;
const WITHIN: Duration = Duration::from_secs(60);

pub fn measure(bench: &mut Bench) -> Result<Vec<Line>> {
    Ok(vec![shaped(bench, "W7a", "chain")?, shaped(bench, "W7b", "wide")?])
}

fn shaped(bench: &mut Bench, item: &str, shape: &str) -> Result<Line> {
    let times = bench.few(TIMES);
    let dag = format!("w7_{shape}");
    let head = format!("max_active_runs: {RUNS}");
    let text = match shape {
        "chain" => dag::chain(&head, TASKS, "empty: {}"),
        _ => dag::wide(&head, TASKS, "empty: {}"),
    };
    bench.site()?.add_dag(&dag, &text)?;
    let (mut db, mut own) = (bench.site()?.db()?, bare::database(&bench.site()?.state_dir())?);
    let (mut rates, mut commits) = (Vec::new(), Vec::new());
    for _ in 0..times {
        bench.progress(&format!("{RUNS} runs × {TASKS} `empty` over the API, {shape}"));
        commits.push(bare::commit_ms(&mut own, RUNS)?);
        let prefix = bench.run_name();
        let began = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_micros() as i64;
        bench.trigger_many(&dag, &prefix, RUNS)?;
        db.wait_for_runs(&dag, bench.runs_of(&dag), WITHIN)?;
        let ended = db.successes(&dag)?;
        ensure!(ended == bench.runs_of(&dag) * TASKS as i64, "{ended} task instances ended well");
        let span = db.runs_span(&dag, &prefix)?;
        rates.push((RUNS * TASKS) as f64 / ((span.ended - began) as f64 / 1e6));
    }
    let median = |values: &[f64]| stats::median(values).context("nothing measured");
    // One commit for each accepted request is the least there is, one after the other.
    let limit = TASKS as f64 / (median(&commits)? / 1e3);
    Ok(Line::higher(
        item,
        format!("{RUNS} runs × {TASKS} `empty` triggered at once, {shape}"),
        median(&rates)?,
        "tasks/s",
    )
    .limit("one bare commit a run, one by one", limit)
    .target(Target::Absolute(5_000.0))
    .note("from the first request to the last end, with the driver's own HTTP time"))
}
