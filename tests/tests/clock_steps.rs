//! Somebody sets the clock of the machine that a scheduler runs on, forth and back, while it works.

use std::{fs, time::Duration};

use anyhow::{Context, Result};
use gridflow_tests::{Clock, Cluster, Program, history, wait_for};

const HOUR_S: i64 = 3600;
const PATIENCE: Duration = Duration::from_secs(60);

/// A cluster with one DAG, `d`, in which `@go` stands for a file, and a leader whose clock is ours.
fn begin(text: &str) -> Result<(Cluster, Clock, Program)> {
    let cluster = Cluster::new(&[])?;
    cluster.save_dag("d.yaml", &text.replace("@go", &cluster.path("go").display().to_string()))?;
    let clock = Clock::new(&cluster.path(""), "leader")?;
    let scheduler = cluster.scheduler_with("leader", &clock.environment())?;
    cluster.until("SELECT count(*) FROM dag", "1").with_context(|| scheduler.log())?;
    Ok((cluster, clock, scheduler))
}

/// How many runs the clock has made, once all of them are over.
fn scheduled(cluster: &Cluster) -> Result<usize> {
    const OPEN: &str = "SELECT count(*) FROM dag_run WHERE state NOT IN ('success', 'failed')";
    cluster.until(OPEN, "0")?;
    Ok(cluster.sql("SELECT count(*) FROM dag_run WHERE run_type = 'scheduled'")?.parse()?)
}

#[test]
fn each_minute_has_one_run_however_the_clock_is_set() -> Result<()> {
    const TEXT: &str = "dag: d\nschedule: '* * * * *'\nstart_date: @\ncatchup: true\ntasks: {a: {empty: {}}}\n";
    let scratch = Cluster::new(&[])?;
    let ago = "to_char(now() AT TIME ZONE 'UTC' - interval '2 minutes', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')";
    let (cluster, clock, scheduler) = begin(&TEXT.replace('@', &scratch.sql(&format!("SELECT {ago}"))?))?;
    let at_least = |runs: usize| {
        wait_for("runs", PATIENCE, || Ok((runs <= scheduled(&cluster)?).then_some(()))).with_context(|| scheduler.log())
    };
    at_least(1)?;
    clock.set(HOUR_S)?;
    at_least(60)?;
    let ahead = scheduled(&cluster)?;
    clock.set(0)?;
    // It goes on, and makes nothing again.
    for no in 0..3 {
        let run_id = format!("between-{no}");
        cluster.queue_run("d", &run_id)?;
        let ended = format!("SELECT state FROM dag_run WHERE run_id = '{run_id}'");
        cluster.until(&ended, "success").with_context(|| scheduler.log())?;
    }
    assert_eq!(scheduled(&cluster)?, ahead);
    clock.set(HOUR_S + HOUR_S / 2)?;
    at_least(ahead + 29)?;
    let minutes = "SELECT count(*) = count(DISTINCT logical_date)
             AND count(*) = 1 + extract(epoch FROM max(logical_date) - min(logical_date))::bigint / 60
        FROM dag_run WHERE run_type = 'scheduled'";
    assert_eq!(cluster.sql(minutes)?, "t", "none twice, none left out");
    history::check_log_replays(cluster.server, &cluster.database)
}

#[test]
fn a_retry_is_due_when_the_clock_says_so_and_an_execution_takes_as_long_as_it_takes() -> Result<()> {
    let (cluster, clock, scheduler) = begin(
        "dag: d
tasks:
  again: {retries: 1, retry_delay: 1h, bash: 'test $GRIDFLOW_TRY_NUMBER = 2'}
  long: {execution_timeout: 10m, bash: 'until test -e @go; do sleep 0.1; done'}
",
    )?;
    cluster.queue_run("d", "r")?;
    let count = |state: &str| format!("SELECT count(*) FROM task_instance WHERE state = '{state}'");
    cluster.until(&count("up_for_retry"), "1").with_context(|| scheduler.log())?;
    cluster.until(&count("running"), "1").with_context(|| scheduler.log())?;
    clock.set(2 * HOUR_S)?;
    cluster.until(&count("success"), "1").with_context(|| scheduler.log())?;
    assert_eq!(cluster.sql(&count("running"))?, "1", "{}", scheduler.log());
    clock.set(-HOUR_S)?;
    fs::write(cluster.path("go"), "")?;
    cluster.until("SELECT state FROM dag_run", "success").with_context(|| scheduler.log())?;
    history::check_all_ended(cluster.server, &cluster.database, "success", 1)?;
    history::check_log_replays(cluster.server, &cluster.database)
}
