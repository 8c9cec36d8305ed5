//! What people are told while an attempt does not begin, or does not end.

use super::{super::super::pod::sample::*, *};

fn pulls(reason: &str, version_no: u64) -> [Value; 4] {
    [confirmed(), bound(), waiting(reason), version(version_no)]
}

#[test]
fn a_reason_is_told_when_it_appears_changes_and_goes_and_only_then() {
    let mut scene = Scene::confirmed();
    let told = scene.see(&pulls("CreateContainerConfigError", 22));
    let config = "its start waits: container: the container can't be created (CreateContainerConfigError), given up at \
                  2026-01-01T00:02:00Z: no such thing";
    assert_eq!(told, format!("wake at 00:02:00; {config}"));
    assert_eq!(scene.see(&pulls("CreateContainerConfigError", 23)), "wake at 00:02:00");
    assert_eq!(scene.at("00:01:40").take(Input::Wake), "wake at 00:02:00");
    let told = scene.see(&pulls("ErrImagePull", 24));
    assert!(told.starts_with("wake at 00:03:40; its start waits: container: the image can't be pulled"), "{told}");
    assert_eq!(scene.see(&pulls("ContainerCreating", 25)), "its start waits: no more");
    assert_eq!(scene.see(&pulls("ContainerCreating", 26)), "");
}

#[test]
fn a_start_needs_no_word_that_nothing_is_in_its_way() {
    let mut scene = Scene::confirmed();
    assert!(scene.see(&pulls("ErrImagePull", 22)).contains("its start waits"));
    assert_eq!(scene.see(&[confirmed(), bound(), running()]), "follow task; look at node n1");
    assert_eq!(scene.take(Input::Node(there("b1"))), "started 00:01:00 on n1/b1");
}

#[test]
fn a_call_that_fails_again_is_told_and_one_that_fails_once_is_not() {
    let later = || Answer::Confirmed(Confirmed::Later("no answer within 15 s".into()));
    let mut scene = Scene::claimed();
    scene.take(Input::Confirm("u1".into()));
    assert_eq!(scene.answer(later()), "warn: no answer within 15 s; wake at 00:01:31");
    assert_eq!(scene.at("00:01:31").take(Input::Wake), "confirm u1");
    let again =
        "warn: no answer within 15 s; wake at 00:01:33; its start waits: it is tried again: no answer within 15 s";
    assert_eq!(scene.answer(later()), again);
    assert_eq!(scene.at("00:01:33").take(Input::Wake), "confirm u1");
    let made = Answer::Confirmed(Confirmed::Pod(seen(&[confirmed()])));
    assert_eq!(scene.answer(made), "its start waits: no more");
}

#[test]
fn a_namespace_that_refuses_is_told_to_what_is_to_be_made_there() {
    let mut scene = Scene::new();
    scene.launch();
    assert_eq!(scene.take(Input::HeldBack("quota".into())), "its start waits: quota");
    assert_eq!(scene.take(Input::HeldBack("quota".into())), "");
    assert_eq!(scene.take(Input::HeldBack("another quota".into())), "its start waits: another quota");
    assert_eq!(scene.answer(Answer::Created(Made::Pod(seen(&[])))), "claimed u1; its start waits: no more");
}

#[test]
fn what_is_canceled_or_over_waits_for_nothing() {
    let mut scene = Scene::new();
    scene.launch();
    scene.take(Input::Cancel);
    assert_eq!(scene.take(Input::HeldBack("quota".into())), "");
}

#[test]
fn gates_of_others_are_named_once_ours_is_off() {
    let gates = |ours: bool| {
        let ours = ours.then(|| json!({"name": "gridflow.io/confirm"}));
        let theirs = json!({"name": "kueue.x-k8s.io/admission"});
        json!({"spec": {"schedulingGates": ours.into_iter().chain([theirs]).collect::<Vec<_>>()}})
    };
    let mut scene = Scene::claimed();
    assert_eq!(scene.see(&[gates(true), version(11)]), "");
    scene.take(Input::Confirm("u1".into()));
    let held = "its start waits: its pod is held back by scheduling gates of others: `kueue.x-k8s.io/admission`";
    assert_eq!(scene.answer(Answer::Confirmed(Confirmed::Pod(seen(&[confirmed(), gates(false)])))), held);
    assert_eq!(scene.see(&[confirmed(), version(22)]), "its start waits: no more");
}

#[test]
fn what_can_not_be_seen_is_said_of_whatever_has_a_pod() {
    let unseen = || Input::Unseen(Kind::Pod, Some("the server is away".into()));
    let mut scene = Scene::new();
    scene.launch();
    assert_eq!(scene.take(unseen()), "", "its creation says by itself why it waits");
    let claimed = scene.answer(Answer::Created(Made::Pod(seen(&[]))));
    assert_eq!(claimed, "claimed u1; its start waits: the server is away");
    assert_eq!(scene.take(Input::Unseen(Kind::Pod, None)), "its start waits: no more");

    let mut scene = Scene::running();
    assert_eq!(scene.take(unseen()), "its end waits: the server is away");
    assert_eq!(scene.take(unseen()), "");
    assert_eq!(scene.take(Input::Cancel), "delete u1 within 30 s");
    assert_eq!(scene.take(Input::Unseen(Kind::Pod, None)), "its end waits: no more");
}

#[test]
fn a_start_that_takes_long_is_explained_by_what_its_node_warns_of() {
    let mut scene = Scene::confirmed();
    assert_eq!(scene.at("00:01:44").take(Input::Wake), "");
    assert_eq!(scene.at("00:01:45").take(Input::Wake), "ask for warnings");
    let warned = "its start waits: its node can't start it: FailedMount: no such secret";
    assert_eq!(scene.take(Input::Warned(Some("FailedMount: no such secret".into()))), warned);
    assert_eq!(scene.at("00:02:14").take(Input::Wake), "");
    assert_eq!(scene.at("00:02:15").take(Input::Wake), "ask for warnings");
    assert_eq!(scene.take(Input::Warned(None)), "its start waits: no more");
    // What the pod itself shows says more.
    scene.take(Input::Warned(Some("Failed: no such image".into())));
    let told = scene.see(&pulls("ErrImagePull", 23));
    assert!(told.contains("its start waits: container: the image can't be pulled"), "{told}");
    assert!(!scene.at("00:02:45").take(Input::Wake).contains("ask for warnings"));
}

#[test]
fn what_has_started_or_waits_for_a_node_asks_for_no_warnings() {
    let mut scene = Scene::running();
    assert!(!scene.attempt.wants_warnings());
    assert_eq!(scene.at("00:05:00").take(Input::Wake), "");
    let mut scene = Scene::claimed();
    scene.take(Input::Confirm("u1".into()));
    scene.answer(Answer::Confirmed(Confirmed::Pod(seen(&[confirmed()]))));
    assert!(!scene.attempt.wants_warnings());
}
