//! From the committed claim on: which pod is let go, and what is believed of it.

use super::{super::super::pod::sample::*, *};

#[test]
fn a_claim_whose_pod_is_not_there_any_more_is_lost() {
    let mut scene = Scene::claimed();
    assert_eq!(scene.take(Input::Confirm("u1".into())), "confirm u1");
    assert_eq!(scene.answer(Answer::Confirmed(Confirmed::NotOurs)), "look");
    assert_eq!(scene.answer(Answer::Looked(Looked::Missing)), "fetch events");
    let told = scene.answer(Answer::Events(vec![]));
    assert_eq!(told, r#"end log NoMore ["somebody deleted its pod before it started"]"#);
    assert!(scene.take(Input::LogEnded(Left::Nothing)).contains("Lost"));
}

#[test]
fn a_pod_that_was_deleted_and_made_again_by_somebody_is_swept_and_never_confirmed() {
    let mut scene = Scene::claimed();
    assert_eq!(scene.see(&[uid("u2"), version(15)]), "");
    assert_eq!(scene.take(Input::Confirm("u1".into())), "sweep u2; look");
    assert_eq!(
        scene.answer(Answer::Looked(Looked::Pod(seen(&[uid("u2"), version(15)])))),
        "sweep u2; end log NoMore [\"somebody deleted its pod before it started\"]"
    );
}

#[test]
fn a_finalizer_that_somebody_took_off_is_put_on_again() {
    let mut scene = Scene::running();
    let bare = json!({"metadata": {"finalizers": null, "resourceVersion": "33"}});
    assert_eq!(scene.see(&[confirmed(), bound(), running(), bare]), "confirm u1");
}

#[test]
fn a_pod_that_the_watch_lost_sight_of_is_looked_at_before_it_is_believed_gone() {
    let mut scene = Scene::confirmed();
    let unbound = pod(&[confirmed(), version(25)]);
    assert_eq!(scene.take(Input::PodDeleted(unbound)), "look");
    let there = seen(&[confirmed(), bound(), version(26)]);
    assert_eq!(scene.answer(Answer::Looked(Looked::Pod(there))), "");
}

#[test]
fn a_confirmation_whose_answer_was_lost_is_asked_for_again_until_the_pod_shows_it() {
    let mut scene = Scene::claimed();
    scene.take(Input::Confirm("u1".into()));
    assert_eq!(scene.answer(Answer::Confirmed(Confirmed::Later("timeout".into()))), "warn: timeout; wake at 00:01:31");
    assert_eq!(scene.see(&[confirmed()]), "");
    assert_eq!(scene.at("00:01:31").take(Input::Wake), "");
}

#[test]
fn what_the_watch_shows_late_does_not_undo_what_an_answer_has_shown() {
    let mut scene = Scene::confirmed();
    assert_eq!(scene.see(&[version(11)]), "");
    assert!(scene.attempt.pod().unwrap().is_guarded);
}

#[test]
fn what_was_claimed_but_not_confirmed_is_confirmed_by_the_next_leader() {
    let mut scene = Scene::taken_over(AttemptState::Queued, Some("u1"), None);
    assert_eq!(scene.take(Input::Confirm("u1".into())), "");
    assert_eq!(scene.see(&[]), "confirm u1");
}

#[test]
fn a_gate_that_somebody_opened_ends_the_pod_and_loses_the_attempt() {
    let mut scene = Scene::claimed();
    let opened = json!({"spec": {"schedulingGates": null}, "metadata": {"resourceVersion": "14"}});
    assert_eq!(scene.see(std::slice::from_ref(&opened)), "delete u1 within 30 s");
    scene.answer(Answer::Deleted(Deleted::Asked));
    assert_eq!(scene.take(Input::PodDeleted(pod(&[opened, deleted(0)]))), "look");
    assert_eq!(scene.answer(Answer::Looked(Looked::Missing)), "fetch events");
    scene.answer(Answer::Events(Vec::new()));
    assert!(scene.take(Input::LogEnded(Left::Nothing)).contains("somebody removed the gate"));
}
