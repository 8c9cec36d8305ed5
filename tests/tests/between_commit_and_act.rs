//! The leader stands still between deciding, committing and acting until a standby has taken over, and then goes on.
//! What it still does outside may at most complete a launch that is committed and that nobody has closed.

use std::time::Duration;

use anyhow::Result;
use gridflow_failpoint::Point;
use gridflow_tests::{Cluster, Failpoints, Paused, Program, history, wait_for};
use nix::sys::signal::Signal;

const TASK: &str = r#"
dag: one
env: {STARTS_FILE: "$starts"}
tasks:
  a: {bash: 'echo "$GRIDFLOW_ATTEMPT_ID" >> "$STARTS_FILE"'}
"#;

/// A cluster whose leader stands at a place in the turn that queues the one task of a run, and which has been deposed.
struct Scene {
    cluster: Cluster,
    points: Failpoints,
    leader: Program,
    standby: Program,
    paused: Paused,
}

impl Scene {
    /// `meanwhile` is done before anybody takes over.
    fn at(point: Point, meanwhile: impl FnOnce(&Cluster) -> Result<()>) -> Result<Self> {
        let cluster = Cluster::new(&[])?;
        cluster.save_dag("one.yaml", &TASK.replace("$starts", &cluster.path("starts").display().to_string()))?;
        let points = Failpoints::new(cluster.path("points"))?;
        let leader = cluster.scheduler_with("leader", &[points.env()])?;
        cluster.until("SELECT count(*) FROM dag", "1").map_err(|error| error.context(leader.log()))?;
        points.arm(point, "pause")?;
        cluster.queue_run("one", "r")?;
        let paused = points.taken(point).map_err(|error| error.context(leader.log()))?;
        let before: i64 = cluster.sql("SELECT epoch FROM leader")?.parse()?;
        meanwhile(&cluster)?;
        // What launches is a task beside the turns, which go on: then only a stopped process is silent.
        let is_stopped = point == Point::Staged;
        if is_stopped {
            leader.signal(Signal::SIGSTOP)?;
        }
        let standby = cluster.scheduler("standby")?;
        wait_for("a takeover", Duration::from_secs(30), || {
            Ok((before < cluster.sql("SELECT epoch FROM leader")?.parse()?).then_some(()))
        })
        .map_err(|error| error.context(standby.log()))?;
        if is_stopped {
            leader.signal(Signal::SIGCONT)?;
        }
        Ok(Self { cluster, points, leader, standby, paused })
    }

    /// Lets the old leader go on, waits until it knows that it leads no more, and until the run has ended.
    fn go_on(self, state: &str) -> Result<(Cluster, Program, Program)> {
        let Self { cluster, points: _points, leader, standby, paused } = self;
        paused.release();
        let logs = || format!("old leader:\n{}\nnew leader:\n{}", leader.log(), standby.log());
        wait_for("the old leader's insight", Duration::from_secs(30), || {
            Ok(leader.log().contains("leadership ended").then_some(()))
        })
        .map_err(|error| error.context(logs()))?;
        cluster.until("SELECT state FROM dag_run", state).map_err(|error| error.context(logs()))?;
        cluster
            .until("SELECT count(*) FROM attempt WHERE state <> 'closed'", "0")
            .map_err(|error| error.context(logs()))?;
        history::check_log_replays(cluster.server, &cluster.database)?;
        Ok((cluster, leader, standby))
    }
}

/// The one command ran, under the one attempt that there is.
fn ran_once(cluster: &Cluster) -> Result<()> {
    let starts = history::starts(&cluster.path("starts"))?;
    history::check_one_launch(&starts)?;
    assert_eq!(cluster.sql("SELECT count(*), min(outcome) FROM attempt")?, "1|exited");
    assert_eq!(starts.into_keys().collect::<Vec<_>>(), [cluster.sql("SELECT attempt_id FROM attempt")?]);
    Ok(())
}

#[test]
fn what_is_committed_and_open_starts_once_although_two_leaders_launch_it() -> Result<()> {
    for point in [Point::TurnCommitted, Point::Act, Point::Staged] {
        eprintln!("stopped at {}", point.name());
        let (cluster, ..) = Scene::at(point, |_| Ok(()))?.go_on("success")?;
        ran_once(&cluster)?;
    }
    Ok(())
}

#[test]
fn what_was_canceled_meanwhile_does_not_start() -> Result<()> {
    for point in [Point::TurnCommitted, Point::Staged] {
        eprintln!("stopped at {}", point.name());
        let scene = Scene::at(point, |cluster| cluster.cancel("c", "r"))?;
        // An attempt that nobody has closed may still be started.
        scene.cluster.until("SELECT state FROM attempt", "closed")?;
        let (cluster, old, new) = scene.go_on("failed")?;
        let outcome = cluster.sql("SELECT outcome FROM attempt")?;
        assert_eq!(outcome, "never_started", "old leader:\n{}\nnew leader:\n{}", old.log(), new.log());
        assert_eq!(cluster.sql("SELECT outcome FROM command")?, "done");
        assert!(history::starts(&cluster.path("starts"))?.is_empty(), "a canceled attempt started");
    }
    Ok(())
}

#[test]
fn what_was_never_committed_does_not_start() -> Result<()> {
    let (cluster, ..) = Scene::at(Point::TurnDecided, |_| Ok(()))?.go_on("success")?;
    ran_once(&cluster)
}

#[test]
fn a_lost_answer_to_commit_is_read_again_and_its_launch_made_once() -> Result<()> {
    for point in [Point::TurnDecided, Point::TurnCommitted] {
        eprintln!("fails at {}", point.name());
        let cluster = Cluster::new(&[])?;
        cluster.save_dag("one.yaml", &TASK.replace("$starts", &cluster.path("starts").display().to_string()))?;
        let points = Failpoints::new(cluster.path("points"))?;
        let leader = cluster.scheduler_with("leader", &[points.env()])?;
        cluster.until("SELECT count(*) FROM dag", "1").map_err(|error| error.context(leader.log()))?;
        points.arm(point, "refuse")?;
        cluster.queue_run("one", "r")?;
        cluster.until("SELECT state FROM dag_run", "success").map_err(|error| error.context(leader.log()))?;
        assert!(points.look(point).is_some(), "the turn failed");
        ran_once(&cluster)?;
        history::check_log_replays(cluster.server, &cluster.database)?;
    }
    Ok(())
}

#[test]
fn launches_that_a_takeover_repeats_leave_no_node_ahead_of_the_database() -> Result<()> {
    let cluster = Cluster::new(&[])?;
    cluster.save_dag("one.yaml", &TASK.replace("$starts", &cluster.path("starts").display().to_string()))?;
    let points = Failpoints::new(cluster.path("points"))?;
    let first = cluster.scheduler_with("first", &[points.env()])?;
    cluster.until("SELECT count(*) FROM dag", "1").map_err(|error| error.context(first.log()))?;
    points.arm(Point::TurnCommitted, "pause")?;
    cluster.queue_run("one", "r")?;
    let paused = points.taken(Point::TurnCommitted)?;
    first.kill()?;
    paused.release();

    // The second launches what the first committed, in a turn that writes nothing, and dies before it hears of it.
    points.arm(Point::Reported, "pause for Started")?;
    let second = cluster.scheduler_with("second", &[points.env()])?;
    let paused = points.taken(Point::Reported).map_err(|error| error.context(second.log()))?;
    wait_for("the command", Duration::from_secs(30), || {
        Ok((history::starts(&cluster.path("starts"))?.len() == 1).then_some(()))
    })?;
    second.kill()?;
    paused.release();

    let third = cluster.scheduler("third")?;
    cluster.until("SELECT state FROM dag_run", "success").map_err(|error| error.context(third.log()))?;
    assert!(!third.log().contains("back in time"), "{}", third.log());
    ran_once(&cluster)
}
