//! Attempts whose namespace was taken out of the clusters file.

use gridflow_core::ExecutorKind;

use super::{super::super::pod::sample::*, *};

const UNSEEN: &str = "its pod is in namespace `ns` of cluster `c`, which the clusters file does not name any more, and \
                      may live there";

/// As a new leader finds it. With a cluster, only the namespace is gone.
fn away(open: &Open, cluster: Option<usize>) -> Scene {
    let site = SiteName { cluster: "c".into(), namespace: "ns".into() };
    Scene::of(Attempt::open(open, Home::OutOfReach { site, cluster }))
}

fn queued() -> Open {
    open(AttemptState::Queued, Some("c/ns/u1"), None)
}

fn started() -> Open {
    open(AttemptState::Running, Some("c/ns/u1"), Some("n1/b1"))
}

/// In the log, and where people look.
fn said(reason: &str, open: &Open) -> String {
    let what = if open.place.is_some() { "its end" } else { "its start" };
    format!("warn: {reason}; {what} waits: {reason}")
}

#[test]
fn silence_where_nobody_looks_is_not_taken_for_an_end() {
    let way = "put the namespace back into the file, or cancel it: then it ends once the namespace is back";
    for (open, cluster) in [(queued(), Some(0)), (queued(), None), (started(), None)] {
        let mut scene = away(&open, cluster);
        assert_eq!(scene.take(Input::Confirm("u1".into())), "");
        let told = said(&format!("{UNSEEN}: the attempt stays open; {way}"), &open);
        assert_eq!(scene.take(Input::Unlisted), told);
        assert_eq!(scene.take(Input::Unlisted), "", "it is said once");
        assert_eq!(scene.at("23:59:59").take(Input::Wake), "");
    }
}

#[test]
fn before_everything_was_listed_it_may_still_turn_up() {
    let mut scene = away(&started(), Some(0));
    assert_eq!(scene.take(Input::Cancel), "");
    let mut scene = away(&started(), Some(0));
    assert_eq!(scene.take(Input::Wake), "");
    // Its cluster has another name now.
    assert_eq!(scene.see(&[confirmed(), bound(), running()]), "follow task");
    assert_eq!(scene.see(&[confirmed(), bound(), ended(0, "Completed")]), "end log Complete []");
}

#[test]
fn one_that_turns_up_late_goes_on_too() {
    let mut scene = away(&queued(), None);
    assert!(scene.take(Input::Unlisted).starts_with("warn"));
    assert_eq!(scene.see(&[]), "confirm u1; its start waits: no more");
}

#[test]
fn one_that_is_seen_again_while_it_is_canceled_is_out_of_sight_no_more() {
    let mut scene = away(&started(), None);
    scene.take(Input::Unlisted);
    scene.take(Input::Cancel);
    let told = scene.see(&[confirmed(), bound(), running()]);
    assert_eq!(told, "follow task; delete u1 within 30 s; its end waits: no more");
}

#[test]
fn a_pod_that_is_not_its_claim_changes_nothing() {
    let mut scene = away(&started(), None);
    assert_eq!(scene.see(&[uid("u2")]), "sweep u2");
    assert!(scene.take(Input::Unlisted).starts_with("warn"));
}

#[test]
fn a_cancel_ends_nothing_that_nobody_can_see() {
    let canceled = format!("it is canceled, but {UNSEEN}: it ends once the namespace is put back into the file");
    for (open, cluster) in [(queued(), Some(0)), (queued(), None), (started(), None)] {
        let mut scene = away(&open, cluster);
        scene.take(Input::Unlisted);
        assert_eq!(scene.take(Input::Cancel), said(&canceled, &open));
        assert_eq!(scene.at("23:59:59").take(Input::Wake), "");
    }
}

#[test]
fn a_cancel_that_was_under_way_says_so_when_everything_was_listed() {
    let mut scene = away(&open(AttemptState::Canceling, Some("c/ns/u1"), None), None);
    assert_eq!(scene.take(Input::Cancel), "");
    let told = scene.take(Input::Unlisted);
    assert!(told.starts_with("warn: it is canceled, but its pod is in namespace `ns`"), "{told}");
}

#[test]
fn after_a_cancel_the_node_can_prove_the_end_where_it_can_be_asked() {
    let proof = "or once node `n1` is removed, has booted again, or is tainted `node.kubernetes.io/out-of-service`";
    let mut scene = away(&started(), Some(0));
    let told = scene.take(Input::Unlisted);
    assert!(told.ends_with(proof), "{told}");
    let told = scene.take(Input::Cancel);
    assert!(
        told.contains(&format!("{proof}; look at node n1; wake at 00:01:45; its end waits: it is canceled")),
        "{told}"
    );
    assert_eq!(scene.take(Input::Node(there("b1"))), "wake at 00:01:45");
    assert_eq!(scene.at("00:01:45").take(Input::Wake), "look at node n1; wake at 00:02:00");
    assert_eq!(scene.take(Input::Node(NodeWord::Missing)), "wake at 00:02:00");
    scene.at("00:02:00").take(Input::Wake);
    assert_eq!(scene.at("00:02:45").take(Input::Node(NodeWord::Missing)), "finished 00:02:45 Canceled");
    assert_eq!(scene.take(Input::Acknowledge), "forget");
}

#[test]
fn a_node_proves_nothing_of_the_executors_of_a_driver() {
    let mut scene = away(&Open { executor: ExecutorKind::Spark, ..started() }, Some(0));
    scene.take(Input::Unlisted);
    let told = scene.take(Input::Cancel);
    assert!(told.ends_with("it ends once the namespace is put back into the file"), "{told}");
}

#[test]
fn what_nobody_knows_any_more_is_forgotten() {
    let mut scene = away(&started(), None);
    assert_eq!(scene.take(Input::Acknowledge), "forget");
}
