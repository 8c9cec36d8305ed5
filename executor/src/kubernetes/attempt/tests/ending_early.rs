//! Cancels, timeouts, and pods that can't start.

use super::{super::super::pod::sample::*, *};

#[test]
fn a_cancel_before_the_claim_is_committed_is_over_at_once() {
    let mut scene = Scene::new();
    scene.launch();
    assert_eq!(scene.take(Input::Cancel), "finished 00:01:30 NeverStarted");
    // The creation that was under way is answered now: its pod never runs.
    assert_eq!(scene.answer(Answer::Created(Made::Pod(seen(&[])))), "delete u1 in version 10");
    assert_eq!(scene.take(Input::Acknowledge), "");
    assert_eq!(scene.answer(Answer::Deleted(Deleted::Asked)), "forget");
}

#[test]
fn a_cancel_of_a_committed_claim_deletes_the_gated_pod_in_its_version() {
    let mut scene = Scene::taken_over(AttemptState::Canceling, Some("u1"), None);
    assert_eq!(scene.take(Input::Cancel), "");
    assert_eq!(scene.see(&[]), "delete u1 in version 10");
    assert_eq!(scene.answer(Answer::Deleted(Deleted::Asked)), "");
    assert_eq!(scene.take(Input::PodDeleted(pod(&[version(12)]))), "look");
    assert_eq!(scene.answer(Answer::Looked(Looked::Missing)), "finished 00:01:30 NeverStarted");
}

#[test]
fn a_cancel_that_meets_an_old_leaders_confirmation_ends_what_runs() {
    let mut scene = Scene::taken_over(AttemptState::Canceling, Some("u1"), None);
    assert_eq!(scene.see(&[]), "delete u1 in version 10");
    let ran = seen(&[confirmed(), bound(), running()]);
    assert_eq!(scene.answer(Answer::Deleted(Deleted::Changed(Some(ran)))), "follow task; look at node n1");
    assert_eq!(scene.take(Input::Node(there("b1"))), "started 00:01:00 on n1/b1; delete u1 within 30 s");
    assert_eq!(scene.answer(Answer::Deleted(Deleted::Asked)), "");
    assert_eq!(scene.see(&[confirmed(), bound(), running(), deleted(50), version(35)]), "wake at 00:02:50");
    assert_eq!(
        scene.see(&[confirmed(), bound(), ended(143, "Error"), deleted(50)]),
        r#"end log Complete ["the container ended with exit code 143"]"#
    );
    assert_eq!(scene.take(Input::LogEnded(Left::Nothing)), "finished 00:02:00 Canceled");
}

#[test]
fn a_cancel_of_a_pod_that_is_not_there_waits_until_all_lists_are_complete() {
    let mut scene = Scene::taken_over(AttemptState::Canceling, Some("u1"), None);
    assert_eq!(scene.take(Input::Cancel), "");
    assert_eq!(scene.take(Input::Unlisted), "finished 00:01:30 NeverStarted");
}

#[test]
fn a_pod_that_waits_for_a_node_is_canceled_without_ever_starting() {
    let mut scene = Scene::claimed();
    scene.take(Input::Confirm("u1".into()));
    scene.answer(Answer::Confirmed(Confirmed::Pod(seen(&[confirmed()]))));
    assert_eq!(scene.take(Input::Cancel), "delete u1 within 30 s");
    scene.answer(Answer::Deleted(Deleted::Asked));
    assert_eq!(scene.see(&[confirmed(), deleted(30), version(22)]), "finished 00:01:30 NeverStarted");
}

#[test]
fn an_execution_timeout_counts_from_the_containers_start() {
    let timeout = || json!({"metadata": {"annotations": {"gridflow.io/execution-timeout": "90000"}}});
    let mut scene = Scene::running();
    assert_eq!(scene.see(&[confirmed(), bound(), running(), timeout(), version(31)]), "wake at 00:02:30");
    assert_eq!(scene.at("00:02:30").take(Input::Wake), "delete u1 within 30 s");
    scene.answer(Answer::Deleted(Deleted::Asked));
    let late = json!({"status": {"containerStatuses": [{"name": "task", "state": {"terminated": {
        "exitCode": 143, "startedAt": "2026-01-01T00:01:00Z", "finishedAt": "2026-01-01T00:02:31Z",
    }}}]}, "metadata": {"deletionTimestamp": "2026-01-01T00:03:00Z", "deletionGracePeriodSeconds": 30}});
    assert_eq!(scene.see(&[confirmed(), bound(), ended(143, "Error"), timeout(), late]), "fetch events");
    scene.answer(Answer::Events(vec!["event: Killing".into()]));
    assert_eq!(scene.take(Input::LogEnded(Left::Nothing)), "finished 00:02:31 TimedOut");
}

#[test]
fn a_pod_that_can_not_start_is_given_time_and_then_ended() {
    let mut scene = Scene::confirmed();
    assert_eq!(scene.see(&[confirmed(), bound(), waiting("ContainerCreating"), version(22)]), "");
    assert_eq!(
        scene.see(&[confirmed(), bound(), waiting("ErrImagePull"), version(23)]),
        "wake at 00:03:30; its start waits: container: the image can't be pulled (ErrImagePull), given up at \
         2026-01-01T00:03:30Z: no such thing"
    );
    scene.at("00:02:00");
    assert_eq!(
        scene.see(&[confirmed(), bound(), waiting("ImagePullBackOff"), version(24)]),
        "wake at 00:03:30; its start waits: container: the image can't be pulled (ImagePullBackOff), given up at \
         2026-01-01T00:03:30Z: no such thing"
    );
    assert_eq!(scene.at("00:03:30").take(Input::Wake), "delete u1 within 30 s");
}

#[test]
fn an_image_that_may_not_be_pulled_is_hopeless_at_once() {
    let mut scene = Scene::confirmed();
    assert_eq!(scene.see(&[confirmed(), bound(), waiting("ErrImageNeverPull"), version(23)]), "delete u1 within 30 s");
}

#[test]
fn a_pod_that_no_node_takes_is_given_up_after_a_while() {
    let mut scene = Scene::claimed();
    scene.take(Input::Confirm("u1".into()));
    let nowhere = json!({"status": {"conditions": [{
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes are available",
    }]}});
    let told = scene.answer(Answer::Confirmed(Confirmed::Pod(seen(&[confirmed(), nowhere.clone()]))));
    assert_eq!(
        told,
        "wake at 00:11:30; its start waits: no node can take the pod, given up at 2026-01-01T00:11:30Z: 0/1 nodes are \
         available"
    );
    assert_eq!(scene.at("00:11:30").take(Input::Wake), "delete u1 within 30 s");
    scene.answer(Answer::Deleted(Deleted::Asked));
    assert_eq!(scene.see(&[confirmed(), nowhere, deleted(0), version(25)]), "fetch events");
    let told = scene.answer(Answer::Events(Vec::new()));
    assert!(told.contains("no node could take the pod for 10 min: 0/1 nodes are available"), "{told}");
}
