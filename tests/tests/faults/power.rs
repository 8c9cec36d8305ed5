//! The power fails: every process is gone, so is what the host had not brought to disk, and the next boot is another.
//!
//! What a power cut takes can't be seen from here. The host and the scheduler sync nothing about attempts on purpose (see
//! docs/ARCHITECTURE.md, Nodes), so everything that may be gone is taken away: records, logs and working folders, wholly
//! or in part. Boots change as they do for containers: each is a pid namespace of its own.

use std::fs;

use anyhow::{Context, Result};
use gridflow_tests::{can_contain, check::Losses};

use crate::{end_well, on_own_server};

#[test]
fn after_a_power_cut_everything_that_ran_is_lost_and_repeated() -> Result<()> {
    if !can_contain() {
        eprintln!("left out: only root can make another boot of this machine");
        return Ok(());
    }
    let workload = on_own_server()?;
    let mut scheduler = workload.scheduler_contained("first")?;
    let accepted = workload.ask("run", 2)?;
    let state = workload.cluster.path("state");
    for (name, kept) in [("second", 0), ("third", 3)] {
        workload.wait_for_running(4)?;
        scheduler.kill()?;
        workload.kill_everything()?;
        workload.cluster.server.stop(gridflow_testkit::postgres::Stop::Crash)?;
        let records = fs::read(state.join("host.records")).context("reading the records")?;
        fs::write(state.join("host.records"), &records[..records.len() * kept / 4])?;
        for folder in ["logs", "scratch"] {
            fs::remove_dir_all(state.join(folder)).with_context(|| format!("removing {folder}"))?;
        }
        workload.cluster.server.start_again()?;
        scheduler = workload.scheduler_contained(name)?;
    }
    let evidence = end_well(&workload, accepted, Losses::Expected, &[&scheduler])?;
    let boots = workload.cluster.sql("SELECT count(DISTINCT boot) FROM attempt")?;
    assert_eq!(boots, "3");
    let lost = evidence.attempts.iter().filter(|attempt| attempt.outcome == "lost").count();
    assert!(4 <= lost, "{lost} of at least 8 commands that were cut off are lost; the others had ended");
    Ok(())
}
