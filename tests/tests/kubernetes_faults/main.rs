//! What attempts in a real Kubernetes stand on, broken one way at a time, by name.
//!
//! After each of them everything that commands wrote down is checked: nothing started twice, nothing was lost.
//! Those that stop servers have the cluster to themselves.

mod api;
mod node;
mod object;
mod operator;
mod scheduler;
mod waits;
mod wire;

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use gridflow_testkit::kubernetes::Cluster;
use gridflow_tests::{Ground, Program, check::Losses, wait_for};

const PATIENCE: Duration = Duration::from_secs(120);

/// Runs until somebody writes the file `go`, and gives back what its downstream wants to see.
const WAITS: &str = "tasks:
  a:
    bash: |
      . $LIBRARY
      until test -e \"$(dirname \"$MARKS\")/go\"; do sleep 0.1; done
      echo '\"done\"' > \"$GRIDFLOW_OUTPUT\"
  b: {needs: a, bash: '. $LIBRARY; test {{ tasks.a | sh }} = done'}
";

/// Twelve commands of some seconds, four at a time, and one that needs them all.
const MANY: &str = "max_active_tasks: 4
tasks:
  begin: {bash: '. $LIBRARY; true'}
  a0: {needs: begin, bash: '. $LIBRARY; sleep 1'}
  a1: {needs: begin, bash: '. $LIBRARY; sleep 2'}
  a2: {needs: begin, bash: '. $LIBRARY; sleep 3'}
  a3: {needs: begin, bash: '. $LIBRARY; sleep 4'}
  a4: {needs: begin, bash: '. $LIBRARY; sleep 1'}
  a5: {needs: begin, bash: '. $LIBRARY; sleep 2'}
  a6: {needs: begin, bash: '. $LIBRARY; sleep 3'}
  a7: {needs: begin, bash: '. $LIBRARY; sleep 4'}
  a8: {needs: begin, bash: '. $LIBRARY; sleep 1'}
  a9: {needs: begin, bash: '. $LIBRARY; sleep 2'}
  end: {needs: [a0, a1, a2, a3, a4, a5, a6, a7, a8, a9], bash: '. $LIBRARY; true'}
";

/// The same, but none of the twelve ends before somebody writes the file `go`.
fn many_that_wait() -> String {
    MANY.replace("sleep", "until test -e \"$(dirname \"$MARKS\")/go\"; do sleep 0.1; done; sleep")
}

/// A test on a cluster that others use, too.
fn beside_others(test: impl FnOnce(&Arc<Cluster>) -> Result<()>) -> Result<()> {
    Cluster::shared()?.map_or(Ok(()), |kubernetes| test(&kubernetes))
}

/// A test that has the cluster to itself, and may break it; it is whole again afterwards.
fn alone(test: impl FnOnce(&Arc<Cluster>) -> Result<()>) -> Result<()> {
    let Some(kubernetes) = Cluster::alone()? else { return Ok(()) };
    let result = test(&kubernetes);
    kubernetes.mend()?;
    result
}

/// The same for what takes minutes: servers that come back slowly, nodes whose silence has to last.
fn alone_for_long(test: impl FnOnce(&Arc<Cluster>) -> Result<()>) -> Result<()> {
    if in_the_long_form() { alone(test) } else { Ok(()) }
}

fn in_the_long_form() -> bool {
    let is_long = std::env::var_os("GRIDFLOW_FAULTS").is_some();
    if !is_long {
        eprintln!("LEFT OUT of the short form: `make faults` has it");
    }
    is_long
}

/// Lets those go on that wait for it.
fn go(ground: &Ground) -> Result<()> {
    Ok(std::fs::write(ground.cluster.path("go"), "")?)
}

/// The id of the one attempt that is open.
fn open_attempt(ground: &Ground) -> Result<String> {
    wait_for("an open attempt", PATIENCE, || {
        let id = ground.cluster.sql("SELECT attempt_id FROM attempt WHERE is_open")?;
        Ok((id.len() == 36).then_some(id))
    })
}

/// The run ends well, and nobody has given up an attempt.
fn ends_well(ground: &Ground, scheduler: &Program) -> Result<()> {
    ground.until_over("success", scheduler)?;
    ground.check()
}

/// The run ends well although that many attempts lost their outcome.
fn ends_well_after(ground: &Ground, losses: usize, scheduler: &Program) -> Result<()> {
    ground.until_over("success", scheduler)?;
    let lost = ground.cluster.sql("SELECT count(*) FROM attempt WHERE outcome IN ('lost', 'never_started')")?;
    anyhow::ensure!(lost == losses.to_string(), "{lost} attempts were lost: {}", ground.picture(scheduler));
    ground.check_with(Losses::Expected)
}
