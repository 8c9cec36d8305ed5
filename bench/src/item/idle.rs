//! W6: what Gridflow uses when there is nothing to do, and how soon it answers after its start.

use std::{fs, path::Path, thread, time::Duration};

use anyhow::{Context, Result, ensure};

use crate::{
    bench::Bench,
    dag,
    line::{Line, Target},
    process, stats,
};

const DAGS: usize = 100;
const TASKS: usize = 10;
const STARTS: usize = 5;
/// For what a start leaves to be done.
const REST: Duration = Duration::from_secs(5);
const PERIOD: Duration = Duration::from_secs(20);

pub fn measure(bench: &mut Bench) -> Result<Vec<Line>> {
    // Scheduled like real ones; the first run is due long after the measurement.
    let text = dag::chain("schedule: '@daily'\nstart_date: 2100-01-01", TASKS, "exec: ['true']");
    let dags: Vec<_> = (0..DAGS).map(|no| (format!("dag_{no:03}.yaml"), text.clone())).collect();
    bench.progress(&format!("starting with {DAGS} DAGs"));
    let mut site = bench.new_site(&dags, &[])?;
    let (mut all, mut warm, mut database) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..bench.few(STARTS) {
        bench.progress("starts on the existing database");
        // The database survives a kill, so this start is Gridflow's alone.
        site.kill()?;
        warm.push(site.start_again()?.as_secs_f64());
        // And this one is of everything.
        site.stop()?;
        all.push(site.start_again()?.as_secs_f64());
        database.push(postgresql_start(&site.state_dir())?);
    }
    site.wait_until_listed(DAGS)?;
    bench.progress("doing nothing");
    thread::sleep(if bench.is_quick() { REST / 5 } else { REST });
    let processes = site.processes();
    let cpu = process::cpu_percent(&processes, if bench.is_quick() { PERIOD / 5 } else { PERIOD })?;
    let memory = process::memory_mb(&processes)?;
    let each: Vec<String> = processes
        .iter()
        .map(|pid| {
            let name = if process::is_host(*pid) { "host" } else { "standalone" };
            Ok(format!("{name} {:.1} MB", process::memory_mb(&[*pid])?))
        })
        .collect::<Result<_>>()?;
    let median = |values: &[f64]| stats::median(values).context("nothing measured");
    Ok(vec![
        Line::lower("W6", format!("idle with {DAGS} DAGs: memory"), memory, "MB")
            .target(Target::Absolute(60.0))
            .note(format!("proportional set size: {}", each.join(", "))),
        Line::lower("W6", format!("idle with {DAGS} DAGs: CPU"), cpu, "% of a core").target(Target::Absolute(0.5)),
        Line::lower("W6", "start to the first answer of the API", median(&warm)?, "s")
            .limit("PostgreSQL's own start", median(&database)?)
            .target(Target::Absolute(1.0))
            .note(format!("on a database that runs; together with PostgreSQL's start {:.2} s", median(&all)?)),
    ])
}

/// From the making of its pid file, the first thing that it does, until it says in it that it is ready.
fn postgresql_start(state_dir: &Path) -> Result<f64> {
    let file = state_dir.join("postgresql/data/postmaster.pid");
    let text = fs::read_to_string(&file).context("PostgreSQL's pid file")?;
    let is_ready = text.lines().nth(7).is_some_and(|status| status.trim() == "ready");
    ensure!(is_ready, "PostgreSQL's pid file does not say `ready`");
    let metadata = fs::metadata(&file)?;
    Ok(metadata.modified()?.duration_since(metadata.created()?)?.as_secs_f64())
}
