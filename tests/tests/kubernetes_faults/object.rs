//! Objects that somebody else deletes, makes or forbids.

use anyhow::{Context, Result};
use gridflow_failpoint::Point;
use gridflow_testkit::kubernetes::BUSYBOX;
use gridflow_tests::{Failpoints, Ground, wait_for};
use serde_json::json;

use crate::{PATIENCE, WAITS, beside_others, ends_well, ends_well_after, go, open_attempt, scheduler::quota};

/// Deletes the pod of the running attempt so, and expects it to be tried again once it is gone.
fn deleted_by_hand(how: &[&str]) -> Result<()> {
    beside_others(|kubernetes| {
        let ground = Ground::with_pods(kubernetes)?;
        let scheduler = ground.begin(WAITS)?;
        ground.until_running(1, &scheduler)?;
        let pod = format!("gf-{}", open_attempt(&ground)?);
        ground.pods().namespace.kubectl(&[&["delete", "pod", &pod, "--wait=false"], how].concat())?;
        ground.until("SELECT count(*) FROM attempt WHERE outcome = 'lost'", "1", &scheduler)?;
        // Killed, it wrote nothing down; by now it is gone.
        ground.note_that_all_are_killed()?;
        go(&ground)?;
        ends_well_after(&ground, 1, &scheduler)?;
        let log = ground.first_log("a")?;
        assert!(log.contains("somebody deleted its pod"), "its log says why: {log}");
        Ok(())
    })
}

#[test]
fn a_pod_deleted_by_hand_is_tried_again_at_no_cost_of_the_task() -> Result<()> {
    deleted_by_hand(&[])
}

#[test]
fn a_pod_deleted_by_force_is_tried_again_once_its_command_is_gone() -> Result<()> {
    deleted_by_hand(&["--force", "--grace-period=0"])
}

#[test]
fn what_a_quota_does_not_admit_waits_for_its_turn() -> Result<()> {
    beside_others(|kubernetes| {
        let ground = Ground::with_pods(kubernetes)?;
        ground.pods().namespace.apply(&quota(2))?;
        let mut tasks = String::from("tasks:\n");
        for no in 0..6 {
            tasks += &format!("  t{no}: {{bash: '. $LIBRARY; sleep 1'}}\n");
        }
        let scheduler = ground.begin(&tasks)?;
        ends_well(&ground, &scheduler)
    })
}

#[test]
fn a_name_taken_by_somebody_elses_pod_fails_the_attempt_and_leaves_that_pod_alone() -> Result<()> {
    beside_others(|kubernetes| {
        let ground = Ground::with_pods(kubernetes)?;
        let points = Failpoints::new(ground.cluster.path("points"))?;
        ground.save("tasks:\n  a: {bash: '. $LIBRARY; true'}\n")?;
        let scheduler = ground.scheduler_with("first", &[points.env()])?;
        ground.until_published(&scheduler)?;
        points.arm(Point::Act, "pause")?;
        ground.ask()?;
        let paused = points.taken(Point::Act).with_context(|| ground.picture(&scheduler))?;
        let name = format!("gf-{}", open_attempt(&ground)?);
        let namespace = &ground.pods().namespace;
        namespace.apply(&json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "theirs", "image": BUSYBOX, "command": ["sleep", "3600"]}],
        }}))?;
        paused.release();
        ground.until("SELECT count(*) FROM attempt WHERE is_open", "0", &scheduler)?;
        let theirs = namespace.kubectl(&["get", "pod", &name, "--output", "jsonpath={.metadata.deletionTimestamp}"])?;
        assert_eq!(theirs, "", "it is not ours to delete");
        assert!(ground.first_log("a")?.contains(&name), "its log names the pod");
        Ok(())
    })
}

#[test]
fn a_pod_made_anew_under_a_confirmed_name_does_not_count() -> Result<()> {
    beside_others(|kubernetes| {
        let ground = Ground::with_pods(kubernetes)?;
        let points = Failpoints::new(ground.cluster.path("points"))?;
        ground.save(WAITS)?;
        let scheduler = ground.scheduler_with("first", &[points.env()])?;
        ground.until_published(&scheduler)?;
        // Its claim is committed, and nobody has confirmed it.
        let namespace = &ground.pods().namespace;
        namespace.apply(&quota(0))?;
        ground.ask()?;
        wait_for("a refusal", PATIENCE, || Ok(scheduler.log().contains("exceeded quota").then_some(())))?;
        points.arm(Point::Act, "pause")?;
        namespace.kubectl(&["delete", "resourcequota", "pods"])?;
        let paused = points.taken(Point::Act).with_context(|| ground.picture(&scheduler))?;
        let name = format!("gf-{}", open_attempt(&ground)?);
        let mut copy: serde_json::Value =
            serde_json::from_str(&namespace.kubectl(&["get", "pod", &name, "--output", "json"])?)?;
        namespace.kubectl(&["delete", "pod", &name, "--force", "--grace-period=0"])?;
        let labels = copy["metadata"]["labels"].take();
        let annotations = copy["metadata"]["annotations"].take();
        copy["metadata"] = json!({"name": name, "labels": labels, "annotations": annotations});
        copy["status"] = json!(null);
        namespace.apply(&copy)?;
        paused.release();
        ground.until("SELECT count(*) FROM attempt WHERE outcome IN ('lost', 'never_started')", "1", &scheduler)?;
        go(&ground)?;
        ends_well_after(&ground, 1, &scheduler)
    })
}
