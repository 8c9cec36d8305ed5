//! How attempts end.

use serde_json::{Value, json};

use super::{super::pod::sample::*, AttemptOutcome, Ours, Proof, classify};

/// The outcome of a pod that was confirmed and bound, in words.
fn outcome(parts: &[Value], proof: &Proof, ours: Ours) -> String {
    let parts: Vec<Value> = [confirmed(), bound()].into_iter().chain(parts.iter().cloned()).collect();
    words(&classify(Some(&pod(&parts)), proof, ours, false).outcome)
}

fn reported(parts: &[Value], ours: Ours) -> String {
    outcome(parts, &Proof::Reported, ours)
}

fn words(outcome: &AttemptOutcome) -> String {
    match outcome {
        AttemptOutcome::Exited { code } => format!("exited {code}"),
        AttemptOutcome::Signaled { signal } => format!("signaled {signal}"),
        AttemptOutcome::SpawnFailed { message } => format!("spawn failed: {message}"),
        AttemptOutcome::Lost { reason } => format!("lost: {reason}"),
        AttemptOutcome::OutputInvalid { message } => format!("output invalid: {message}"),
        AttemptOutcome::OutOfMemory
        | AttemptOutcome::TimedOut
        | AttemptOutcome::Canceled
        | AttemptOutcome::NeverStarted => format!("{outcome:?}"),
    }
}

fn disrupted(reason: &str) -> Value {
    json!({"status": {"conditions": [{"type": "DisruptionTarget", "status": "True", "reason": reason}]}})
}

fn said(reason: &str, message: &str) -> Value {
    json!({"status": {"reason": reason, "message": message}})
}

#[test]
fn a_container_that_ended_by_itself_says_how() {
    assert_eq!(reported(&[ended(0, "Completed")], Ours::No), "exited 0");
    assert_eq!(reported(&[ended(3, "Error")], Ours::No), "exited 3");
    assert_eq!(reported(&[ended(137, "Error")], Ours::No), "signaled 9");
    assert_eq!(reported(&[ended(139, "Error")], Ours::No), "signaled 11");
    assert_eq!(reported(&[ended(200, "Error")], Ours::No), "exited 200");
    assert_eq!(reported(&[ended(137, "OOMKilled")], Ours::No), "OutOfMemory");
}

#[test]
fn the_program_around_a_command_knows_better_how_it_ended() {
    let said = |code: i32, reason: &str, message: &str| {
        let mut end = ended(code, reason);
        end["status"]["containerStatuses"][0]["state"]["terminated"]["message"] = message.into();
        reported(&[end], Ours::No)
    };
    assert_eq!(said(137, "Error", r#"{"gridflow.io/exit":137}"#), "exited 137");
    assert_eq!(said(137, "Error", r#"{"gridflow.io/signal":9}"#), "signaled 9");
    assert_eq!(said(137, "OOMKilled", r#"{"gridflow.io/signal":9}"#), "OutOfMemory");
    assert_eq!(said(127, "Error", r#"{"gridflow.io/failed":"cannot start `x`"}"#), "spawn failed: cannot start `x`");
    assert_eq!(said(3, "Error", r#"{"rows": 1}"#), "exited 3");
}

#[test]
fn a_command_that_is_not_there_could_not_be_started() {
    let outcome = reported(&[ended(128, "StartError")], Ours::No);
    assert!(outcome.starts_with("spawn failed: the container could not be started"), "{outcome}");
}

#[test]
fn what_we_ended_ended_for_our_reason() {
    assert_eq!(reported(&[ended(143, "Error"), deleted(50)], Ours::Canceled), "Canceled");
    assert_eq!(reported(&[ended(143, "Error"), deleted(50)], Ours::TimedOut), "TimedOut");
    assert_eq!(reported(&[ended(0, "Completed"), deleted(50)], Ours::Canceled), "Canceled");
}

#[test]
fn what_had_ended_before_it_could_be_canceled_ended_by_itself() {
    let late = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:03:00Z", "deletionGracePeriodSeconds": 30}});
    assert_eq!(reported(&[ended(3, "Error"), late], Ours::Canceled), "exited 3");
    assert_eq!(reported(&[ended(0, "Completed")], Ours::Canceled), "exited 0");
}

#[test]
fn what_ran_beside_a_task_does_not_change_its_end() {
    let after = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:02:30Z", "deletionGracePeriodSeconds": 30}});
    assert_eq!(reported(&[ended(3, "Error"), after], Ours::TaskEnded), "exited 3");
}

#[test]
fn an_earlier_leader_may_have_ended_it_for_its_time() {
    let timeout = json!({"metadata": {"annotations": {"gridflow.io/execution-timeout": "40000"}}});
    assert_eq!(reported(&[ended(143, "Error"), deleted(40), timeout.clone()], Ours::No), "TimedOut");
    assert_eq!(reported(&[ended(143, "Error"), deleted(39), timeout], Ours::No), "lost: somebody deleted its pod");
}

#[test]
fn somebody_elses_deletion_is_no_fault_of_the_task() {
    assert_eq!(reported(&[ended(143, "Error"), deleted(50)], Ours::No), "lost: somebody deleted its pod");
    assert_eq!(reported(&[ended(0, "Completed"), deleted(50)], Ours::No), "exited 0");
    assert_eq!(
        reported(&[ended(143, "Error"), deleted(50), disrupted("PreemptionByScheduler")], Ours::No),
        "lost: a pod of higher priority took its place"
    );
    assert_eq!(
        reported(&[ended(137, "Error"), disrupted("EvictionByEvictionAPI"), deleted(50)], Ours::No),
        "lost: it was evicted, for example because its node was drained"
    );
    assert_eq!(
        reported(&[ended(143, "Error"), disrupted("DeletionByTaintManager"), deleted(50)], Ours::No),
        "lost: a taint of its node drove it away"
    );
}

#[test]
fn an_eviction_is_the_nodes_fault_unless_the_task_used_more_than_it_asked_for() {
    let pressure = said("Evicted", "The node was low on resource: memory.");
    assert_eq!(
        reported(&[ended(137, "Error"), pressure, disrupted("TerminationByKubelet")], Ours::No),
        "lost: its node evicted it: The node was low on resource: memory."
    );
    let own = said("Evicted", "Pod ephemeral local storage usage exceeds the total limit of containers 1Gi.");
    assert_eq!(reported(&[ended(137, "Error"), own, disrupted("TerminationByKubelet")], Ours::No), "signaled 9");
}

#[test]
fn the_deadline_of_a_pods_own_specification_is_a_timeout() {
    let deadline = said("DeadlineExceeded", "Pod was active on the node longer than the specified deadline");
    assert_eq!(reported(&[ended(143, "Error"), deadline.clone()], Ours::No), "TimedOut");
    let never = json!({"status": {"phase": "Failed"}});
    assert_eq!(reported(&[never, deadline], Ours::No), "TimedOut");
}

#[test]
fn a_node_that_refuses_a_pod_or_shuts_down_loses_it() {
    let refused = json!({"status": {"phase": "Failed", "reason": "OutOfcpu", "message": "not enough"}});
    assert_eq!(reported(&[refused], Ours::No), "lost: its node refused the pod: OutOfcpu: not enough");
    let shutdown = said("Terminated", "Pod was terminated in response to imminent node shutdown.");
    assert_eq!(reported(&[ended(137, "Error"), shutdown], Ours::No), "lost: its node shut down");
}

#[test]
fn an_end_that_the_node_does_not_know_is_lost() {
    assert_eq!(
        reported(&[ended(137, "ContainerStatusUnknown")], Ours::No),
        "lost: its node does not know any more how the container ended"
    );
}

#[test]
fn a_failed_init_container_is_a_failed_start() {
    let failed = json!({
        "spec": {"initContainers": [{"name": "unpack"}]},
        "status": {
            "phase": "Failed",
            "initContainerStatuses": [{"name": "unpack", "state": {"terminated": {"exitCode": 2, "reason": "Error"}}}],
            "containerStatuses": [{"name": "task", "state": {"waiting": {"reason": "PodInitializing"}}}],
        },
    });
    assert_eq!(reported(&[failed], Ours::No), "spawn failed: the init container `unpack` failed with exit code 2");
}

#[test]
fn what_never_started_was_canceled_refused_or_deleted() {
    let gone = Proof::NeverBound;
    let unbound = |parts: &[Value], ours| words(&classify(Some(&pod(parts)), &gone, ours, false).outcome);
    assert_eq!(unbound(&[confirmed(), deleted(0)], Ours::Canceled), "NeverStarted");
    assert_eq!(unbound(&[confirmed(), deleted(0)], Ours::Unstartable("no node")), "spawn failed: no node");
    assert_eq!(unbound(&[confirmed(), deleted(0)], Ours::No), "lost: somebody deleted its pod before it started");
    assert_eq!(
        words(&classify(None, &gone, Ours::No, true).outcome),
        "lost: somebody deleted its pod before it started"
    );
    assert_eq!(words(&classify(None, &gone, Ours::Canceled, true).outcome), "NeverStarted");
}

#[test]
fn a_lost_node_loses_the_attempt_unless_it_was_being_ended() {
    let proof = Proof::Node("its node is gone".into());
    assert_eq!(outcome(&[running()], &proof, Ours::No), "lost: its node is gone (node `n1`)");
    assert_eq!(outcome(&[running()], &proof, Ours::Canceled), "Canceled");
    assert_eq!(outcome(&[], &proof, Ours::Canceled), "NeverStarted");
    assert_eq!(outcome(&[running()], &proof, Ours::TimedOut), "TimedOut");
    assert_eq!(
        words(&classify(None, &proof, Ours::No, true).outcome),
        "lost: somebody removed its pod by force, and its node is gone"
    );
}

#[test]
fn a_failure_says_in_the_log_how_its_container_ended() {
    let told =
        classify(Some(&pod(&[confirmed(), bound(), ended(137, "OOMKilled")])), &Proof::Reported, Ours::No, false);
    assert_eq!(told.notes, ["the container ended with exit code 137 (OOMKilled)"]);
}
