//! PostgreSQL is killed, or goes back in time.

use std::{thread, time::Duration};

use anyhow::{Context, Result};
use gridflow_testkit::postgres::Stop;
use gridflow_tests::{Program, check::Losses, evidence::Evidence, wait_for};

use crate::{PATIENCE, end_well, on_own_server};

#[test]
fn a_database_that_is_killed_under_load_costs_no_command() -> Result<()> {
    let workload = on_own_server()?;
    let (north, south) = (workload.scheduler("north", None)?, workload.scheduler("south", None)?);
    let accepted = workload.ask("run", 2)?;
    for _ in 0..3 {
        workload.wait_for_running(3)?;
        workload.cluster.server.stop(Stop::Crash)?;
        // Commands end meanwhile, and nobody can write that down.
        thread::sleep(Duration::from_millis(500));
        workload.cluster.server.start_again()?;
    }
    // Not one attempt was given up: the host keeps what the database could not take.
    end_well(&workload, accepted, Losses::None, &[&north, &south]).map(drop)
}

#[test]
fn nothing_is_launched_any_more_on_a_database_that_went_back_in_time() -> Result<()> {
    let workload = on_own_server()?;
    let scheduler = workload.scheduler("first", None)?;
    workload.ask("before", 1)?;
    workload.wait_for_running(3)?;
    let copy = workload.cluster.server.copy("earlier")?;
    let after = workload.ask("after", 1)?;
    // Two seconds of work that the copy knows nothing of.
    thread::sleep(Duration::from_secs(2));
    workload.cluster.server.restore(copy)?;

    let refuses = |program: &Program| {
        wait_for("its refusal", PATIENCE, || Ok(program.log().contains("nothing is launched").then_some(())))
            .with_context(|| program.log())
    };
    refuses(&scheduler)?;
    // What ran goes on to its end; started is nothing more, by nobody.
    let starts = |evidence: Evidence| evidence.marks.len();
    let read = || Evidence::read(&workload.cluster, &workload.marks(), after.clone().into());
    wait_for("the end of what ran", PATIENCE, || {
        let evidence = read()?;
        let all = gridflow_tests::check::findings(&evidence, &workload.rules(Losses::None));
        Ok((!all.iter().any(|finding| finding.text.contains("never wrote its end"))).then_some(()))
    })?;
    let before = starts(read()?);
    scheduler.kill()?;
    refuses(&workload.scheduler("second", None)?)?;
    assert_eq!(starts(read()?), before, "nothing was launched");
    Ok(())
}
