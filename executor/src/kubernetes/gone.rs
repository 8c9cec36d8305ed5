//! When is a pod proven gone, so that a new attempt may start? Pure.
//!
//! It was never bound; or the kubelet reported every container terminated; or its node is gone, has booted again, or is
//! tainted out-of-service. A phase `Failed` or a missing object alone proves nothing: anybody can write the one and
//! delete the other while the containers run on behind a partition.

use std::{fmt, sync::Arc, time::Duration};

use gridflow_core::Timestamp;

use super::pod::{Container, Gate, InitTrouble, Phase, Pod};

/// A node whose absence or new boot is first seen may have a kubelet that is about to report: its word is better.
const KUBELET_REPORTS_WITHIN: Duration = Duration::from_secs(60);
/// After SIGKILL is due, the kubelet gets this long to report before its node is looked at.
pub const KILL_REPORTED_WITHIN: Duration = Duration::from_secs(30);

/// Where a container was seen: `NODE/BOOT-ID`, or `NODE/` if the boot is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub node: Arc<str>,
    pub boot: Option<Arc<str>>,
}

impl Place {
    pub fn parse(text: &str) -> Self {
        let (node, boot) = text.split_once('/').unwrap_or((text, ""));
        Self { node: node.into(), boot: (!boot.is_empty()).then(|| boot.into()) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.node, self.boot.as_deref().unwrap_or_default())
    }
}

/// What the API server says of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeWord {
    There {
        boot: Arc<str>,
        is_out_of_service: bool,
    },
    Missing,
    /// No answer, or we may not ask.
    Silent(String),
}

/// What proves that an attempt is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// No node ever had it.
    NeverBound,
    /// The kubelet reported every container terminated, or that it never started any.
    Reported,
    /// Of the node, in words.
    Node(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Gone(Proof),
    NotYet,
    /// Only the node can tell; look at it, at this time.
    AskNode(Timestamp),
}

/// What is known when the question is asked.
#[derive(Debug)]
pub struct Known<'a> {
    /// Its last state that was seen.
    pub pod: Option<&'a Pod>,
    /// The object does not exist any more.
    pub is_missing: bool,
    /// It was seen with our finalizer, or running: it may run.
    pub was_guarded: bool,
    pub place: Option<&'a Place>,
    /// The node's last word, and since when it says so.
    pub node: Option<&'a (NodeWord, Timestamp)>,
}

pub fn verdict(known: &Known, now: Timestamp) -> Verdict {
    if let Some(pod) = known.pod {
        if is_reported(pod) {
            return Verdict::Gone(Proof::Reported);
        }
        // A pod that is being deleted, or isn't there, can't be bound any more.
        let is_final = known.is_missing || pod.deletion.is_some();
        if pod.node.is_none() && known.place.is_none() && (is_final || pod.phase.is_final()) {
            return Verdict::Gone(Proof::NeverBound);
        }
    } else if known.is_missing && !known.was_guarded && known.place.is_none() {
        // A gated pod may be deleted by anybody, and then it never ran.
        return Verdict::Gone(Proof::NeverBound);
    }
    let Some(suspect_at) = suspect_at(known, now) else { return Verdict::NotYet };
    match known.node.and_then(|(word, since)| by_node(word, known.place).map(|proof| (word, proof, since))) {
        Some((NodeWord::There { is_out_of_service: true, .. }, reason, _)) => Verdict::Gone(Proof::Node(reason)),
        Some((_, reason, since)) if *since + KUBELET_REPORTS_WITHIN <= now => Verdict::Gone(Proof::Node(reason)),
        Some((_, _, since)) => Verdict::AskNode(*since + KUBELET_REPORTS_WITHIN),
        None => Verdict::AskNode(suspect_at),
    }
}

/// The kubelet has said that nothing of the pod runs, and never will.
pub fn is_reported(pod: &Pod) -> bool {
    let all = pod.containers;
    if 0 < all.running {
        return false;
    }
    if 0 < all.total && all.ended == all.total {
        // A container may have rules of its own for being started again; a pod that is over or on its way out has none.
        return pod.phase.is_final() || pod.deletion.is_some();
    }
    // Not all containers have ended, so some never started. Only the kubelet knows that, and says it in the phase;
    // but others write a phase, too, without knowing: the garbage collector for pods of lost nodes.
    let by_kubelet = pod.disruption.as_deref() != Some("DeletionByPodGC") && pod.reason.as_deref() != Some("NodeLost");
    let has_said_why = pod.reason.is_some()
        || matches!(pod.init.as_deref(), Some(InitTrouble::Failed { .. }))
        || matches!(pod.task, Container::Ended(_))
        // Deleted between two containers: no reason is given, but that what they would share is not there.
        || (pod.deletion.is_some() && pod.has_no_sandbox);
    pod.node.is_some() && pod.phase.is_final() && by_kubelet && has_said_why
}

/// When something is wrong with a pod that has not ended, so that its node must be asked.
fn suspect_at(known: &Known, now: Timestamp) -> Option<Timestamp> {
    let Some(pod) = known.pod else { return known.is_missing.then_some(now) };
    if known.is_missing || (pod.phase.is_final() && pod.gate == Gate::Open) || pod.phase == Phase::Unknown {
        return Some(now);
    }
    pod.deletion.map(|deletion| deletion.kill_at + KILL_REPORTED_WITHIN)
}

fn by_node(word: &NodeWord, place: Option<&Place>) -> Option<String> {
    match word {
        NodeWord::Missing => Some("its node is gone".to_owned()),
        NodeWord::There { is_out_of_service: true, .. } => Some("its node is out of service".to_owned()),
        NodeWord::There { boot, .. } => {
            let seen = place.and_then(|place| place.boot.as_ref())?;
            (seen != boot).then(|| "its node has booted again".to_owned())
        }
        NodeWord::Silent(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::pod::sample::*, *};

    fn at(minute: u32, second: u32) -> Timestamp {
        format!("2026-01-01T00:{minute:02}:{second:02}Z").parse().unwrap()
    }

    fn place() -> Place {
        Place::parse("n1/b1")
    }

    fn there(boot: &str) -> NodeWord {
        NodeWord::There { boot: boot.into(), is_out_of_service: false }
    }

    /// The verdict about a pod that is there, at 00:10:00.
    fn of(pod: &Pod, node: Option<(NodeWord, Timestamp)>) -> Verdict {
        let place = place();
        let known = Known {
            pod: Some(pod),
            is_missing: false,
            was_guarded: true,
            place: pod.node.is_some().then_some(&place),
            node: node.as_ref(),
        };
        verdict(&known, at(10, 0))
    }

    #[test]
    fn a_pod_that_waits_or_runs_is_not_gone() {
        for parts in [vec![], vec![confirmed()], vec![confirmed(), bound()], vec![confirmed(), bound(), running()]] {
            assert_eq!(of(&pod(&parts), None), Verdict::NotYet);
        }
    }

    #[test]
    fn a_deleted_pod_that_was_never_bound_is_gone() {
        assert_eq!(of(&pod(&[confirmed(), deleted(0)]), None), Verdict::Gone(Proof::NeverBound));
    }

    #[test]
    fn every_container_must_have_ended() {
        assert_eq!(of(&pod(&[confirmed(), bound(), ended(0, "Completed")]), None), Verdict::Gone(Proof::Reported));
        let companion = json!({
            "spec": {"containers": [{"name": "task"}, {"name": "mesh"}]},
            "status": {"phase": "Running", "containerStatuses": [
                {"name": "task", "state": {"terminated": {"exitCode": 0}}},
                {"name": "mesh", "state": {"running": {}}},
            ]},
        });
        assert_eq!(of(&pod(&[confirmed(), bound(), companion]), None), Verdict::NotYet);
    }

    #[test]
    fn a_container_that_may_be_started_again_has_not_ended_for_good() {
        let between = json!({"status": {"phase": "Running"}});
        assert_eq!(of(&pod(&[confirmed(), bound(), ended(1, "Error"), between]), None), Verdict::NotYet);
    }

    #[test]
    fn the_phase_alone_proves_nothing() {
        let pod = pod(&[confirmed(), bound(), running(), json!({"status": {"phase": "Failed"}})]);
        assert_eq!(of(&pod, None), Verdict::AskNode(at(10, 0)));
        assert_eq!(of(&pod, Some((there("b1"), at(0, 0)))), Verdict::AskNode(at(10, 0)));
    }

    #[test]
    fn a_phase_that_the_collector_wrote_proves_nothing_even_before_a_container_was_seen() {
        let pod = pod(&[confirmed(), bound(), waiting("ContainerCreating"), failed_by_collector()]);
        assert_eq!(of(&pod, None), Verdict::AskNode(at(10, 0)));
    }

    #[test]
    fn a_pod_that_its_node_refused_never_ran() {
        let refused = json!({"status": {"phase": "Failed", "reason": "OutOfcpu", "message": "Pod was rejected"}});
        assert_eq!(of(&pod(&[confirmed(), bound(), refused]), None), Verdict::Gone(Proof::Reported));
    }

    #[test]
    fn a_failed_init_container_ends_a_pod_whose_others_never_started() {
        let failed = json!({
            "spec": {"initContainers": [{"name": "init"}]},
            "status": {
                "phase": "Failed",
                "initContainerStatuses": [{"name": "init", "state": {"terminated": {"exitCode": 1}}}],
                "containerStatuses": [{"name": "task", "state": {"waiting": {"reason": "PodInitializing"}}}],
            },
        });
        assert_eq!(of(&pod(&[confirmed(), bound(), failed]), None), Verdict::Gone(Proof::Reported));
    }

    #[test]
    fn a_pod_deleted_after_its_init_step_is_gone_once_its_sandbox_is() {
        let between = json!({
            "spec": {"initContainers": [{"name": "init"}]},
            "status": {
                "phase": "Failed",
                "initContainerStatuses": [{"name": "init", "state": {"terminated": {"exitCode": 0}}}],
                "containerStatuses": [{"name": "task", "state": {"waiting": {"reason": "PodInitializing"}}}],
            },
        });
        let sandbox = |status: &str| {
            json!({"status": {"conditions": [
                {"type": "PodReadyToStartContainers", "status": status}
            ]}})
        };
        let parts = [confirmed(), bound(), between, deleted(0)];
        let with = |status| of(&pod(&[&parts[..], &[sandbox(status)]].concat()), None);
        assert_eq!(with("False"), Verdict::Gone(Proof::Reported));
        assert_eq!(with("True"), Verdict::AskNode(at(10, 0)));
        assert_eq!(of(&pod(&parts), None), Verdict::AskNode(at(10, 0)), "an old kubelet does not say");
    }

    #[test]
    fn a_deletion_that_takes_too_long_makes_its_node_suspect() {
        let pod = pod(&[confirmed(), bound(), running(), deleted(0)]);
        assert_eq!(of(&pod, None), Verdict::AskNode(at(2, 0)));
    }

    #[test]
    fn a_node_that_is_gone_or_has_booted_again_proves_it_once_its_kubelet_had_time_to_report() {
        let pod = pod(&[confirmed(), bound(), running(), deleted(0)]);
        for word in [NodeWord::Missing, there("b2")] {
            assert_eq!(of(&pod, Some((word.clone(), at(9, 30)))), Verdict::AskNode(at(10, 30)));
            assert!(matches!(of(&pod, Some((word, at(9, 0)))), Verdict::Gone(Proof::Node(_))));
        }
    }

    #[test]
    fn a_node_that_people_say_is_out_of_service_proves_it_at_once() {
        let word = NodeWord::There { boot: "b1".into(), is_out_of_service: true };
        let pod = pod(&[confirmed(), bound(), running(), deleted(0)]);
        assert!(matches!(of(&pod, Some((word, at(10, 0)))), Verdict::Gone(Proof::Node(_))));
    }

    #[test]
    fn a_node_that_does_not_answer_or_whose_boot_nobody_recorded_proves_nothing() {
        let pod = pod(&[confirmed(), bound(), running(), deleted(0)]);
        assert_eq!(of(&pod, Some((NodeWord::Silent("403".into()), at(0, 0)))), Verdict::AskNode(at(2, 0)));
        let (place, word) = (Place::parse("n1/"), (there("b2"), at(0, 0)));
        let known =
            Known { pod: Some(&pod), is_missing: false, was_guarded: true, place: Some(&place), node: Some(&word) };
        assert_eq!(verdict(&known, at(10, 0)), Verdict::AskNode(at(2, 0)));
    }

    fn missing(pod: Option<&Pod>, was_guarded: bool, place: Option<&Place>) -> Verdict {
        verdict(&Known { pod, is_missing: true, was_guarded, place, node: None }, at(10, 0))
    }

    #[test]
    fn a_gated_pod_that_is_not_there_never_ran() {
        assert_eq!(missing(None, false, None), Verdict::Gone(Proof::NeverBound));
        assert_eq!(missing(Some(&pod(&[])), false, None), Verdict::Gone(Proof::NeverBound));
    }

    #[test]
    fn an_object_that_is_missing_although_it_ran_proves_nothing() {
        assert_eq!(missing(None, true, Some(&place())), Verdict::AskNode(at(10, 0)));
        assert_eq!(missing(None, true, None), Verdict::AskNode(at(10, 0)));
        let ran = pod(&[confirmed(), bound(), running()]);
        assert_eq!(missing(Some(&ran), true, Some(&place())), Verdict::AskNode(at(10, 0)));
    }

    #[test]
    fn the_last_state_of_a_deleted_object_may_be_proof_enough() {
        let ended = pod(&[confirmed(), bound(), ended(137, "Error"), deleted(0)]);
        assert_eq!(missing(Some(&ended), true, Some(&place())), Verdict::Gone(Proof::Reported));
        let unbound = pod(&[confirmed(), deleted(0)]);
        assert_eq!(missing(Some(&unbound), true, None), Verdict::Gone(Proof::NeverBound));
    }

    #[test]
    fn a_place_reads_back() {
        for text in ["n1/b1", "n1/"] {
            assert_eq!(Place::parse(text).to_string(), text);
        }
    }
}
