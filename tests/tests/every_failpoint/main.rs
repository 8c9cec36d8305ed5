//! Whoever passes a named place is killed there, one place after the other, while runs of all kinds are under way.
//! Afterwards everything is checked.

mod pods;

use std::time::Duration;

use anyhow::{Context, Result};
use gridflow_failpoint::Point;
use gridflow_tests::{Cluster, Failpoints, Program, check::Losses, wait_for, workload::Workload};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

const PATIENCE: Duration = Duration::from_secs(180);

/// When the place is armed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    /// Before the scheduler starts: it is met during or soon after the takeover.
    Before,
    /// While commands run.
    During,
}

fn rounds() -> impl Iterator<Item = (Point, When)> {
    let all = || Point::ALL.iter().filter(|point| !point.is_of_pods());
    let before = all().map(|point| (*point, When::Before));
    let is_passed_once = |point: &&Point| matches!(point, Point::Elected | Point::RecoveryRead | Point::Recovered);
    before.chain(all().filter(move |point| !is_passed_once(point)).map(|point| (*point, When::During)))
}

#[test]
fn whoever_is_killed_at_any_named_place_loses_and_doubles_nothing() -> Result<()> {
    let workload = Workload::begin(Cluster::new(&[])?)?;
    // Its host knows of no failpoints.
    workload.cluster.kill_everything();
    let points = Failpoints::new(workload.cluster.path("points"))?;
    let mut accepted = Vec::new();
    for (no, (point, when)) in rounds().enumerate() {
        eprintln!("{no}: killed at {}, armed {when:?}", point.name());
        let mut scheduler = None;
        if when == When::Before {
            points.arm(point, "pause")?;
        } else {
            scheduler = Some(start(&workload, &points, no)?);
        }
        accepted.extend(workload.ask(&format!("r{no}"), 1)?);
        if when == When::During {
            workload.wait_for_running(1)?;
            points.arm(point, "pause")?;
        }
        // Something to publish and something that lands, for those who stand there.
        workload.cluster.save_dag(&format!("more{no}.yaml"), "tasks:\n  a: {empty: {}}\n")?;
        workload.land(&format!("{no}.csv"))?;
        let mut scheduler = scheduler.map_or_else(|| start(&workload, &points, no), Ok)?;
        let paused = points.taken(point).with_context(|| scheduler.log())?;
        // It may be the host that stands there.
        kill(Pid::from_raw(paused.pid), Signal::SIGKILL)?;
        if paused.pid == scheduler.pid().as_raw() {
            wait_for("its end", PATIENCE, || Ok((!scheduler.is_running()?).then_some(())))?;
        }
        paused.release();
        scheduler.end()?;
    }
    let last = start(&workload, &points, 99)?;
    workload.wait_until_idle(PATIENCE).with_context(|| last.log())?;
    workload.check(accepted, Losses::Expected).with_context(|| last.log())?;
    Ok(())
}

fn start(workload: &Workload, points: &Failpoints, no: usize) -> Result<Program> {
    let limits = [("GRIDFLOW__SCHEDULER__LOSSES_MAX", "100000"), ("GRIDFLOW__SCHEDULER__PARALLELISM", "24")];
    let env: Vec<_> = limits.into_iter().chain([points.env()]).collect();
    workload.cluster.scheduler_with(&format!("s{no}"), &env)
}
