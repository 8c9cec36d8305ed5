//! The Spark operator, which makes the drivers of SparkApplications.

use anyhow::Result;
use gridflow_testkit::{kubernetes::Cluster, spark::Operator};
use gridflow_tests::Ground;

use crate::{WAITS, ends_well, go, in_the_long_form};

/// A test that has the operator to itself, and may break it; it runs again afterwards.
fn with_an_operator(test: impl FnOnce(&Ground) -> Result<()>) -> Result<()> {
    if !in_the_long_form() {
        return Ok(());
    }
    let Some(kubernetes) = Cluster::shared()? else { return Ok(()) };
    let Some(operator) = Operator::alone(&kubernetes)? else { return Ok(()) };
    let ground = Ground::with_operator(&kubernetes, operator)?;
    let result = test(&ground);
    // Both, whatever one of them says.
    let restored = ground.operator().go_on().and(ground.operator().start());
    result.and(restored)
}

#[test]
fn an_operator_that_is_away_is_waited_for_and_said() -> Result<()> {
    with_an_operator(|ground| {
        ground.operator().stop()?;
        let scheduler = ground.begin(WAITS)?;
        go(ground)?;
        ground.until_true("the reason", &scheduler, || {
            let waits = ground.cluster.sql("SELECT waits FROM attempt WHERE is_open")?;
            Ok(waits.contains("waits for the Spark operator to submit it"))
        })?;
        ground.operator().start()?;
        ends_well(ground, &scheduler)
    })
}

#[test]
fn an_operator_that_is_killed_while_its_driver_runs_costs_nothing() -> Result<()> {
    with_an_operator(|ground| {
        let scheduler = ground.begin(WAITS)?;
        ground.until_running(1, &scheduler)?;
        ground.operator().kill()?;
        go(ground)?;
        ground.until_ended(1)?;
        ground.operator().start()?;
        ends_well(ground, &scheduler)
    })
}

#[test]
fn a_submission_that_its_operator_did_not_live_to_hear_of_runs_once() -> Result<()> {
    with_an_operator(|ground| {
        ground.operator().hold_submissions()?;
        let scheduler = ground.begin(WAITS)?;
        go(ground)?;
        ground.operator().await_held()?;
        ground.operator().kill()?;
        ground.operator().go_on()?;
        ground.operator().start()?;
        ends_well(ground, &scheduler)
    })
}

#[test]
fn a_takeover_while_the_operator_is_away_loses_and_doubles_nothing() -> Result<()> {
    with_an_operator(|ground| {
        let first = ground.begin(WAITS)?;
        ground.until_running(1, &first)?;
        ground.operator().kill()?;
        first.kill()?;
        let second = ground.scheduler("second")?;
        ground.until("SELECT count(*) FROM leader WHERE epoch = 2", "1", &second)?;
        go(ground)?;
        ground.until_ended(1)?;
        ground.operator().start()?;
        ends_well(ground, &second)
    })
}
