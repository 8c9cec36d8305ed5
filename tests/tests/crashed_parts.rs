//! A part of the program that crashes is missed: it begins anew, or takes its term or the program with it. Nothing
//! ends in silence.

use std::{fs, time::Duration};

use anyhow::{Context, Result};
use gridflow_failpoint::Point;
use gridflow_tests::{Cluster, Failpoints, Program, history, wait_for};

const PATIENCE: Duration = Duration::from_secs(60);

fn dag(cluster: &Cluster) -> String {
    let (folder, starts) = (cluster.path("in"), cluster.path("starts"));
    format!(
        "dag: one
env: {{STARTS_FILE: '{}'}}
trigger: {{file: {{path: '{}', suffix: .csv, ripen: {{stable_for: 50ms}}}}}}
tasks:
  a: {{bash: 'echo \"$GRIDFLOW_ATTEMPT_ID\" >> \"$STARTS_FILE\"'}}
",
        starts.display(),
        folder.display()
    )
}

fn cluster() -> Result<(Cluster, Failpoints, Program)> {
    let cluster = Cluster::new(&[])?;
    fs::create_dir(cluster.path("in"))?;
    cluster.save_dag("one.yaml", &dag(&cluster))?;
    let points = Failpoints::new(cluster.path("points"))?;
    let scheduler = cluster.scheduler_with("one", &[points.env()])?;
    cluster.until("SELECT count(*) FROM trigger_cursor", "1").with_context(|| scheduler.log())?;
    Ok((cluster, points, scheduler))
}

fn all_is_well(cluster: &Cluster, runs: usize) -> Result<()> {
    let starts = history::starts(&cluster.path("starts"))?;
    history::check_one_launch(&starts)?;
    assert_eq!(starts.len(), runs);
    history::check_all_ended(cluster.server, &cluster.database, "success", runs)?;
    history::check_log_replays(cluster.server, &cluster.database)
}

#[test]
fn a_file_trigger_that_crashes_begins_anew_and_loses_and_doubles_no_file() -> Result<()> {
    for point in [Point::EventsRipe, Point::EventsCommitted] {
        let (cluster, points, scheduler) = cluster()?;
        points.arm(point, "panic")?;
        fs::write(cluster.path("in/a.csv"), "a")?;
        cluster.until("SELECT count(*) FROM dag_run WHERE state = 'success'", "1").with_context(|| scheduler.log())?;
        fs::write(cluster.path("in/b.csv"), "b")?;
        cluster.until("SELECT count(*) FROM dag_run WHERE state = 'success'", "2").with_context(|| scheduler.log())?;
        assert!(points.look(point).is_some(), "it crashed");
        assert!(scheduler.log().contains("a file trigger crashed and begins anew"), "{}", scheduler.log());
        assert_eq!(cluster.sql("SELECT count(*), count(DISTINCT dag_run_id) FROM event")?, "2|2");
        all_is_well(&cluster, 2)?;
    }
    Ok(())
}

#[test]
fn an_executor_that_crashes_takes_the_term_with_it_and_the_next_one_knows_everything() -> Result<()> {
    let (cluster, points, scheduler) = cluster()?;
    points.arm(Point::Staged, "panic")?;
    cluster.queue_run("one", "r")?;
    cluster.until("SELECT state FROM dag_run", "success").with_context(|| scheduler.log())?;
    assert!(points.look(Point::Staged).is_some(), "it crashed");
    assert!(scheduler.log().contains("the local executor has stopped"), "{}", scheduler.log());
    all_is_well(&cluster, 1)
}

#[test]
fn a_program_whose_watch_over_dags_crashes_ends_and_says_so() -> Result<()> {
    let (cluster, points, mut scheduler) = cluster()?;
    points.arm(Point::FolderRead, "panic")?;
    cluster.save_dag("more.yaml", "tasks:\n  a: {empty: {}}\n")?;
    wait_for("its end", PATIENCE, || Ok((!scheduler.is_running()?).then_some(()))).with_context(|| scheduler.log())?;
    let log = scheduler.log();
    assert!(log.contains("the watch over the folder of DAGs ended unexpectedly: it panicked"), "{log}");

    // Whoever starts it again finds everything.
    let scheduler = cluster.scheduler("two")?;
    cluster.until("SELECT count(*) FROM dag", "2").with_context(|| scheduler.log())?;
    cluster.queue_run("one", "r")?;
    cluster.until("SELECT state FROM dag_run", "success").with_context(|| scheduler.log())?;
    all_is_well(&cluster, 1)
}
