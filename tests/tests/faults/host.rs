//! The parent of all commands is killed, alone or with everything else.

use std::time::Duration;

use anyhow::{Context, Result};
use gridflow_tests::{Cluster, check::Losses, wait_for, workload::Workload};
use nix::sys::signal::{Signal, kill};

use crate::end_well;

#[test]
fn commands_of_a_killed_host_go_on_and_are_repeated_only_after_their_end() -> Result<()> {
    let workload = Workload::begin(Cluster::new(&[])?)?;
    let scheduler = workload.scheduler("only", None)?;
    let accepted = workload.ask("run", 1)?;
    // The one of two seconds among them, for sure.
    workload.cluster.until(
        "SELECT count(*) FROM task_instance AS ti JOIN dag_run AS run ON run.id = ti.dag_run_id
         JOIN dag_version_task AS task USING (dag_version_id, task_no)
         WHERE dag_id = 'fan' AND task_id = 'f' AND ti.state = 'running'",
        "1",
    )?;
    let host = workload.cluster.host().context("a host")?;
    kill(host, Signal::SIGKILL)?;
    let evidence = end_well(&workload, accepted, Losses::Expected, &[&scheduler])?;
    let lost: Vec<_> = evidence.attempts.iter().filter(|attempt| attempt.outcome == "lost").collect();
    assert!(!lost.is_empty(), "nobody can know how the commands of a killed host ended");
    // That each of them went on to its end, and that its next attempt began only then, is what was checked.
    assert_eq!(evidence.killed_at, Vec::<i64>::new());
    let next = workload.cluster.host();
    assert_ne!(next, Some(host));
    Ok(())
}

#[test]
fn everything_is_killed_at_once_and_begins_again() -> Result<()> {
    let workload = Workload::begin(Cluster::new(&[])?)?;
    let mut scheduler = workload.scheduler("first", None)?;
    let accepted = workload.ask("run", 3)?;
    for name in ["second", "third"] {
        workload.wait_for_running(4)?;
        workload.kill_everything()?;
        wait_for("the end of the scheduler", Duration::from_secs(5), || Ok((!scheduler.is_running()?).then_some(())))?;
        scheduler = workload.scheduler(name, None)?;
    }
    let evidence = end_well(&workload, accepted, Losses::Expected, &[&scheduler])?;
    let lost = evidence.attempts.iter().filter(|attempt| attempt.outcome == "lost").count();
    assert!(4 <= lost, "{lost} of at least 8 commands that were killed are lost; the others had ended");
    Ok(())
}
