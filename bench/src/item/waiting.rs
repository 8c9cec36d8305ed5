//! W9: thousands of timers and files that are waited for.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use crate::{
    bench::{Bench, PARALLELISM},
    dag,
    db::Db,
    line::{Line, Target},
    process,
};

const TIMERS: usize = 5_000;
const FILES: usize = 5_000;
const RUNS: usize = 5;
const WITHIN: Duration = Duration::from_secs(180);
/// Until the folder of files has been seen, and what that left behind is done.
const REST: Duration = Duration::from_secs(5);
/// Longer than it takes until a folder is looked at again although nothing was reported.
const PERIOD: Duration = Duration::from_secs(35);

pub fn measure(bench: &mut Bench) -> Result<Vec<Line>> {
    let count = |all: usize| if bench.is_quick() { all / 10 } else { all };
    let (timers, files) = (count(TIMERS), count(FILES));
    bench.progress(&format!("{timers} tasks that wait for their retry, {files} files that ripen"));
    let inbox = bench.root.join("inbox");
    fs::create_dir_all(&inbox)?;
    for no in 0..files {
        fs::write(inbox.join(format!("file_{no:05}.csv")), "a,b\n1,2\n")?;
    }
    let head = format!("max_active_tasks: {PARALLELISM}\ndefaults: {{retries: 1, retry_delay: 1d}}");
    let waits_for_files = format!(
        "trigger: {{file: {{path: {}, suffix: .csv, existing: fire, ripen: {{stable_for: 12h}}}}}}\ntasks:\n  take: {{empty: {{}}}}\n",
        inbox.display()
    );
    let settings = [("GRIDFLOW__SCHEDULER__PARALLELISM", PARALLELISM.to_string())];
    let site = bench.new_site(&[], &settings)?;
    site.add_dag("files", &waits_for_files)?;
    site.add_dag("timers", &dag::wide(&head, timers / RUNS, "exec: ['false']"))?;
    let (mut api, mut db) = (site.api()?, site.db()?);
    for no in 0..RUNS {
        api.trigger("timers", &format!("run_{no}"))?;
    }
    wait_for_timers(&mut db, timers)?;
    thread::sleep(REST);
    bench.progress("everything waits");
    let processes = site.processes();
    let cpu = process::cpu_percent(&processes, if bench.is_quick() { PERIOD / 5 } else { PERIOD })?;
    let memory = process::memory_mb(&processes)?;
    let fired = db.count("SELECT count(*) FROM dag_run WHERE dag_id = $1", "files")?;
    ensure!(fired == 0, "{fired} files did not wait");
    let what = format!("{timers} timers and {files} files pending");
    Ok(vec![
        Line::lower("W9", format!("{what}: memory"), memory, "MB").target(Target::Absolute(100.0)),
        Line::lower("W9", format!("{what}: CPU"), cpu, "% of a core").target(Target::Absolute(1.0)),
    ])
}

fn wait_for_timers(db: &mut Db, timers: usize) -> Result<()> {
    let deadline = Instant::now() + WITHIN;
    loop {
        let waiting = db.count(
            "SELECT count(*) FROM dag_run r JOIN task_instance ti ON ti.dag_run_id = r.id \
             WHERE r.dag_id = $1 AND ti.state = 'up_for_retry'",
            "timers",
        )?;
        if waiting == timers as i64 {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{waiting} of {timers} tasks wait for their retry");
        thread::sleep(Duration::from_millis(200));
    }
}
