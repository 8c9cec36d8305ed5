//! W5: a year of daily runs, made up for.

use std::{
    thread,
    time::{Duration, SystemTime},
};

use anyhow::{Result, ensure};
use chrono::{Days, Utc};

use crate::{
    bare,
    bench::Bench,
    dag,
    line::{Line, Target},
};

const RUNS: i64 = 365;
const TASKS: usize = 3;
const ACTIVE: usize = 16;
const WITHIN: Duration = Duration::from_secs(120);
/// For the last look at the clock after the last run: runs that are due in the meantime would be too many.
const LOOK_EVERY: Duration = Duration::from_millis(20);

pub fn measure(bench: &mut Bench) -> Result<Vec<Line>> {
    let first = Utc::now().date_naive() - Days::new(RUNS.unsigned_abs() - 1);
    let head =
        format!("schedule: '@daily'\nstart_date: {first}\ncatchup: true\nmax_active_runs: {ACTIVE}\npaused: true");
    let site = bench.site()?;
    site.add_dag("w5", &dag::chain(&head, TASKS, "exec: ['true']"))?;
    let (mut api, mut db) = (site.api()?, site.db()?);
    bench.progress(&format!("catchup of {RUNS} daily runs × {TASKS} processes"));
    let bare_rate = bare::spawn_rate(&["true"], RUNS as usize * TASKS, ACTIVE)?;
    let began = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_micros() as i64;
    api.set_paused("w5", false)?;
    db.wait_for_runs("w5", RUNS, WITHIN)?;
    thread::sleep(LOOK_EVERY);
    let ended = db.successes("w5")?;
    ensure!(ended == RUNS * TASKS as i64, "{ended} tasks ended well, of {RUNS} runs × {TASKS}");
    let seconds = (db.runs_span("w5", "")?.ended - began) as f64 / 1e6;
    let line =
        Line::lower("W5", format!("catchup of {RUNS} daily runs × {TASKS} processes, {ACTIVE} active"), seconds, "s")
            .limit("as many bare processes", RUNS as f64 * TASKS as f64 / bare_rate)
            .target(Target::Absolute(2.0))
            .note("from the request that unpauses the DAG to the last end");
    Ok(vec![line])
}
