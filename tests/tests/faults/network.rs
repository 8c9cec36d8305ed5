//! The way to the database breaks at the worst moments of a turn.

use anyhow::{Context, Result};
use gridflow_tests::{Cluster, Moment, Program, Proxy, check::Losses, wait_for, workload::Workload};
use nix::sys::signal::Signal;

use crate::{PATIENCE, end_well};

/// A leader behind a proxy, and a standby with a way of its own.
struct Scene {
    workload: Workload,
    proxy: Proxy,
    leader: Program,
    standby: Program,
}

fn scene() -> Result<Scene> {
    let workload = Workload::begin(Cluster::new(&[])?)?;
    let proxy = Proxy::start(workload.cluster.server.port())?;
    let leader = workload.scheduler("leader", Some(&proxy))?;
    wait_for("the leader", PATIENCE, || Ok(workload.cluster.leads_through(&proxy)?.then_some(())))
        .with_context(|| leader.log())?;
    let standby = workload.scheduler("standby", None)?;
    wait_for("the standby", PATIENCE, || Ok(standby.log().contains("standing by").then_some(())))?;
    Ok(Scene { workload, proxy, leader, standby })
}

/// The fault strikes while runs are under way; nothing is given up for it.
fn one_fault(moment: Moment) -> Result<()> {
    let Scene { workload, proxy, leader, standby } = scene()?;
    proxy.arm(moment);
    let accepted = workload.ask("run", 1)?;
    proxy.wait_until_fired(PATIENCE)?;
    end_well(&workload, accepted, Losses::None, &[&leader, &standby]).map(drop)
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

#[test]
fn a_leader_that_was_stopped_in_a_turn_changes_nothing_when_it_goes_on() -> Result<()> {
    let Scene { workload, proxy, leader, standby } = scene()?;
    let epoch = || -> Result<i64> { workload.cluster.sql("SELECT epoch FROM leader")?.parse().context("an epoch") };
    let before = epoch()?;
    proxy.arm(Moment::BlackHoleInTurn);
    let accepted = workload.ask("run", 1)?;
    proxy.wait_until_fired(PATIENCE)?;
    leader.signal(Signal::SIGSTOP)?;
    wait_for("a takeover", PATIENCE, || Ok((before < epoch()?).then_some(())))?;
    // The rest of its turn arrives, and then it goes on.
    proxy.heal();
    leader.signal(Signal::SIGCONT)?;
    end_well(&workload, accepted, Losses::None, &[&leader, &standby])?;
    assert_eq!(epoch()?, before + 1, "it did not lead again while the other lives");
    Ok(())
}
