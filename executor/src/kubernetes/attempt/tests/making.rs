//! Until the claim is told, and what else may stand under the pod's name.

use super::{super::super::pod::sample::*, *};

#[test]
fn a_payload_is_there_before_the_claim_is_told() {
    let mut scene = Scene::new();
    let launch = Launch { payload: Some(crate::kubernetes::Payload { files: Vec::new() }), ..launch() };
    assert_eq!(scene.take(Input::Launch(Arc::new(launch), Some(site()))), "create");
    assert_eq!(scene.answer(Answer::Created(Made::Pod(seen(&[])))), "make secret of Pod u1");
    assert_eq!(scene.see(&[]), "");
    assert_eq!(scene.answer(Answer::SecretMade(Refused::Later("503".into()))), "warn: 503; wake at 00:01:31");
    assert_eq!(scene.at("00:01:31").take(Input::Wake), "make secret of Pod u1");
    assert_eq!(scene.answer(Answer::SecretMade(Refused::Done(()))), "claimed u1");
}

#[test]
fn a_launch_that_is_asked_for_again_makes_nothing_again() {
    let mut scene = Scene::new();
    assert_eq!(scene.launch(), "create");
    assert_eq!(scene.launch(), "");
    assert_eq!(scene.answer(Answer::Created(Made::Pod(seen(&[])))), "claimed u1");
    assert_eq!(scene.launch(), "");
}

#[test]
fn a_pod_that_an_earlier_leader_made_is_adopted() {
    let mut scene = Scene::new();
    scene.launch();
    assert_eq!(scene.answer(Answer::Created(Made::Exists(seen(&[])))), "claimed u1");

    let mut scene = Scene::taken_over(AttemptState::Queued, None, None);
    assert_eq!(scene.see(&[]), "");
    assert_eq!(scene.launch(), "claimed u1");
}

#[test]
fn a_pod_of_another_turn_or_specification_is_somebody_elses() {
    for (part, reason) in [
        (json!({"metadata": {"annotations": {"gridflow.io/turn": "41"}}}), "it is of turn 41, and not of turn 42"),
        (
            json!({"metadata": {"annotations": {"gridflow.io/spec-hash": "cd".repeat(32)}}}),
            "it was made from another specification",
        ),
    ] {
        let mut scene = Scene::new();
        scene.launch();
        let told = scene.answer(Answer::Created(Made::Exists(seen(&[part]))));
        assert!(told.contains(&format!("is taken by somebody else's object: {reason}")), "{told}");
        assert!(scene.take(Input::LogEnded(Left::Nothing)).contains("SpawnFailed"));
    }
}

#[test]
fn a_name_that_is_taken_fails_and_leaves_what_took_it_alone() {
    let mut scene = Scene::new();
    scene.launch();
    scene.answer(Answer::Created(Made::Foreign("it was not made by Gridflow".into())));
    assert!(scene.take(Input::LogEnded(Left::Nothing)).contains("SpawnFailed"));
    assert_eq!(scene.take(Input::Acknowledge), "forget");
}

#[test]
fn a_manifest_that_is_refused_fails_at_once_and_a_policy_that_refuses_gets_time() {
    let mut scene = Scene::new();
    scene.launch();
    let told = scene.answer(Answer::Created(Made::Invalid("spec.containers: required".into())));
    assert!(told.contains("the API server refuses the manifest: spec.containers: required"), "{told}");

    let mut scene = Scene::new();
    scene.launch();
    let denied = || Answer::Created(Made::Denied("webhook says no".into()));
    assert_eq!(scene.answer(denied()), "warn: webhook says no; wake at 00:01:31");
    assert_eq!(scene.at("00:01:31").take(Input::Wake), "create");
    assert_eq!(
        scene.answer(denied()),
        "warn: webhook says no; wake at 00:01:33; its start waits: the cluster refuses the pod, given up at \
         2026-01-01T00:11:30Z: webhook says no"
    );
    assert_eq!(scene.at("00:11:30").take(Input::Wake), "create");
    let told = scene.answer(denied());
    assert!(told.contains("the cluster refuses the pod: webhook says no"), "{told}");
}

#[test]
fn a_gated_pod_that_somebody_deleted_before_it_was_claimed_is_made_again() {
    let mut scene = Scene::new();
    let launch = Launch { payload: Some(crate::kubernetes::Payload { files: Vec::new() }), ..launch() };
    scene.take(Input::Launch(Arc::new(launch), Some(site())));
    scene.answer(Answer::Created(Made::Pod(seen(&[]))));
    assert_eq!(scene.take(Input::PodDeleted(pod(&[version(11)]))), "");
    assert_eq!(scene.answer(Answer::SecretMade(Refused::Missing)), "create");
}

#[test]
fn a_namespace_that_nobody_configured_fails_the_attempt() {
    let mut scene = Scene::new();
    let told = scene.take(Input::Launch(Arc::new(launch()), None));
    assert!(told.contains("knows no namespace `ns` of a cluster `c`"), "{told}");
    assert!(scene.take(Input::LogEnded(Left::Nothing)).contains("SpawnFailed"));
}
