//! The disk is full: the database's, or the one for logs and working folders. When there is room again, all goes on.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::Path,
    time::Duration,
};

use anyhow::{Context, Result};
use gridflow_testkit::postgres::{Durability, Settings, disk};
use gridflow_tests::{
    Cluster,
    check::{self, Losses},
    evidence::Evidence,
    wait_for,
    workload::Workload,
};

use crate::{PATIENCE, end_well};

/// Writes until there is no room left.
fn fill(file: &Path) -> Result<()> {
    let mut filler = OpenOptions::new().create(true).append(true).open(file).context("a file that fills the disk")?;
    while filler.write_all(&[0; 4_096]).is_ok() {}
    // The last bytes, too.
    while filler.write_all(&[0; 16]).is_ok() {}
    Ok(())
}

fn may_mount() -> bool {
    let may = disk::can_mount();
    if !may {
        eprintln!("left out: only root can make a disk that is small enough to be filled");
    }
    may
}

#[test]
fn a_database_without_room_loses_nothing() -> Result<()> {
    if !may_mount() {
        return Ok(());
    }
    let mut settings = Settings::new(Durability::Full);
    settings.disk_bytes = Some(160 << 20);
    settings.config = ["max_wal_size=48MB", "min_wal_size=32MB"].map(str::to_owned).into();
    let workload = Workload::begin(Cluster::on_own_server(settings, &[])?)?;
    let mut scheduler = workload.scheduler("first", None)?;
    let mut accepted = workload.ask("before", 1)?;
    workload.wait_for_running(3)?;
    let filler = workload.cluster.server.data_dir().join("filler");
    // So that not even the room in its present files suffices.
    let eat = "CREATE TABLE IF NOT EXISTS eater (it text); INSERT INTO eater SELECT repeat(md5(i::text), 50) FROM generate_series(1, 200) AS i";
    fill(&filler)?;
    wait_for("an answer that there is no room", PATIENCE, || {
        // A run may still be confirmed where the present files have room: then it counts.
        let run_id = format!("full-{}", accepted.len());
        if workload.cluster.queue_run("fan", &run_id).is_ok() {
            accepted.push(("fan".into(), run_id));
        }
        fill(&filler)?;
        let said = format!("{:#}", workload.cluster.sql(eat).err().unwrap_or_else(|| anyhow::anyhow!("")));
        Ok((said.contains("No space left") || said.contains("recovery") || said.contains("terminat")).then_some(()))
    })?;
    wait_for("a turn that failed", PATIENCE, || Ok(scheduler.log().contains("leadership ended").then_some(())))?;
    fs::remove_file(&filler)?;
    if !workload.cluster.server.is_running() {
        workload.cluster.server.start_again()?;
    }
    if !scheduler.is_running()? {
        scheduler = workload.scheduler("second", None)?;
    }
    wait_for("the database", PATIENCE, || Ok(workload.cluster.sql("DROP TABLE IF EXISTS eater").ok()))?;
    accepted.extend(workload.ask("after", 1)?);
    end_well(&workload, accepted, Losses::None, &[&scheduler]).map(drop)
}

#[test]
fn a_node_without_room_for_logs_and_folders_loses_nothing() -> Result<()> {
    if !may_mount() {
        return Ok(());
    }
    let workload = Workload::begin(Cluster::new(&[])?)?;
    workload.cluster.kill_everything();
    let state = workload.cluster.path("state");
    fs::remove_dir_all(&state)?;
    disk::mount(&state, 4 << 20, None)?;
    let ended = without_room(&workload, &state);
    workload.cluster.kill_everything();
    disk::unmount(&state);
    ended
}

fn without_room(workload: &Workload, state: &Path) -> Result<()> {
    let scheduler = workload.scheduler("only", None)?;
    let mut accepted = workload.ask("before", 1)?;
    workload.wait_for_running(3)?;
    let filler = state.join("filler");
    fill(&filler)?;
    accepted.extend(workload.ask("full", 1)?);
    wait_for("commands that can't be started", Duration::from_secs(20), || {
        Ok(scheduler.log().contains("No space left").then_some(()))
    })
    .with_context(|| scheduler.log())?;
    fs::remove_file(&filler)?;
    accepted.extend(workload.ask("after", 1)?);
    workload.wait_until_idle(PATIENCE).with_context(|| scheduler.log())?;
    let evidence = Evidence::read(&workload.cluster, &workload.marks(), accepted.into())?;
    check::check(&evidence, &workload.rules(Losses::Expected)).with_context(|| scheduler.log())?;
    // A command that could not write its output failed by itself. Nothing else may.
    let failed = evidence.task_instances.iter().filter(|ti| ti.state == "failed");
    for ti in failed {
        let attempt = evidence.attempts.iter().find(|attempt| attempt.id == ti.attempt).context("its attempt")?;
        let is_its_own =
            attempt.outcome == "output_invalid" || (attempt.outcome == "exited" && attempt.exit_code != "0");
        assert!(is_its_own, "{ti:?} {attempt:?}");
    }
    let runs_after = evidence.runs.iter().filter(|run| run.run_id.starts_with("after"));
    assert!(runs_after.clone().all(|run| run.state == "success"), "{:?}", runs_after.collect::<Vec<_>>());
    Ok(())
}
