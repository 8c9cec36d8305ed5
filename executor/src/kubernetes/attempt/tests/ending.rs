//! How ends are proven and told.

use super::{super::super::pod::sample::*, *};

#[test]
fn a_pod_goes_all_the_way() {
    let mut scene = Scene::running();
    assert_eq!(scene.see(&[confirmed(), bound(), ended(0, "Completed")]), "end log Complete []");
    assert_eq!(scene.take(Input::LogEnded(Left::Nothing)), "finished 00:02:00 Exited { code: 0 }");
    assert_eq!(scene.take(Input::Acknowledge), "release u1");
    assert_eq!(scene.answer(Answer::Released(Refused::Done(()))), "forget, and leave the pod");
}

#[test]
fn a_failure_gets_the_pods_last_events() {
    let mut scene = Scene::running();
    assert_eq!(scene.see(&[confirmed(), bound(), ended(3, "Error")]), "fetch events");
    assert_eq!(
        scene.answer(Answer::Events(vec!["event: Started".into()])),
        r#"end log Complete ["the container ended with exit code 3", "event: Started"]"#
    );
    assert_eq!(scene.take(Input::LogEnded(Left::Nothing)), "finished 00:02:00 Exited { code: 3 }");
}

#[test]
fn an_output_that_is_wrong_fails_a_success_and_no_failure() {
    for (code, told) in [(0, "OutputInvalid { message: \"too long\" }"), (3, "Exited { code: 3 }")] {
        let mut scene = Scene::running();
        scene.see(&[confirmed(), bound(), ended(code, "Error")]);
        scene.answer(Answer::Events(Vec::new()));
        assert_eq!(scene.take(Input::LogEnded(Left::Invalid("too long".into()))), format!("finished 00:02:00 {told}"));
    }
}

#[test]
fn a_pod_whose_task_has_ended_is_ended_with_what_runs_beside_it() {
    let beside = |state: Value| {
        json!({
            "spec": {"containers": [{"name": "task"}, {"name": "mesh"}]},
            "status": {"phase": "Running", "containerStatuses": [
                {"name": "task", "state": {"terminated": {
                    "exitCode": 3, "startedAt": "2026-01-01T00:01:00Z", "finishedAt": "2026-01-01T00:01:30Z",
                }}},
                {"name": "mesh", "state": state},
            ]},
        })
    };
    let runs = || beside(json!({"running": {}}));
    let mut scene = Scene::running();
    assert_eq!(scene.see(&[confirmed(), bound(), runs(), version(31)]), "wake at 00:01:40");
    assert_eq!(scene.at("00:01:40").take(Input::Wake), "delete u1 within 30 s");
    scene.answer(Answer::Deleted(Deleted::Asked));
    let ended = beside(json!({"terminated": {"exitCode": 143}}));
    assert_eq!(scene.see(&[confirmed(), bound(), ended, deleted(40), version(33)]), "fetch events");
    scene.answer(Answer::Events(Vec::new()));
    assert_eq!(scene.take(Input::LogEnded(Left::Nothing)), "finished 00:01:30 Exited { code: 3 }");
}

#[test]
fn a_running_attempt_is_found_again_by_the_next_leader() {
    let mut scene = Scene::taken_over(AttemptState::Running, Some("u1"), Some("n1/b1"));
    assert_eq!(scene.see(&[confirmed(), bound(), running()]), "follow task");
    assert_eq!(scene.see(&[confirmed(), bound(), ended(0, "Completed")]), "end log Complete []");
}

#[test]
fn what_was_confirmed_but_not_told_is_told_by_the_next_leader() {
    let mut scene = Scene::taken_over(AttemptState::Queued, Some("u1"), None);
    assert_eq!(scene.take(Input::Confirm("u1".into())), "");
    assert_eq!(scene.see(&[confirmed(), bound(), ended(0, "Completed")]), "follow task; look at node n1");
    assert_eq!(scene.take(Input::Node(NodeWord::Silent("403".into()))), "started 00:01:00 on n1/; end log Complete []");
}

#[test]
fn a_failed_phase_alone_is_looked_into() {
    let mut scene = Scene::running();
    let marked = || json!({"status": {"phase": "Failed"}, "metadata": {"resourceVersion": "33"}});
    assert_eq!(
        scene.see(&[confirmed(), bound(), running(), marked()]),
        "look at node n1; wake at 00:01:45; its end waits: node `n1` does not say that its containers have ended: it \
         is waited for until it does, or is removed, has booted again, or is tainted \
         `node.kubernetes.io/out-of-service`"
    );
    assert_eq!(scene.take(Input::Node(there("b1"))), "wake at 00:01:45");
    assert_eq!(scene.at("00:01:45").take(Input::Wake), "look at node n1; wake at 00:02:00");
    assert_eq!(scene.take(Input::Node(NodeWord::Missing)), "wake at 00:02:00");
    scene.at("00:02:00").take(Input::Wake);
    assert_eq!(scene.at("00:02:45").take(Input::Node(NodeWord::Missing)), "fetch events");
    assert_eq!(scene.answer(Answer::Events(Vec::new())), r#"end log NoMore ["its node is gone (node `n1`)"]"#);
}

#[test]
fn an_object_that_somebody_removed_by_force_is_waited_for_by_its_node() {
    let mut scene = Scene::running();
    assert_eq!(scene.take(Input::PodDeleted(pod(&[confirmed(), bound(), running(), version(34)]))), "look");
    let told = scene.answer(Answer::Looked(Looked::Missing));
    assert!(told.starts_with("warn: somebody removed its pod by force"), "{told}");
    assert!(
        told.contains("look at node n1; wake at 00:01:45; its end waits: somebody removed its pod by force"),
        "{told}"
    );
    assert_eq!(scene.take(Input::Node(there("b1"))), "wake at 00:01:45");
    scene.at("00:01:45").take(Input::Wake);
    assert_eq!(scene.take(Input::Node(there("b2"))), "wake at 00:02:00");
    assert_eq!(scene.at("00:02:45").take(Input::Node(there("b2"))), "fetch events");
    scene.answer(Answer::Events(Vec::new()));
    let told = scene.take(Input::LogEnded(Left::Nothing));
    assert!(told.contains("somebody removed its pod by force, and its node has booted again"), "{told}");
}

#[test]
fn an_attempt_that_a_list_did_not_show_is_looked_at() {
    let mut scene = Scene::running();
    assert_eq!(scene.take(Input::Unlisted), "look");
    assert_eq!(scene.answer(Answer::Looked(Looked::Later("503".into()))), "warn: 503; wake at 00:01:31");
    assert_eq!(scene.at("00:01:31").take(Input::Wake), "look");
    let there = seen(&[confirmed(), bound(), running(), version(36)]);
    assert_eq!(scene.answer(Answer::Looked(Looked::Pod(there))), "");
}

#[test]
fn executors_of_spark_hold_the_end_of_their_driver() {
    let helper = |phase: &str| {
        json!({
            "metadata": {"name": "exec-1", "uid": "e1", "labels": {"spark-role": "executor"}},
            "status": {"phase": phase},
        })
    };
    let mut scene = Scene::running();
    scene.see(&[helper("Running")]);
    assert_eq!(scene.see(&[confirmed(), bound(), ended(0, "Completed")]), "wake at 00:01:40; wake at 00:02:10");
    assert_eq!(scene.take(Input::PodDeleted(pod(&[helper("Running")]))), "end log Complete []");
}

#[test]
fn an_attempt_that_nobody_knows_is_ended_and_released() {
    let mut scene = Scene::running();
    assert_eq!(scene.take(Input::Acknowledge), "delete u1 within 30 s");
    assert_eq!(scene.answer(Answer::Deleted(Deleted::Asked)), "release u1");
    assert_eq!(scene.answer(Answer::Released(Refused::Missing)), "forget");
}
