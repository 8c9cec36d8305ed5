//! Hours of steady work: is memory flat, is latency flat, do tables stay as small as they must?
//!
//! `GRIDFLOW_SOAK` is how many minutes it takes, 60 unless said otherwise. First the throughput of this machine is
//! measured, then runs are asked for at 80 % of it.

mod sample;
mod verdict;

use std::{
    env,
    io::Write,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use gridflow_testkit::postgres::{Durability, Settings};
use gridflow_tests::{Cluster, Program, Session, wait_for};

use crate::{
    sample::{Sample, sample},
    verdict::verdict,
};

const MINUTES_DEFAULT: f64 = 60.0;
const LOAD: f64 = 0.8;
const INTERVALS: u32 = 20;
const TASKS: usize = 4;
const PATIENCE: Duration = Duration::from_secs(120);
/// How long the throughput is measured, after as long without looking.
const MEASURED: Duration = Duration::from_secs(20);
/// Runs that are unfinished while it is measured: enough that the next one never has to be asked for.
const BACKLOG: usize = 60;
/// Runs are asked for that often, some at a time.
const TICK: Duration = Duration::from_millis(200);

/// A process that fails at first now and then, two without, one that leaves an output: what a DAG is made of.
const DAG: &str = "
dag: steady
max_active_runs: 64
defaults: {retries: 1, retry_delay: 100ms}
tasks:
  a: {bash: 'test $((RANDOM % 50)) != 0 -o $GRIDFLOW_TRY_NUMBER -gt 1'}
  b: {needs: a, empty: {}}
  c: {needs: a, bash: 'echo 1 > $GRIDFLOW_OUTPUT'}
  d: {needs: [b, c], exec: ['true']}
";

fn main() -> ExitCode {
    let minutes = env::var("GRIDFLOW_SOAK").ok().and_then(|text| text.parse().ok()).unwrap_or(MINUTES_DEFAULT);
    match soak(Duration::from_secs_f64(60.0 * minutes)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn soak(duration: Duration) -> Result<bool> {
    let cluster = Cluster::on_own_server(Settings::new(Durability::Full), &[("steady.yaml", DAG)])?;
    let scheduler = cluster.scheduler("only")?;
    cluster.until("SELECT count(*) FROM dag", "1").with_context(|| scheduler.log())?;
    let throughput = throughput(&cluster)?;
    let rate = LOAD * throughput;
    println!("{:.1} runs/s of {TASKS} tasks at most; {rate:.1} runs/s from here on", throughput);
    let samples = steady(&cluster, &scheduler, rate, duration)?;
    drop(scheduler);
    Ok(verdict(&samples, rate * TASKS as f64))
}

/// Runs per second when there is always another one.
fn throughput(cluster: &Cluster) -> Result<f64> {
    let ended = || -> Result<usize> {
        Ok(cluster.sql("SELECT count(*) FROM dag_run WHERE state IN ('success', 'failed')")?.parse()?)
    };
    let (mut asked, begin) = (0, Instant::now());
    let mut since = None;
    while begin.elapsed() < 2 * MEASURED {
        let done = ended()?;
        if BACKLOG > asked - done {
            cluster.queue_runs("steady", &format!("warm-{asked}"), BACKLOG)?;
            cluster.sql("NOTIFY gridflow_inbox")?;
            asked += BACKLOG;
        }
        if since.is_none() && MEASURED < begin.elapsed() {
            since = Some((Instant::now(), done));
        }
        thread::sleep(Duration::from_millis(50));
    }
    let (at, before) = since.context("a moment to measure from")?;
    let throughput = (ended()? - before) as f64 / at.elapsed().as_secs_f64();
    wait_for("the end of what was measured", PATIENCE, || Ok((ended()? == asked).then_some(())))?;
    Ok(throughput)
}

/// Asks for runs at that rate and looks at everything once an interval.
fn steady(cluster: &Cluster, scheduler: &Program, rate: f64, duration: Duration) -> Result<Vec<Sample>> {
    let mut asking = cluster.session()?;
    let begin = Instant::now();
    let (mut asked, mut samples) = (0_usize, Vec::new());
    println!("{}", Sample::HEAD);
    for no in 1..=INTERVALS {
        let (from, until) = (begin.elapsed(), duration * no / INTERVALS);
        while begin.elapsed() < until {
            let due = (begin.elapsed().as_secs_f64() * rate) as usize;
            if asked < due {
                ask(&mut asking, asked, due - asked)?;
                asked = due;
            }
            thread::sleep(TICK);
        }
        let sample = sample(cluster, scheduler, begin.elapsed(), begin.elapsed() - from)?;
        println!("{sample}");
        std::io::stdout().flush()?;
        samples.push(sample);
    }
    wait_for("the end of all runs", PATIENCE, || {
        let open = "SELECT count(*) FROM dag_run WHERE state IN ('queued', 'running')";
        Ok((cluster.sql(open)? == "0").then_some(()))
    })?;
    Ok(samples)
}

fn ask(session: &mut Session, from: usize, count: usize) -> Result<()> {
    let statement = gridflow_tests::queue_statement("steady", &format!("'run-' || ({from} + no)"), count);
    session.send(&format!("{statement}; NOTIFY gridflow_inbox;"))
}
