//! Two schedulers on one node: one leads; when it is killed or stopped the other takes over within
//! five seconds, and what the deposed one still tries changes nothing.

use std::time::{Duration, Instant};

use anyhow::Result;
use gridflow_tests::{Cluster, history, wait_for};
use nix::sys::signal::Signal;

const TAKEOVER_MAX: Duration = Duration::from_secs(5);

const SLOW: &str = "
dag: slow
max_active_tasks: 64
tasks:
  a: {bash: 'echo \"$GRIDFLOW_ATTEMPT_ID\" >> \"$STARTS_FILE\"; sleep 4'}
  b: {bash: 'echo \"$GRIDFLOW_ATTEMPT_ID\" >> \"$STARTS_FILE\"; sleep 6'}
  c: {needs: [a, b], bash: 'echo \"$GRIDFLOW_ATTEMPT_ID\" >> \"$STARTS_FILE\"'}
";

fn epoch(cluster: &Cluster) -> Result<i64> {
    Ok(cluster.sql("SELECT epoch FROM leader")?.parse()?)
}

fn cluster() -> Result<Cluster> {
    let cluster = Cluster::new(&[])?;
    let text = SLOW.replacen(
        "\ntasks:",
        &format!("\nenv: {{STARTS_FILE: \"{}\"}}\ntasks:", cluster.path("starts").display()),
        1,
    );
    std::fs::write(cluster.path("dags/slow.yaml"), text)?;
    Ok(cluster)
}

fn wait_for_epoch(cluster: &Cluster, above: i64, within: Duration) -> Result<i64> {
    wait_for("a takeover", within, || {
        let now = epoch(cluster)?;
        Ok((above < now).then_some(now))
    })
}

fn lead_and_run(cluster: &Cluster) -> Result<()> {
    wait_for("the DAG", Duration::from_secs(30), || {
        Ok((cluster.sql("SELECT count(*) FROM dag").unwrap_or_default() == "1").then_some(()))
    })?;
    cluster.queue_run("slow", "one")?;
    wait_for("two running tasks", Duration::from_secs(15), || {
        Ok((cluster.sql("SELECT count(*) FROM task_instance WHERE state = 'running'")? == "2").then_some(()))
    })
}

fn all_ended(cluster: &Cluster) -> Result<()> {
    wait_for("the run's end", Duration::from_secs(60), || {
        Ok(["success", "failed"].contains(&cluster.sql("SELECT state FROM dag_run")?.as_str()).then_some(()))
    })?;
    let starts = history::starts(&cluster.path("starts"))?;
    history::check_one_launch(&starts)?;
    assert_eq!(starts.len(), 3);
    history::check_all_ended(cluster.server, &cluster.database, "success", 1)?;
    history::check_attempts_match(cluster.server, &cluster.database, &starts)?;
    history::check_log_replays(cluster.server, &cluster.database)
}

#[test]
fn the_standby_takes_over_when_the_leader_is_killed() -> Result<()> {
    let cluster = cluster()?;
    let leader = cluster.scheduler("leader")?;
    lead_and_run(&cluster).map_err(|error| error.context(leader.log()))?;
    let before = epoch(&cluster)?;
    let standby = cluster.scheduler("standby")?;
    wait_for("the standby", Duration::from_secs(10), || Ok(standby.log().contains("standing by").then_some(())))?;
    let killed_at = Instant::now();
    leader.kill()?;
    wait_for_epoch(&cluster, before, TAKEOVER_MAX)?;
    eprintln!("taken over after {:?}", killed_at.elapsed());
    all_ended(&cluster).map_err(|error| error.context(standby.log()))
}

#[test]
fn a_stopped_leader_is_deposed_and_changes_nothing_when_it_goes_on() -> Result<()> {
    let cluster = cluster()?;
    let leader = cluster.scheduler("leader")?;
    lead_and_run(&cluster).map_err(|error| error.context(leader.log()))?;
    let before = epoch(&cluster)?;
    let standby = cluster.scheduler("standby")?;
    wait_for("the standby", Duration::from_secs(10), || Ok(standby.log().contains("standing by").then_some(())))?;
    leader.signal(Signal::SIGSTOP)?;
    let after = wait_for_epoch(&cluster, before, TAKEOVER_MAX)?;
    leader.signal(Signal::SIGCONT)?;
    all_ended(&cluster).map_err(|error| error.context(standby.log()))?;
    assert_eq!(epoch(&cluster)?, after, "the deposed leader did not lead again while the other lives");
    Ok(())
}
