//! W4: a large folder of DAGs, read for the first time, and then left alone.

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;

use crate::{
    bare,
    bench::Bench,
    dag,
    line::{Line, Target},
    process,
};

const DAGS: usize = 1_000;
const TASKS: usize = 10;
/// What Gridflow writes of a DAG, about: a row for each task, and a few for the DAG, its version and its files.
const ROWS_OF_DAG: usize = TASKS + 4;
/// For what the first look leaves to be done.
const REST: Duration = Duration::from_secs(2);
/// Longer than it takes until a folder is looked at again although nothing was reported.
const PERIOD: Duration = Duration::from_secs(35);

pub fn measure(bench: &mut Bench) -> Result<Vec<Line>> {
    bench.progress(&format!("{DAGS} DAG files of {TASKS} tasks, on an empty database"));
    let mut site = bench.new_site(&[], &[])?;
    let mut own = bare::database(&site.state_dir())?;
    // The database goes on, so that the next start is Gridflow's alone.
    site.kill()?;
    let dags = site.folder().join("dags");
    for no in 0..DAGS {
        let text = dag::chain("schedule: '@daily'\nstart_date: 2100-01-01", TASKS, "bash: 'echo {{ ds }}'");
        fs::write(dags.join(format!("dag_{no:04}.yaml")), text)?;
    }
    let limit = reading(&dags)? + bare::insert_seconds(&mut own, DAGS * ROWS_OF_DAG)?;
    let began = Instant::now();
    site.start_again()?;
    site.wait_until_listed(DAGS)?;
    let listed = began.elapsed();
    thread::sleep(REST);
    bench.progress("nothing changes");
    let cpu = process::cpu_percent(&site.processes(), if bench.is_quick() { PERIOD / 5 } else { PERIOD })?;
    let listed =
        Line::lower("W4", format!("{DAGS} DAG files of {TASKS} tasks, start to all listed"), listed.as_secs_f64(), "s")
            .limit("reading the files and inserting as many rows", limit)
            .target(Target::Absolute(1.0))
            .note("from the program's execution, on a database that runs and is empty");
    // What a clock of 10 ms can tell from nothing.
    let idle = Line::lower("W4", "then, while nothing changes: CPU", cpu, "% of a core").target(Target::Absolute(0.1));
    Ok(vec![listed, idle])
}

fn reading(folder: &Path) -> Result<f64> {
    let began = Instant::now();
    for entry in fs::read_dir(folder)? {
        fs::read(entry?.path())?;
    }
    Ok(began.elapsed().as_secs_f64())
}
