//! What can't be decided about is set aside with its reason, and everything else goes on; after a restart, too.

use anyhow::Result;
use gridflow_failpoint::Point;
use gridflow_tests::{Cluster, Failpoints, Program, history};

const DAG: &str = r#"
dag: work
max_active_runs: 16
env: {STARTS_FILE: "$starts"}
tasks:
  a: {bash: 'echo "$GRIDFLOW_ATTEMPT_ID" >> "$STARTS_FILE"'}
  b: {needs: a, bash: 'echo "$GRIDFLOW_ATTEMPT_ID" >> "$STARTS_FILE"'}
"#;

fn cluster() -> Result<(Cluster, Failpoints)> {
    let cluster = Cluster::new(&[])?;
    cluster.save_dag("work.yaml", &DAG.replace("$starts", &cluster.path("starts").display().to_string()))?;
    let points = Failpoints::new(cluster.path("points"))?;
    Ok((cluster, points))
}

fn lead(cluster: &Cluster, points: &Failpoints, name: &str) -> Result<Program> {
    let scheduler = cluster.scheduler_with(name, &[points.env()])?;
    cluster.until("SELECT count(*) FROM dag", "1").map_err(|error| error.context(scheduler.log()))?;
    Ok(scheduler)
}

fn state(run_id: &str) -> String {
    format!("SELECT state FROM dag_run WHERE run_id = '{run_id}'")
}

fn reason(cluster: &Cluster, run_id: &str) -> Result<String> {
    cluster.sql(&format!("SELECT reason FROM dag_run WHERE run_id = '{run_id}'"))
}

/// Its reason is there for people, and a later run of the same DAG succeeds.
fn others_go_on(cluster: &Cluster, scheduler: &Program, poisoned: &str, other: &str) -> Result<()> {
    let log = |error: anyhow::Error| error.context(scheduler.log());
    let is_aside = format!("SELECT reason LIKE '%panicked%' FROM dag_run WHERE run_id = '{poisoned}'");
    cluster.until(&is_aside, "t").map_err(log)?;
    cluster.queue_run("work", other)?;
    cluster.until(&state(other), "success").map_err(log)?;
    assert_ne!(cluster.sql(&state(poisoned))?, "success");
    Ok(())
}

fn all_is_well(cluster: &Cluster, runs: usize) -> Result<()> {
    let starts = history::starts(&cluster.path("starts"))?;
    history::check_one_launch(&starts)?;
    history::check_all_ended(cluster.server, &cluster.database, "success", runs)?;
    history::check_attempts_match(cluster.server, &cluster.database, &starts)?;
    history::check_log_replays(cluster.server, &cluster.database)
}

/// A run whose decisions panic, whatever the decision is; then the same in the next process; then all is well again.
#[test]
fn a_run_that_makes_decisions_panic_is_set_aside_across_takeovers() -> Result<()> {
    let (cluster, points) = cluster()?;
    lead(&cluster, &points, "publishes")?.kill()?;
    cluster.queue_run("work", "poisoned")?;
    let run = cluster.sql("SELECT id FROM dag_run")?;
    points.arm(Point::Decision, &format!("panic always for {run}"))?;
    let scheduler = cluster.scheduler_with("first", &[points.env()])?;
    others_go_on(&cluster, &scheduler, "poisoned", "other")?;
    cluster.cancel("c", "poisoned")?;
    let refused = "SELECT error LIKE '%panicked%' FROM command WHERE outcome = 'refused'";
    cluster.until(refused, "t").map_err(|error| error.context(scheduler.log()))?;

    scheduler.kill()?;
    let scheduler = cluster.scheduler_with("second", &[points.env()])?;
    others_go_on(&cluster, &scheduler, "poisoned", "another")?;

    // The next release can decide about it.
    scheduler.kill()?;
    points.disarm(Point::Decision);
    let scheduler = cluster.scheduler("third")?;
    cluster.until(&state("poisoned"), "success").map_err(|error| error.context(scheduler.log()))?;
    assert_eq!(reason(&cluster, "poisoned")?, "");
    all_is_well(&cluster, 3)
}

#[test]
fn a_command_that_makes_the_decision_panic_is_refused_and_says_why() -> Result<()> {
    let (cluster, points) = cluster()?;
    let scheduler = lead(&cluster, &points, "first")?;
    points.arm(Point::Decision, "panic always for DagPaused")?;
    cluster.command("c", "pause_dag", r#"{"dag": "work", "is_paused": true}"#)?;
    cluster.until("SELECT outcome FROM command", "refused").map_err(|error| error.context(scheduler.log()))?;
    let error = cluster.sql("SELECT error FROM command")?;
    assert!(error.contains("a decision about it panicked"), "{error}");
    cluster.queue_run("work", "other")?;
    cluster.until(&state("other"), "success").map_err(|error| error.context(scheduler.log()))?;
    all_is_well(&cluster, 1)
}

#[test]
fn a_dag_that_makes_the_decision_panic_leaves_the_others_alone() -> Result<()> {
    let (cluster, points) = cluster()?;
    let scheduler = lead(&cluster, &points, "first")?;
    points.arm(Point::Decision, "panic always for bad_one")?;
    cluster.save_dag("bad_one.yaml", "tasks:\n  a: {bash: 'true'}\n")?;
    cluster.until("SELECT count(*) FROM dag", "2").map_err(|error| error.context(scheduler.log()))?;
    cluster.queue_run("work", "other")?;
    cluster.until(&state("other"), "success").map_err(|error| error.context(scheduler.log()))?;
    assert!(scheduler.log().contains("the DAG `bad_one` is set aside"), "{}", scheduler.log());
    all_is_well(&cluster, 1)
}

#[test]
fn rows_that_no_program_can_read_are_shown_and_the_others_go_on() -> Result<()> {
    let (cluster, points) = cluster()?;
    let scheduler = lead(&cluster, &points, "first")?;
    scheduler.kill()?;

    // A run whose type is of another world, one whose DAG version can't be compiled, and an unknown kind of letter.
    cluster.sql("ALTER TABLE dag_run DROP CONSTRAINT IF EXISTS dag_run_type")?;
    cluster.queue_run("work", "strange")?;
    cluster.sql("UPDATE dag_run SET run_type = 'from_tomorrow' WHERE run_id = 'strange'")?;
    cluster.sql("INSERT INTO inbox (kind, created_at) VALUES ('from_tomorrow', now())")?;
    cluster.sql("INSERT INTO inbox (kind, payload, created_at) VALUES ('events_received', '{\"dag\": 7}', now())")?;
    cluster.queue_run("work", "good")?;

    for name in ["second", "third"] {
        let scheduler = cluster.scheduler(name)?;
        let log = |error: anyhow::Error| error.context(scheduler.log());
        cluster.until(&state("good"), "success").map_err(log)?;
        cluster.until("SELECT count(*) FROM inbox", "0").map_err(log)?;
        assert_eq!(cluster.sql(&state("strange"))?, "queued");
        let reason = reason(&cluster, "strange")?;
        assert!(reason.contains("a row of it can't be read") && reason.contains("run_type"), "{reason}");
        scheduler.kill()?;
    }
    Ok(())
}

#[test]
fn runs_of_a_version_that_can_not_be_compiled_say_so_and_the_others_go_on() -> Result<()> {
    let (cluster, points) = cluster()?;
    let scheduler = lead(&cluster, &points, "first")?;
    // It is running when the scheduler dies.
    points.arm(Point::Reported, "pause for Started")?;
    cluster.queue_run("work", "old")?;
    let paused = points.taken(Point::Reported).map_err(|error| error.context(scheduler.log()))?;
    scheduler.kill()?;
    paused.release();
    cluster.sql(
        "WITH bad AS (INSERT INTO blob (hash, content) VALUES (decode(repeat('ab', 32), 'hex'), 'tasks: [') RETURNING hash)
         UPDATE dag_version SET source_hash = bad.hash FROM bad",
    )?;
    std::fs::remove_file(cluster.path("dags/work.yaml"))?;
    cluster.save_dag("other.yaml", "tasks:\n  a: {bash: 'true'}\n")?;
    let scheduler = cluster.scheduler("second")?;
    let log = |error: anyhow::Error| error.context(scheduler.log());
    cluster.until("SELECT count(*) FROM dag WHERE removed_at IS NULL AND dag_id = 'other'", "1").map_err(log)?;
    cluster.queue_run("other", "new")?;
    cluster.until(&state("new"), "success").map_err(log)?;
    assert_eq!(cluster.sql(&state("old"))?, "running");
    let reason = reason(&cluster, "old")?;
    assert!(reason.contains("can't be compiled by this program"), "{reason}");
    Ok(())
}
