//! The way to the API server.

use anyhow::Result;
use gridflow_tests::Ground;

use crate::{MANY, WAITS, beside_others, ends_well, go};

#[test]
fn watches_and_calls_that_are_cut_again_and_again_cost_time_alone() -> Result<()> {
    beside_others(|kubernetes| {
        let (ground, wire) = Ground::wired(kubernetes)?;
        let scheduler = ground.begin(MANY)?;
        for started in 1..=11 {
            ground.until_started(started, &scheduler)?;
            wire.cut();
        }
        ends_well(&ground, &scheduler)?;
        assert!(11 < wire.connections(), "they were made again");
        Ok(())
    })
}

#[test]
fn a_wire_that_falls_silent_shows_and_what_ended_meanwhile_is_collected() -> Result<()> {
    beside_others(|kubernetes| {
        let (ground, wire) = Ground::wired(kubernetes)?;
        let scheduler = ground.begin(WAITS)?;
        ground.until_running(1, &scheduler)?;
        let before = wire.connections();
        wire.silence();
        go(&ground)?;
        ground.until_ended(1)?;
        // Nobody was told that it is silent: whoever makes another connection has found out.
        ground.until_true("a new connection", &scheduler, || Ok(before < wire.connections()))?;
        wire.heal();
        ends_well(&ground, &scheduler)
    })
}

#[test]
fn a_scheduler_that_starts_without_a_way_to_the_cluster_leads_and_goes_on_when_there_is_one() -> Result<()> {
    beside_others(|kubernetes| {
        let (ground, wire) = Ground::wired(kubernetes)?;
        wire.refuse();
        let scheduler = ground.begin(
            "tasks:
  here: {executor: local, bash: '. $LIBRARY; true'}
  there: {bash: '. $LIBRARY; true'}
",
        )?;
        // What runs on this machine does not care.
        ground.until_ended(1)?;
        wire.heal();
        ends_well(&ground, &scheduler)
    })
}
