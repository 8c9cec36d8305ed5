//! The database goes back in time under running commands: nothing starts until a person has seen what is lost.

use std::{process::Command, thread, time::Duration};

use anyhow::{Context, Result};
use gridflow_testkit::postgres::{Durability, Settings};
use gridflow_tests::{Cluster, Node, Web, gridflow, history, wait_for};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);

/// Starts, and goes on until it is told to end, or is ended.
const TASK: &str = "  a: {bash: 'echo \"$GRIDFLOW_ATTEMPT_ID\" >> \"$STARTS\"; trap \"echo ended >> $STARTS.ended; exit 1\" TERM; while [ ! -e \"$STARTS.go\" ]; do sleep 0.1; done'}\n";

fn cluster() -> Result<Cluster> {
    let cluster = Cluster::on_own_server(Settings::new(Durability::Full), &[])?;
    let env = format!("env: {{STARTS: \"{}\"}}", cluster.path("starts").display());
    cluster.save_dag("d.yaml", &format!("dag: d\n{env}\ntasks:\n{TASK}"))?;
    Ok(cluster)
}

fn started(cluster: &Cluster, count: usize) -> Result<()> {
    wait_for("the commands", PATIENCE, || Ok((history::starts(&cluster.path("starts"))?.len() == count).then_some(())))
}

/// `gridflow recover`: its exit code and answer.
fn recover(cluster: &Cluster, more: &[&str]) -> Result<(i32, Value)> {
    let output = Command::new(gridflow()?)
        .args(["recover", "-o", "json"])
        .args(more)
        .env("GRIDFLOW__DATABASE__URL", cluster.url())
        .output()?;
    let code = output.status.code().context("an exit code")?;
    let answer = serde_json::from_slice(&output.stdout);
    Ok((code, answer.with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?))
}

/// Launches nothing, tells what it does not know, and goes on without it once that is accepted.
fn stops_until_accepted(cluster: &Cluster, unknown: &str, logs: &dyn Fn() -> String) -> Result<()> {
    cluster.until("SELECT count(*) FROM hold", "1").with_context(logs)?;
    cluster.until("SELECT count(*) FROM attempt_unknown", "1").with_context(logs)?;
    let (code, loss) = recover(cluster, &[])?;
    assert_eq!((code, &loss["held"]), (1, &Value::Bool(true)));
    assert_eq!(loss["unknown_attempts"][0]["attempt_id"], unknown);
    assert!(loss["turn_inside"].as_i64() < loss["turn_outside"].as_i64(), "{loss}");

    let web = Web::start(cluster, "web")?;
    cluster.queue_run("d", "held")?;
    thread::sleep(Duration::from_secs(3));
    assert_eq!(cluster.sql("SELECT state FROM dag_run WHERE run_id = 'held'")?, "queued", "nothing starts");
    assert!(!cluster.path("starts.ended").exists(), "and nothing is ended");
    let nodes = web.ask(&["nodes", "list"])?;
    assert!(nodes[0]["last_report"].is_string(), "{nodes}");

    let (code, loss) = recover(cluster, &["--accept-data-loss"])?;
    assert_eq!((code, &loss["held"]), (0, &Value::Bool(false)));
    wait_for("the end of the unknown command", PATIENCE, || Ok(cluster.path("starts.ended").exists().then_some(())))
        .with_context(logs)?;
    started(cluster, 2).with_context(logs)?;
    std::fs::write(cluster.path("starts.go"), "")?;
    cluster.until("SELECT state FROM dag_run WHERE run_id = 'held'", "success").with_context(logs)?;
    assert_eq!(recover(cluster, &[])?.0, 0, "nothing is held up any more");
    let starts = history::starts(&cluster.path("starts"))?;
    history::check_one_launch(&starts)?;
    assert_eq!(cluster.sql("SELECT count(*) FROM audit_log WHERE action = 'accept_data_loss'")?, "1");
    history::check_log_replays(cluster.server, &cluster.database)
}

#[test]
fn a_database_that_went_back_launches_nothing_until_the_loss_is_accepted() -> Result<()> {
    let cluster = cluster()?;
    let scheduler = cluster.scheduler("scheduler")?;
    cluster.until("SELECT count(*) FROM dag", "1").with_context(|| scheduler.log())?;
    let copy = cluster.server.copy("before")?;
    cluster.queue_run("d", "lost")?;
    started(&cluster, 1)?;
    cluster.until("SELECT state FROM attempt", "running")?;
    let unknown = cluster.sql("SELECT attempt_id FROM attempt")?;
    cluster.server.restore(copy)?;
    stops_until_accepted(&cluster, &unknown, &|| scheduler.log())
}

#[test]
fn a_node_that_does_not_lead_shows_that_the_database_went_back() -> Result<()> {
    if !Node::is_possible() {
        return Ok(());
    }
    let cluster = cluster()?;
    let (first, second) = (Node::boot(&cluster, "first")?, Node::boot(&cluster, "second")?);
    let leader = first.leader(&[])?;
    cluster.until("SELECT count(*) FROM dag", "1").with_context(|| leader.log())?;
    let copy = cluster.server.copy("before")?;
    cluster.queue_run("d", "lost")?;
    started(&cluster, 1)?;
    cluster.until("SELECT state FROM attempt", "running")?;
    let unknown = cluster.sql("SELECT attempt_id FROM attempt")?;
    leader.kill()?;
    cluster.server.restore(copy)?;
    // It has nothing outside that could tell it.
    let next = second.leader(&[])?;
    let standby = first.scheduler(&[])?;
    stops_until_accepted(&cluster, &unknown, &|| format!("{}\n--\n{}", next.log(), standby.log()))
}
