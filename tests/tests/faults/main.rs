//! Faults, one a test: what breaks is done on purpose at a known moment, and a checker that shares no code with the
//! program reads afterwards what happened.

mod database;
mod disk;
mod host;
mod network;
mod power;

use std::time::Duration;

use anyhow::{Context, Result};
use gridflow_testkit::postgres::{Durability, Settings};
use gridflow_tests::{Cluster, Program, check::Losses, evidence::Evidence, workload::Workload};

const PATIENCE: Duration = Duration::from_secs(90);

/// A workload on a server of its own.
fn on_own_server() -> Result<Workload> {
    Workload::begin(Cluster::on_own_server(Settings::new(Durability::Full), &[])?)
}

/// Waits for the end of everything and checks all of it.
fn end_well(
    workload: &Workload,
    accepted: Vec<(String, String)>,
    losses: Losses,
    programs: &[&Program],
) -> Result<Evidence> {
    let ended = workload.wait_until_idle(PATIENCE).and_then(|()| workload.check(accepted, losses));
    ended.with_context(|| programs.iter().map(|program| program.log()).collect::<Vec<_>>().join("\n---\n"))
}
