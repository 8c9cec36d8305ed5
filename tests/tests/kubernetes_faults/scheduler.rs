//! Schedulers that are killed, or stand still until another one leads, between any two steps of a pod's start.
//!
//! ```text
//! turn: launch ─▶ committed ─▶ act: pod made ─▶ turn: its claim ─▶ committed ─▶ act: confirmed ─▶ it runs
//! ```

use anyhow::{Context, Result};
use gridflow_failpoint::Point;
use gridflow_testkit::kubernetes::Cluster;
use gridflow_tests::{Failpoints, Ground, Paused, Program, wait_for};
use nix::sys::signal::Signal;
use serde_json::json;
use std::sync::Arc;

use crate::{PATIENCE, beside_others, ends_well};

const ONE: &str = "tasks:\n  a: {bash: '. $LIBRARY; sleep 1'}\n";

/// Which turn somebody steps into.
#[derive(Debug, Clone, Copy)]
enum Step {
    Launch,
    Claim,
}

const STEPS: [(Step, Point); 7] = [
    (Step::Launch, Point::TurnDecided),
    (Step::Launch, Point::TurnCommitted),
    (Step::Launch, Point::Act),
    (Step::Launch, Point::ActLaunched),
    (Step::Claim, Point::TurnDecided),
    (Step::Claim, Point::TurnCommitted),
    (Step::Claim, Point::Act),
];

/// A leader that stands at a place in one of these turns.
struct Scene {
    ground: Ground,
    _points: Failpoints,
    leader: Program,
    paused: Paused,
}

impl Scene {
    fn at(kubernetes: &Arc<Cluster>, step: Step, point: Point) -> Result<Self> {
        eprintln!("{step:?}, {}", point.name());
        let ground = Ground::with_pods(kubernetes)?;
        ground.save(ONE)?;
        let points = Failpoints::new(ground.cluster.path("points"))?;
        let leader = ground.scheduler_with("leader", &[points.env()])?;
        ground.until_published(&leader)?;
        match step {
            Step::Launch => {
                points.arm(point, "pause")?;
                ground.ask()?;
            }
            Step::Claim => {
                // No pod can be made until the next turn is watched.
                let quota = quota(0);
                ground.pods().namespace.apply(&quota)?;
                ground.ask()?;
                ground.until("SELECT count(*) FROM attempt WHERE is_open", "1", &leader)?;
                wait_for("a refusal", PATIENCE, || Ok(leader.log().contains("exceeded quota").then_some(())))
                    .with_context(|| ground.picture(&leader))?;
                points.arm(point, "pause")?;
                ground.pods().namespace.kubectl(&["delete", "resourcequota", "pods"])?;
            }
        }
        let paused = points.taken(point).with_context(|| ground.picture(&leader))?;
        Ok(Self { ground, _points: points, leader, paused })
    }
}

pub fn quota(pods: usize) -> serde_json::Value {
    json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "pods"},
           "spec": {"hard": {"pods": pods.to_string()}}})
}

/// One attempt, which ended well.
fn ran_once(ground: &Ground) -> Result<()> {
    assert_eq!(ground.outcomes("a")?, "exited 0");
    Ok(())
}

#[test]
fn a_leader_killed_at_any_step_is_followed_by_one_that_starts_the_pod_once() -> Result<()> {
    beside_others(|kubernetes| {
        for (step, point) in STEPS {
            let Scene { ground, leader, paused, .. } = Scene::at(kubernetes, step, point)?;
            leader.kill()?;
            paused.release();
            let next = ground.scheduler("next")?;
            ends_well(&ground, &next)?;
            ran_once(&ground)?;
        }
        Ok(())
    })
}

#[test]
fn a_leader_that_was_deposed_at_any_step_starts_nothing_twice_when_it_goes_on() -> Result<()> {
    beside_others(|kubernetes| {
        for (step, point) in STEPS {
            let Scene { ground, leader, paused, .. } = Scene::at(kubernetes, step, point)?;
            let standby = ground.scheduler("standby")?;
            ground.until("SELECT count(*) FROM leader WHERE epoch = 2", "1", &standby)?;
            // The zombie wakes while the other one is at it.
            paused.release();
            ends_well(&ground, &standby).with_context(|| format!("the old leader:\n{}", leader.log()))?;
            ran_once(&ground)?;
        }
        Ok(())
    })
}

#[test]
fn a_process_that_was_stopped_while_it_led_starts_nothing_twice_when_it_goes_on() -> Result<()> {
    beside_others(|kubernetes| {
        let ground = Ground::with_pods(kubernetes)?;
        let leader = ground.begin(crate::MANY)?;
        for epoch in 2..=3 {
            ground.until_started(epoch * 3, &leader)?;
            leader.signal(Signal::SIGSTOP)?;
            let standby = ground.scheduler(&format!("standby{epoch}"))?;
            ground.until(&format!("SELECT count(*) FROM leader WHERE epoch = {epoch}"), "1", &standby)?;
            leader.signal(Signal::SIGCONT)?;
            standby.kill()?;
        }
        let last = ground.scheduler("last")?;
        ends_well(&ground, &last)
    })
}
