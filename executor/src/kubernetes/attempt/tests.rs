//! Attempts, input by input.

mod away;
mod spark;
mod waits;

use gridflow_core::Turn;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{super::pod::sample::*, *};

const RULES: Rules = Rules {
    unschedulable_after: Duration::from_secs(600),
    keep: Keep { succeeded: Duration::ZERO, failed: Duration::from_secs(3600) },
};

struct Scene {
    attempt: Attempt,
    now: Timestamp,
}

fn id() -> AttemptId {
    AttemptId(ATTEMPT.parse().unwrap())
}

fn run() -> RunKey {
    RunKey(Uuid::from_u128(5))
}

fn launch() -> Launch {
    Launch {
        attempt: id(),
        run: run(),
        turn: Turn(42),
        spec_hash: [0xab; 32],
        cluster: "c".into(),
        namespace: "ns".into(),
        object: Object::Pod(Value::Null),
        payload: None,
        container: "task".into(),
        execution_timeout: None,
        grace: Duration::from_secs(30),
    }
}

fn open(state: AttemptState, claim: Option<&str>, place: Option<&str>) -> Open {
    Open {
        attempt: id(),
        run: run(),
        executor: gridflow_core::ExecutorKind::Kubernetes,
        state,
        claim: claim.map(Arc::from),
        place: place.map(Arc::from),
        queued_turn: Turn(42),
    }
}

fn site() -> Site {
    Site { cluster: 0, namespace: "ns".into() }
}

fn at(text: &str) -> Timestamp {
    format!("2026-01-01T{text}Z").parse().unwrap()
}

impl Scene {
    fn new() -> Self {
        Self::of(Attempt::ordered(&launch()))
    }

    fn of(attempt: Attempt) -> Self {
        Self { attempt, now: at("00:01:30") }
    }

    /// As a new leader finds it.
    fn taken_over(state: AttemptState, claim: Option<&str>, place: Option<&str>) -> Self {
        Self::of(Attempt::open(&open(state, claim, place), Home::Unknown))
    }

    fn at(&mut self, text: &str) -> &mut Self {
        self.now = at(text);
        self
    }

    fn take(&mut self, input: Input) -> String {
        let mut effects = step(&mut self.attempt, input, &RULES, self.now);
        // Whoever starts is asked about some time; the tests of that ask at that time.
        let ask_at = self.attempt.waits.ask_at;
        effects.retain(|effect| !matches!(effect, Effect::WakeAt(at) if Some(*at) == ask_at));
        effects.iter().map(words).collect::<Vec<_>>().join("; ")
    }

    fn launch(&mut self) -> String {
        self.take(Input::Launch(Arc::new(launch()), Some(site())))
    }

    fn answer(&mut self, answer: Answer) -> String {
        self.take(Input::Answer(answer))
    }

    fn see(&mut self, parts: &[Value]) -> String {
        self.take(Input::Pod(site(), pod(parts)))
    }

    /// Made and claimed.
    fn claimed() -> Self {
        let mut scene = Self::new();
        scene.launch();
        assert_eq!(scene.answer(Answer::Created(Made::Pod(seen(&[])))), "claimed u1");
        scene
    }

    /// Confirmed, and bound to a node.
    fn confirmed() -> Self {
        let mut scene = Self::claimed();
        assert_eq!(scene.take(Input::Confirm("u1".into())), "confirm u1");
        assert_eq!(scene.answer(Answer::Confirmed(Confirmed::Pod(seen(&[confirmed()])))), "");
        assert_eq!(scene.see(&[confirmed(), bound()]), "");
        scene
    }

    fn running() -> Self {
        let mut scene = Self::confirmed();
        assert_eq!(scene.see(&[confirmed(), bound(), running()]), "follow task; look at node n1");
        assert_eq!(scene.take(Input::Node(there("b1"))), "started 00:01:00 on n1/b1");
        scene
    }
}

fn seen(parts: &[Value]) -> Box<Pod> {
    Box::new(pod(parts))
}

fn there(boot: &str) -> NodeWord {
    NodeWord::There { boot: boot.into(), is_out_of_service: false }
}

fn words(effect: &Effect) -> String {
    match effect {
        Effect::Claim { uid, .. } => format!("claimed {uid}"),
        Effect::Report(Report::Started { at, place, .. }) => {
            format!("started {} on {}", at.format("%T"), place.as_deref().unwrap_or("?"))
        }
        Effect::Report(Report::Finished { at, outcome, output, .. }) => {
            let output = output.as_ref().map(|output| format!(" with {}", output.value)).unwrap_or_default();
            format!("finished {} {outcome:?}{output}", at.format("%T"))
        }
        Effect::Report(report @ (Report::Synced { .. } | Report::Claimed { .. })) => {
            panic!("that is the fleet's to say: {report:?}")
        }
        Effect::Report(Report::Waits { has_started, reason, .. }) => {
            let what = if *has_started { "its end" } else { "its start" };
            format!("{what} waits: {}", reason.as_deref().unwrap_or("no more"))
        }
        Effect::Create(..) => "create".into(),
        Effect::MakeSecret { owner, .. } => format!("make secret of {:?} {}", owner.kind, owner.uid),
        Effect::Confirm { uid, .. } => format!("confirm {uid}"),
        Effect::Delete { condition: Condition::Unconfirmed { uid, version }, .. } => {
            format!("delete {uid} in version {version}")
        }
        Effect::Delete { condition: Condition::Uid(uid), grace_s, .. } => {
            format!("delete {uid} within {} s", grace_s.unwrap_or(-1))
        }
        Effect::DropApplication { .. } => "drop application".into(),
        Effect::KeepApplication { until, .. } => format!("keep application until {}", until.format("%T")),
        Effect::CheckSubmission { name, .. } => format!("check the submission of {name}"),
        Effect::EndHelper { name, .. } => format!("end {name}"),
        Effect::Release { uid, .. } => format!("release {uid}"),
        Effect::Look { .. } => "look".into(),
        Effect::LookAtNode { node, .. } => format!("look at node {node}"),
        Effect::FetchEvents { .. } => "fetch events".into(),
        Effect::AskForWarnings { .. } => "ask for warnings".into(),
        Effect::Follow { container, .. } => format!("follow {container}"),
        Effect::EndLog(ended) => format!("end log {:?} {:?}", ended.log, ended.notes),
        Effect::Sweep(_, pod) => format!("sweep {}", pod.uid),
        Effect::WakeAt(at) => format!("wake at {}", at.format("%T")),
        Effect::Warn(reason) => format!("warn: {reason}"),
        Effect::Forget(left) => format!("forget{}", if left.is_some() { ", and leave the pod" } else { "" }),
    }
}

#[test]
fn a_pod_goes_all_the_way() {
    let mut scene = Scene::running();
    assert_eq!(scene.see(&[confirmed(), bound(), ended(0, "Completed")]), "end log Complete []");
    assert_eq!(scene.take(Input::LogEnded(Left::Nothing)), "finished 00:02:00 Exited { code: 0 }");
    assert_eq!(scene.take(Input::Acknowledge), "release u1");
    assert_eq!(scene.answer(Answer::Released(Refused::Done(()))), "forget, and leave the pod");
}

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
fn what_was_claimed_but_not_confirmed_is_confirmed_by_the_next_leader() {
    let mut scene = Scene::taken_over(AttemptState::Queued, Some("u1"), None);
    assert_eq!(scene.take(Input::Confirm("u1".into())), "");
    assert_eq!(scene.see(&[]), "confirm u1");
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

#[test]
fn a_namespace_that_nobody_configured_fails_the_attempt() {
    let mut scene = Scene::new();
    let told = scene.take(Input::Launch(Arc::new(launch()), None));
    assert!(told.contains("knows no namespace `ns` of a cluster `c`"), "{told}");
    assert!(scene.take(Input::LogEnded(Left::Nothing)).contains("SpawnFailed"));
}

#[test]
fn an_attempt_that_nobody_knows_is_ended_and_released() {
    let mut scene = Scene::running();
    assert_eq!(scene.take(Input::Acknowledge), "delete u1 within 30 s");
    assert_eq!(scene.answer(Answer::Deleted(Deleted::Asked)), "release u1");
    assert_eq!(scene.answer(Answer::Released(Refused::Missing)), "forget");
}

#[test]
fn ten_thousand_attempts_are_kept_in_some_twenty_megabytes() {
    assert!(size_of::<Attempt>() <= 1024, "{}", size_of::<Attempt>());
}
