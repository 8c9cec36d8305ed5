//! The same where tasks run as pods of a real Kubernetes.
//!
//! ```text
//! turn: launch ─▶ pod made ─▶ Secret made ─▶ Claimed ─▶ turn: its claim ─▶ pod let go ─▶ Started ─▶ turn
//!   ─▶ gone ─▶ log read ─▶ Finished ─▶ turn: its end ─▶ finalizer off ─▶ deleted
//! ```

use anyhow::{Context, Result};
use gridflow_failpoint::Point;
use gridflow_testkit::kubernetes;
use gridflow_tests::{
    Cluster, Failpoints, Ground, Paused, Pods, Program,
    check::Losses,
    wait_for,
    workload::{POD_DAGS, Workload},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{PATIENCE, start};

/// Runs that are asked for at a time. More than may be active, so that some have not begun.
const UNFINISHED_MAX: usize = 5;

/// What is told of a pod, and begins a turn of its own.
#[derive(Debug, Clone, Copy)]
enum Told {
    Claimed,
    Started,
    Finished,
}

/// Where somebody is killed.
#[derive(Debug, Clone, Copy)]
enum Place {
    At(Point),
    /// The report is read, and no turn has taken it.
    Hearing(Told),
    /// In the turn that takes it, or when what that allows is done.
    InTurnOf(Told, Point),
}

fn places() -> impl Iterator<Item = Place> {
    const OF_TURNS: [Point; 4] = [Point::TurnDecided, Point::TurnCommitted, Point::Act, Point::ActLaunched];
    let of_turns = |told| OF_TURNS.into_iter().map(move |point| Place::InTurnOf(told, point));
    let takeover = [Point::Elected, Point::RecoveryRead, Point::Recovered].map(Place::At);
    let own = Point::ALL.iter().filter(|point| point.is_of_pods()).map(|point| Place::At(*point));
    own.chain([Place::Hearing(Told::Claimed)])
        .chain(of_turns(Told::Claimed))
        .chain([Place::Hearing(Told::Started), Place::InTurnOf(Told::Started, Point::TurnCommitted)])
        .chain([Place::Hearing(Told::Finished)])
        .chain(of_turns(Told::Finished))
        .chain(takeover)
}

impl Place {
    /// Makes the next one who comes by stand still there; `begin` starts a scheduler and what it has to do.
    fn reach(self, points: &Failpoints, begin: impl FnOnce() -> Result<()>) -> Result<Paused> {
        match self {
            Self::At(point) => {
                points.arm(point, "pause")?;
                begin()?;
                points.taken(point)
            }
            Self::Hearing(told) => {
                points.arm(Point::Reported, &format!("pause for Pod({told:?}"))?;
                begin()?;
                points.taken(Point::Reported)
            }
            Self::InTurnOf(told, point) => {
                let hearing = Self::Hearing(told).reach(points, begin)?;
                // Who stands there makes the next turn.
                points.arm(point, "pause")?;
                hearing.release();
                points.taken(point)
            }
        }
    }
}

fn unfinished(workload: &Workload) -> Result<usize> {
    let count = workload.cluster.sql("SELECT count(*) FROM dag_run WHERE state IN ('queued', 'running')")?;
    count.parse().context("a count")
}

#[test]
fn whoever_is_killed_at_any_named_place_of_a_pods_life_loses_and_doubles_nothing() -> Result<()> {
    let Some(kubernetes) = kubernetes::Cluster::shared()? else { return Ok(()) };
    let cluster = Cluster::new(&[])?;
    let pods = Pods::new(&kubernetes, &cluster)?;
    let workload = Workload::of_pods(cluster, pods)?;
    let points = Failpoints::new(workload.cluster.path("points"))?;
    let mut accepted = Vec::new();
    for (no, place) in places().enumerate() {
        eprintln!("{no}: killed at {place:?}");
        let mut scheduler: Option<Program> = None;
        let paused = place.reach(&points, || {
            // What is under way from before is taken over; what waits behind it makes new pods in any case.
            if unfinished(&workload)? < UNFINISHED_MAX {
                let dag = POD_DAGS[usize::from(no % 4 != 0)];
                accepted.extend(workload.ask_for(&[dag], &format!("r{no}"), 1)?);
            }
            scheduler = Some(start(&workload, &points, no)?);
            Ok(())
        });
        let mut scheduler = scheduler.context("a scheduler was started")?;
        let paused = paused.with_context(|| scheduler.log())?;
        assert_eq!(paused.pid, scheduler.pid().as_raw(), "only the scheduler knows of pods");
        kill(Pid::from_raw(paused.pid), Signal::SIGKILL)?;
        wait_for("its end", PATIENCE, || Ok((!scheduler.is_running()?).then_some(())))?;
        paused.release();
    }
    let last = start(&workload, &points, 99)?;
    workload.wait_until_idle(PATIENCE).with_context(|| last.log())?;
    // A pod outlives every scheduler: nothing is given up.
    workload.check(accepted, Losses::None).with_context(|| last.log())?;
    Ok(())
}

/// Whatever was asked for is done, and nobody hears of it.
#[test]
fn answers_of_the_api_server_that_get_lost_lose_and_double_nothing() -> Result<()> {
    const OF_ANSWERS: [Point; 5] =
        [Point::PodMade, Point::PodSecretMade, Point::PodConfirmed, Point::PodReleased, Point::PodDeleted];
    let Some(kubernetes) = kubernetes::Cluster::shared()? else { return Ok(()) };
    let ground = Ground::with_pods(&kubernetes)?;
    let points = Failpoints::new(ground.cluster.path("points"))?;
    ground.save("tasks:\n  a: {bash: '. $LIBRARY; true'}\n  b: {needs: a, bash: '. $LIBRARY; true'}\n")?;
    for point in OF_ANSWERS {
        points.arm(point, "refuse")?;
    }
    let scheduler = ground.scheduler_with("first", &[points.env()])?;
    ground.until_published(&scheduler)?;
    ground.ask()?;
    ground.until_over("success", &scheduler)?;
    ground.check()?;
    ground.pods().until_tidy(PATIENCE).with_context(|| ground.picture(&scheduler))?;
    for point in OF_ANSWERS {
        assert!(!points.disarm(point), "nobody came by {}", point.name());
    }
    Ok(())
}
