//! Where attempts are: what is looked at for them, and what is not.

use super::*;

/// What people are told of it.
const OUT_OF_REACH: &str = "waits: its pod is in namespace";

fn queued(claim: &str) -> Open {
    open(AttemptState::Queued, Some(claim), None)
}

fn running_as(claim: &str) -> Open {
    open(AttemptState::Running, Some(claim), Some("n1/b1"))
}

#[test]
fn an_attempt_is_judged_by_its_own_namespace_alone() {
    let mut scene = Scene::new(&[running_as("c/a/u1")]);
    assert_eq!(scene.list("a", vec![]), "look", "nobody waits for `b`");
    let told = scene.step(Happened::Answered(id(), Answer::Looked(Looked::Missing)));
    assert!(told.starts_with("warn; lookatnode; waits: somebody removed its pod by force"), "{told}");
    assert_eq!(scene.list("b", vec![]), "synced, turn 0");

    let mut scene = Scene::new(&[running_as("c/b/u1")]);
    assert_eq!(scene.list("a", vec![]), "");
    assert_eq!(scene.list("b", vec![]), "look; synced, turn 0");
}

#[test]
fn a_claim_whose_pod_is_not_in_its_namespace_is_lost() {
    let mut scene = Scene::new(&[queued("c/a/u1")]);
    assert_eq!(scene.order(Order::Confirm(vec![(run(), id(), "c/a/u1".into())])), "");
    assert_eq!(scene.list("a", vec![]), "look");
    assert_eq!(scene.step(Happened::Answered(id(), Answer::Looked(Looked::Missing))), "endlog");
    assert!(scene.step(Happened::LogEnded(id(), Left::Nothing)).starts_with("finished Lost"));
}

#[test]
fn the_node_of_a_pod_is_asked_for_in_its_own_cluster() {
    let mut scene = Scene::new(&[running_as("c/a/u1")]);
    scene.list("a", vec![]);
    let todo = scene.fleet.step(Happened::Answered(id(), Answer::Looked(Looked::Missing)), scene.now);
    let asks = |todo: &Todo| matches!(todo, Todo::Attempt(_, Effect::LookAtNode { cluster: Some(0), .. }));
    assert!(todo.iter().any(asks), "{todo:?}");
}

#[test]
fn what_is_in_a_namespace_or_a_cluster_that_was_taken_out_stays_open() {
    for open in [queued("c/gone/u1"), queued("old/a/u1"), running_as("c/gone/u1"), running_as("old/a/u1")] {
        let mut scene = Scene::new(std::slice::from_ref(&open));
        assert_eq!(scene.list("a", vec![]), "");
        let told = scene.list("b", vec![]);
        assert!(told.starts_with(&format!("warn; {OUT_OF_REACH}")) && told.ends_with("; synced, turn 0"), "{told}");
        assert_eq!(scene.order(Order::Confirm(vec![(run(), id(), "c/gone/u1".into())])), "");
        assert_eq!(scene.list("a", vec![]), "");
        assert_eq!(scene.fleet.wake_at(), None);
    }
}

#[test]
fn a_cancel_of_what_nobody_sees_is_no_proof_of_its_end() {
    let mut scene = Scene::synced(&[queued("c/gone/u1")]);
    let told = scene.order(Order::Cancel(vec![(run(), id())]));
    assert!(told.starts_with("warn; waits: it is canceled, but") && !told.contains("; look"), "{told}");
    let mut scene = Scene::synced(&[running_as("old/a/u1")]);
    let told = scene.order(Order::Cancel(vec![(run(), id())]));
    assert!(told.starts_with("warn; waits: it is canceled, but"), "{told}");
    assert!(!told.contains("; look"), "no other cluster is asked for its node: {told}");
}

#[test]
fn an_attempt_that_comes_with_its_confirmation_has_its_place_too() {
    let mut scene = Scene::synced(&[]);
    let told = scene.order(Order::Confirm(vec![(run(), id(), "c/gone/u1".into())]));
    assert!(told.starts_with(&format!("warn; {OUT_OF_REACH}")), "{told}");
    let mut scene = Scene::synced(&[]);
    assert_eq!(scene.order(Order::Confirm(vec![(run(), id(), "c/a/u1".into())])), "look");
}

#[test]
fn a_cluster_with_another_name_has_the_same_pods() {
    let mut scene = Scene::new(&[running_as("old/a/u1")]);
    assert_eq!(scene.list("b", vec![pod(&[confirmed(), bound(), running()])]), "follow");
    assert_eq!(scene.list("a", vec![]), "synced, turn 42");
    assert_eq!(scene.list("b", vec![]), "look", "from here on it is one of `b`");
}

#[test]
fn what_was_not_claimed_is_made_where_its_task_says_now() {
    let mut scene = Scene::synced(&[open(AttemptState::Queued, None, None)]);
    assert_eq!(scene.order(Order::Launch(vec![launch(id(), 42)])), "create");
    assert_eq!(scene.step(Happened::Answered(id(), Answer::Created(Made::Pod(Box::new(pod(&[])))))), "claimed c/a/u1");
}
