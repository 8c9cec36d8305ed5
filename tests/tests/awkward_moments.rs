//! Sessions that hold the leader up, commands that cross, events of DAGs that are not there.

use std::{fs, time::Duration};

use anyhow::{Context, Result};
use gridflow_failpoint::Point;
use gridflow_tests::{Cluster, Failpoints, Program, history, queue_statement, wait_for};

const PATIENCE: Duration = Duration::from_secs(60);

const QUICK: &str = "dag: quick\nmax_active_runs: 16\ntasks:\n  a: {bash: 'true'}\n";

/// Leadership's advisory lock, as the migrations' readers know it.
const LOCK: &str = "1196575044, 1";

fn state(run_id: &str) -> String {
    format!("SELECT state FROM dag_run WHERE run_id = '{run_id}'")
}

fn lead(cluster: &Cluster, name: &str) -> Result<Program> {
    let scheduler = cluster.scheduler(name)?;
    cluster.until("SELECT count(*) FROM dag", "1").with_context(|| scheduler.log())?;
    Ok(scheduler)
}

fn all_is_well(cluster: &Cluster, runs: usize) -> Result<()> {
    history::check_all_ended(cluster.server, &cluster.database, "success", runs)?;
    history::check_log_replays(cluster.server, &cluster.database)
}

#[test]
fn a_letter_whose_lower_number_is_committed_later_is_read() -> Result<()> {
    let cluster = Cluster::new(&[("quick.yaml", QUICK)])?;
    let scheduler = lead(&cluster, "leader")?;
    let mut slow = cluster.session()?;
    slow.send("BEGIN;")?;
    slow.send(&format!("{};", queue_statement("quick", "'first'", 1)))?;
    let holds = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction' AND query LIKE '%''first''%'
        AND datname = current_database()";
    cluster.until(holds, "1")?;
    cluster.queue_run("quick", "second")?;
    cluster.until(&state("second"), "success").with_context(|| scheduler.log())?;
    slow.send("COMMIT;")?;
    cluster.until(&state("first"), "success").with_context(|| scheduler.log())?;
    assert_eq!(cluster.sql("SELECT count(*) FROM inbox")?, "0");
    all_is_well(&cluster, 2)
}

#[test]
fn a_leader_that_waits_for_a_lock_is_not_deposed() -> Result<()> {
    let cluster = Cluster::new(&[("quick.yaml", QUICK)])?;
    let leader = lead(&cluster, "leader")?;
    let standby = cluster.scheduler("standby")?;
    wait_for("the standby", PATIENCE, || Ok(standby.log().contains("standing by").then_some(())))?;
    let epoch = cluster.sql("SELECT epoch FROM leader")?;
    let mut slow = cluster.session()?;
    slow.send("BEGIN; LOCK TABLE attempt IN ACCESS EXCLUSIVE MODE;")?;
    cluster.until("SELECT count(*) FROM pg_locks WHERE relation = 'attempt'::regclass AND granted", "1")?;
    cluster.queue_run("quick", "r")?;
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'gridflow leader'
        AND datname = current_database() AND state = 'active' AND wait_event_type = 'Lock'
        AND query_start < clock_timestamp() - interval '5 s'";
    cluster.until(waits, "1").with_context(|| leader.log())?;
    assert_eq!(cluster.sql("SELECT epoch FROM leader")?, epoch);
    slow.send("ROLLBACK;")?;
    cluster.until(&state("r"), "success").with_context(|| leader.log())?;
    assert_eq!(cluster.sql("SELECT epoch FROM leader")?, epoch);
    all_is_well(&cluster, 1)
}

#[test]
fn a_leader_that_is_idle_in_a_transaction_is_deposed_and_one_that_is_active_is_not() -> Result<()> {
    let cluster = Cluster::new(&[("quick.yaml", QUICK)])?;
    // The schema first.
    lead(&cluster, "first")?.kill()?;
    let mut stuck = cluster.session()?;
    stuck.send("BEGIN;")?;
    stuck.send(&format!("SELECT pg_advisory_lock({LOCK});"))?;
    let holds = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND objid = 1
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    cluster.until(holds, "1")?;
    stuck.send("SELECT pg_sleep(8);")?;
    let epoch = cluster.sql("SELECT epoch FROM leader")?;
    let scheduler = cluster.scheduler("second")?;
    let sleeps = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(8)%' AND state = 'active'
        AND datname = current_database() AND pid <> pg_backend_pid()";
    cluster.until(&format!("{sleeps} AND query_start < clock_timestamp() - interval '5 s'"), "1")?;
    assert_eq!(cluster.sql("SELECT epoch FROM leader")?, epoch, "a slow database is nobody's death");
    cluster.until(&format!("SELECT epoch > {epoch} FROM leader"), "t").with_context(|| scheduler.log())?;
    assert!(scheduler.log().contains("was silent for 3s"), "{}", scheduler.log());
    cluster.queue_run("quick", "r")?;
    cluster.until(&state("r"), "success").with_context(|| scheduler.log())?;
    all_is_well(&cluster, 1)
}

#[test]
fn a_run_that_two_people_cancel_is_canceled_once() -> Result<()> {
    let cluster = Cluster::new(&[("quick.yaml", &QUICK.replace("'true'", "'sleep 60'"))])?;
    let scheduler = lead(&cluster, "leader")?;
    cluster.queue_run("quick", "r")?;
    cluster.until("SELECT state FROM task_instance", "running").with_context(|| scheduler.log())?;
    let run = cluster.sql("SELECT id FROM dag_run")?;
    // Both in one transaction, so that one turn takes both.
    cluster.sql(&format!(
        "WITH new AS (
           INSERT INTO command (id, actor, idempotency_key, kind, payload, created_at, expires_at)
           SELECT gen_random_uuid(), 'test', n::text, 'cancel_run', '{{\"run\": \"{run}\"}}', now(), now() + interval '1 day'
           FROM generate_series(1, 2) AS n RETURNING id)
         INSERT INTO inbox (kind, subject, created_at) SELECT 'command', id, now() FROM new"
    ))?;
    cluster.until("SELECT count(*) FROM command WHERE outcome IS NULL", "0").with_context(|| scheduler.log())?;
    let outcomes = cluster.sql("SELECT outcome, error FROM command ORDER BY outcome")?;
    assert_eq!(outcomes, "done|\nrefused|the run is already failed");
    cluster.until("SELECT count(*) FROM attempt WHERE state <> 'closed'", "0").with_context(|| scheduler.log())?;
    assert_eq!(cluster.sql("SELECT outcome FROM attempt")?, "canceled");
    history::check_log_replays(cluster.server, &cluster.database)
}

#[test]
fn a_cancel_that_crosses_the_end_is_done_or_refused_and_never_both() -> Result<()> {
    let cluster = Cluster::new(&[("quick.yaml", QUICK)])?;
    let points = Failpoints::new(cluster.path("points"))?;
    let scheduler = cluster.scheduler_with("leader", &[points.env()])?;
    cluster.until("SELECT count(*) FROM dag", "1").with_context(|| scheduler.log())?;
    // In the one the leader has the end in its hands when the cancel comes, in the other it has decided and not
    // committed it.
    for (point, order) in [(Point::Reported, "pause for Finished"), (Point::TurnDecided, "pause")] {
        let run = format!("at-{}", point.name());
        if point == Point::TurnDecided {
            points.arm(Point::Reported, "pause for Finished")?;
            cluster.queue_run("quick", &run)?;
            let reported = points.taken(Point::Reported).with_context(|| scheduler.log())?;
            points.arm(point, order)?;
            reported.release();
        } else {
            points.arm(point, order)?;
            cluster.queue_run("quick", &run)?;
        }
        let paused = points.taken(point).with_context(|| scheduler.log())?;
        cluster.cancel(&run, &run)?;
        paused.release();
        let command = format!("SELECT outcome FROM command WHERE idempotency_key = '{run}'");
        wait_for("the answer", PATIENCE, || Ok((!cluster.sql(&command)?.is_empty()).then_some(())))
            .with_context(|| scheduler.log())?;
        let expected = if cluster.sql(&state(&run))? == "success" { "refused" } else { "done" };
        assert_eq!(cluster.sql(&command)?, expected);
        cluster.until("SELECT count(*) FROM attempt WHERE state <> 'closed'", "0").with_context(|| scheduler.log())?;
    }
    history::check_log_replays(cluster.server, &cluster.database)
}

fn ingest(cluster: &Cluster, id: &str) -> String {
    format!(
        "dag: {id}\ntrigger: {{file: {{path: '{}', suffix: .csv, ripen: {{stable_for: 50ms}}}}}}\ntasks:\n  a: {{bash: 'true'}}\n",
        cluster.path("in").display()
    )
}

fn land(cluster: &Cluster, name: &str) -> Result<()> {
    fs::write(cluster.path("in/.new"), name)?;
    fs::rename(cluster.path("in/.new"), cluster.path("in").join(name)).context("landing a file")
}

/// A cluster whose leader was killed when it had committed an event (T1) and decided nothing (T2).
fn with_an_undecided_event() -> Result<Cluster> {
    let cluster = Cluster::new(&[])?;
    fs::create_dir(cluster.path("in"))?;
    cluster.save_dag("ingest.yaml", &ingest(&cluster, "ingest"))?;
    let points = Failpoints::new(cluster.path("points"))?;
    let scheduler = cluster.scheduler_with("first", &[points.env()])?;
    cluster.until("SELECT count(*) FROM trigger_cursor", "1").with_context(|| scheduler.log())?;
    // Nobody is woken, and the leader, which looks once a second, is stopped before it decides.
    points.arm(Point::TurnDecided, "pause")?;
    land(&cluster, "a.csv")?;
    let paused = points.taken(Point::TurnDecided).with_context(|| scheduler.log())?;
    assert_eq!(cluster.sql("SELECT count(*) FROM event WHERE outcome IS NULL")?, "1");
    scheduler.kill()?;
    paused.release();
    Ok(cluster)
}

/// One event, one run, which is the event's.
fn is_one_run(cluster: &Cluster, log: impl Fn() -> String) -> Result<()> {
    cluster.until("SELECT count(*) FROM dag_run WHERE state = 'success'", "1").with_context(log)?;
    assert_eq!(cluster.sql("SELECT count(*), count(dag_run_id) FROM event")?, "1|1");
    assert_eq!(cluster.sql("SELECT count(*) FROM dag_run")?, "1");
    Ok(())
}

#[test]
fn an_event_of_a_dag_that_left_meanwhile_waits_until_it_is_back() -> Result<()> {
    let cluster = with_an_undecided_event()?;
    fs::remove_file(cluster.path("dags/ingest.yaml"))?;
    let scheduler = cluster.scheduler("second")?;
    // The event may be decided before the folder is read: its DAG is still published then.
    cluster.until("SELECT count(*) FROM dag WHERE removed_at IS NOT NULL", "1").with_context(|| scheduler.log())?;
    scheduler.kill()?;
    let scheduler = cluster.scheduler("third")?;
    cluster.save_dag("ingest.yaml", &ingest(&cluster, "ingest"))?;
    is_one_run(&cluster, || scheduler.log())
}

#[test]
fn an_event_of_a_dag_that_is_broken_when_the_leader_starts_is_decided_by_its_last_good_version() -> Result<()> {
    let cluster = with_an_undecided_event()?;
    cluster.save_dag("ingest.yaml", "dag: ingest\ntasks: [")?;
    let scheduler = cluster.scheduler("second")?;
    is_one_run(&cluster, || scheduler.log())
}

#[test]
fn a_renamed_dag_is_another_one_and_takes_no_event_of_the_old_one() -> Result<()> {
    let cluster = with_an_undecided_event()?;
    fs::remove_file(cluster.path("dags/ingest.yaml"))?;
    cluster.save_dag("renamed.yaml", &ingest(&cluster, "renamed"))?;
    let scheduler = cluster.scheduler("second")?;
    cluster.until("SELECT count(*) FROM trigger_cursor", "2").with_context(|| scheduler.log())?;
    land(&cluster, "b.csv")?;
    let runs = "SELECT string_agg(state, ',') FROM dag_run WHERE dag_id = 'renamed'";
    cluster.until(runs, "success").with_context(|| scheduler.log())?;
    // Back under the old name: its event is there yet, or was decided before the folder was read; once in any case.
    cluster.save_dag("ingest.yaml", &ingest(&cluster, "ingest"))?;
    let old =
        "SELECT count(*) FROM event WHERE dag_id = 'ingest' AND payload->>'name' = 'a.csv' AND dag_run_id IS NOT NULL";
    cluster.until(old, "1").with_context(|| scheduler.log())?;
    assert_eq!(cluster.sql("SELECT count(*) FROM dag_run WHERE dag_id = 'renamed'")?, "1");
    let events = "SELECT count(*) = count(DISTINCT (dag_id, dedup_key)) FROM event";
    assert_eq!(cluster.sql(events)?, "t");
    Ok(())
}
