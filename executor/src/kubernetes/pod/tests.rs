//! What is read of pods.

use serde_json::json;

use super::{sample::*, *};

#[test]
fn a_gated_pod_says_whose_it_is() {
    let pod = pod(&[]);
    assert_eq!(pod.mark.attempt.to_string(), ATTEMPT);
    assert_eq!((pod.mark.turn, pod.mark.spec_hash, pod.mark.grace_s), (Some(Turn(42)), Some([0xab; 32]), Some(30)));
    assert!(pod.is_unconfirmed() && pod.node.is_none() && pod.deletion.is_none());
}

#[test]
fn the_gates_and_finalizers_of_others_are_not_ours() {
    let pod = pod(&[json!({
        "metadata": {"finalizers": ["somebody/else"]},
        "spec": {"schedulingGates": [{"name": "somebody/else"}]},
    })]);
    assert_eq!((pod.gate, pod.is_guarded), (Gate::Open, false));
}

#[test]
fn the_task_is_the_container_that_the_annotation_names() {
    let pod = pod(&[json!({
        "metadata": {"annotations": {"gridflow.io/container": "spark-kubernetes-driver"}},
        "spec": {"containers": [{"name": "mesh"}, {"name": "spark-kubernetes-driver"}], "initContainers": [{"name": "init"}]},
        "status": {
            "initContainerStatuses": [{"name": "init", "state": {"terminated": {"exitCode": 0}}}],
            "containerStatuses": [
                {"name": "mesh", "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}},
                {"name": "spark-kubernetes-driver", "state": {"terminated": {"exitCode": 3, "startedAt": "2026-01-01T00:00:01Z"}}},
            ],
        },
    })]);
    assert!(matches!(&pod.task, Container::Ended(end) if end.exit_code == 3));
    assert_eq!(pod.containers, Containers { total: 3, running: 1, ended: 2 });
    assert_eq!(pod.init, None);
}

#[test]
fn the_instant_of_a_deletion_is_its_end_less_its_grace() {
    let deletion = pod(&[deleted(40)]).deletion.unwrap();
    assert_eq!(deletion.asked_at.to_rfc3339(), "2026-01-01T00:01:40+00:00");
    assert_eq!(deletion.kill_at.to_rfc3339(), "2026-01-01T00:02:10+00:00");
}

#[test]
fn what_is_null_is_empty() {
    let raw: RawPod = serde_json::from_value(json!({
        "metadata": {"name": "x", "uid": "u", "resourceVersion": "1", "labels": null, "finalizers": null},
        "spec": {"containers": null, "schedulingGates": null},
        "status": {"containerStatuses": null, "conditions": null},
    }))
    .unwrap();
    assert_eq!(Pod::read(raw), None);
}

#[test]
fn versions_are_compared_where_they_count() {
    assert!(Version::parse("9").is_before(&Version::parse("10")));
    assert!(!Version::parse("10").is_before(&Version::parse("10")));
    assert!(!Version::parse("abc").is_before(&Version::parse("abd")));
}
