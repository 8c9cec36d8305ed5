//! What is not about one pod, and reaches those that it explains.

use super::*;

fn unseen(scene: &mut Scene, namespace: &str, reason: Option<&str>) -> String {
    scene.word(namespace, Word::Unseen(Kind::Pod, reason.map(Into::into)))
}

#[test]
fn a_namespace_that_can_not_be_watched_is_told_to_what_is_in_it() {
    let mut scene = Scene::synced(&[open(AttemptState::Running, Some("c/a/u1"), Some("n1/b1"))]);
    scene.see(&[confirmed(), bound(), running()]);
    assert_eq!(unseen(&mut scene, "b", Some("forbidden")), "");
    assert_eq!(unseen(&mut scene, "a", Some("forbidden")), "waits: forbidden");
    assert_eq!(unseen(&mut scene, "a", None), "waits: no more");
}

#[test]
fn what_comes_to_a_namespace_that_can_not_be_watched_is_told() {
    let mut scene = Scene::synced(&[]);
    unseen(&mut scene, "a", Some("forbidden"));
    assert_eq!(scene.order(Order::Launch(vec![launch(id(), 42)])), "create");
    let made = scene.step(Happened::Answered(id(), Answer::Created(Made::Pod(Box::new(pod(&[]))))));
    assert_eq!(made, "claimed c/a/u1; waits: forbidden");
}

#[test]
fn warnings_are_asked_for_once_for_all_that_wait_for_them() {
    let mut scene = Scene::synced(&[open(AttemptState::Queued, Some("c/a/u1"), None)]);
    assert_eq!(scene.see(&[confirmed(), bound()]), "");
    let due = scene.fleet.wake_at().expect("it is to be asked about");
    scene.now = due;
    assert_eq!(scene.step(Happened::Woke), "find warnings in a");
    let site = site("a");
    let mut again = Vec::new();
    scene.fleet.ask_for_warnings(id(), site.clone(), due, &mut again);
    assert!(again.is_empty(), "one question at a time: {again:?}");
    let warned = HashMap::from([("u1".into(), "FailedMount: no".into()), ("u2".into(), "of another".into())]);
    assert_eq!(scene.step(Happened::Warned(site.clone(), warned)), "waits: its node can't start it: FailedMount: no");
    scene.fleet.ask_for_warnings(id(), site, due, &mut again);
    assert!(again.is_empty(), "the answer is fresh: {again:?}");
    assert_eq!(scene.step(Happened::Warned(super::site("a"), HashMap::new())), "waits: no more");
}
