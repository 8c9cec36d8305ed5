//! The way to the database breaks at the worst moments of a turn.

use std::time::Duration;

use anyhow::Result;
use gridflow_tests::{Cluster, Moment, Proxy, history, wait_for};

const PATIENCE: Duration = Duration::from_secs(60);

const CHAIN: &str = "
dag: chain
defaults: {env: {STARTS_FILE: \"@starts\"}}
tasks:
  a: {bash: 'echo \"$GRIDFLOW_ATTEMPT_ID\" >> \"$STARTS_FILE\"'}
  b: {needs: a, bash: 'echo \"$GRIDFLOW_ATTEMPT_ID\" >> \"$STARTS_FILE\"'}
  c: {needs: b, bash: 'echo \"$GRIDFLOW_ATTEMPT_ID\" >> \"$STARTS_FILE\"'}
";

/// A leader behind a proxy and a standby with a way of its own; the fault strikes while a run is under way.
fn one_fault(moment: Moment) -> Result<()> {
    let cluster = Cluster::new(&[])?;
    let text = CHAIN.replace("@starts", &cluster.path("starts").display().to_string());
    std::fs::write(cluster.path("dags/chain.yaml"), text)?;
    let proxy = Proxy::start(cluster.server.port())?;
    let leader = cluster.scheduler_through("leader", &proxy, &[])?;
    wait_for("the DAG", PATIENCE, || {
        Ok((cluster.sql("SELECT count(*) FROM dag").is_ok_and(|n| n == "1")).then_some(()))
    })
    .map_err(|error| error.context(leader.log()))?;
    assert!(cluster.leads_through(&proxy)?);
    let standby = cluster.scheduler("standby")?;
    wait_for("the standby", PATIENCE, || Ok(standby.log().contains("standing by").then_some(())))?;

    proxy.arm(moment);
    cluster.queue_run("chain", "one")?;
    proxy.wait_until_fired(PATIENCE)?;
    wait_for("the run's end", PATIENCE, || {
        Ok(["success", "failed"].contains(&cluster.sql("SELECT state FROM dag_run")?.as_str()).then_some(()))
    })
    .map_err(|error| error.context(format!("{}\n\n{}", leader.log(), standby.log())))?;
    proxy.heal();
    let starts = history::starts(&cluster.path("starts"))?;
    history::check_one_launch(&starts)?;
    assert_eq!(starts.len(), 3);
    history::check_all_ended(cluster.server, &cluster.database, "success", 1)?;
    history::check_attempts_match(cluster.server, &cluster.database, &starts)?;
    history::check_log_replays(cluster.server, &cluster.database)
}

#[test]
fn a_turn_whose_answer_is_swallowed_is_carried_out_once() -> Result<()> {
    one_fault(Moment::CommitAnswerSwallowed)
}

#[test]
fn a_turn_whose_connection_ends_in_the_place_of_the_answer_is_carried_out_once() -> Result<()> {
    one_fault(Moment::CommitAnswerCut)
}

#[test]
fn a_turn_that_falls_into_a_black_hole_is_made_anew_by_the_next_leader() -> Result<()> {
    one_fault(Moment::BlackHoleInTurn)
}

#[test]
fn a_turn_that_is_cut_off_is_made_anew() -> Result<()> {
    one_fault(Moment::CutInTurn)
}
