//! Attempts and strays together.

mod site;
mod warnings;

use std::time::Duration;

use gridflow_core::{AttemptState, ExecutorKind};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    super::{
        attempt::{Condition, Looked, Made},
        config::Access,
        launch::Object,
        pod::sample::{self, ATTEMPT, bound, confirmed, deleted, ended, pod, running, uid, version},
    },
    *,
};

struct Scene {
    fleet: Fleet,
    now: Timestamp,
}

fn id() -> AttemptId {
    AttemptId(ATTEMPT.parse().unwrap())
}

fn other() -> AttemptId {
    AttemptId(Uuid::from_u128(8))
}

fn run() -> RunKey {
    RunKey(Uuid::from_u128(5))
}

fn site(namespace: &str) -> Site {
    Site { cluster: 0, namespace: namespace.into() }
}

fn launch(attempt: AttemptId, turn: i64) -> Launch {
    let sample = Launch::sample(run(), attempt, Object::Pod(Value::Null));
    Launch { turn: Turn(turn), namespace: "a".into(), ..sample }
}

fn open(state: AttemptState, claim: Option<&str>, place: Option<&str>) -> Open {
    Open {
        attempt: id(),
        run: run(),
        executor: ExecutorKind::Kubernetes,
        state,
        claim: claim.map(Arc::from),
        place: place.map(Arc::from),
        queued_turn: Turn(42),
    }
}

impl Scene {
    /// One cluster with the namespaces `a` and `b`.
    fn new(open: &[Open]) -> Self {
        let access = Access::InCluster;
        let mut cluster = ClusterConfig::new("c", access, &["a", "b"]);
        cluster.keep = Keep { succeeded: Duration::ZERO, failed: Duration::from_secs(60) };
        Self { fleet: Fleet::new(&[cluster], open), now: "2026-01-01T00:02:10Z".parse().unwrap() }
    }

    fn step(&mut self, happened: Happened) -> String {
        let todo = self.fleet.step(happened, self.now);
        todo.iter().map(words).collect::<Vec<_>>().join("; ")
    }

    fn order(&mut self, order: Order) -> String {
        self.step(Happened::Ordered(order))
    }

    fn word(&mut self, namespace: &str, word: Word) -> String {
        self.step(Happened::Watched(site(namespace), word))
    }

    /// A whole list of a namespace.
    fn list(&mut self, namespace: &str, pods: Vec<Pod>) -> String {
        let mut told = vec![self.word(namespace, Word::ListBegan)];
        told.extend(pods.into_iter().map(|pod| self.word(namespace, Word::Listed(Box::new(pod)))).collect::<Vec<_>>());
        told.push(self.word(namespace, Word::ListEnded));
        told.retain(|words| !words.is_empty());
        told.join("; ")
    }

    fn see(&mut self, parts: &[Value]) -> String {
        self.word("a", Word::Applied(Box::new(pod(parts))))
    }

    fn synced(open: &[Open]) -> Self {
        let mut scene = Self::new(open);
        scene.list("a", vec![]);
        scene.list("b", vec![]);
        scene
    }
}

fn words(todo: &Todo) -> String {
    match todo {
        Todo::Report(Report::Synced { turn_max }) => format!("synced, turn {turn_max}"),
        Todo::Report(Report::Claimed { claim, .. }) => format!("claimed {claim}"),
        Todo::Report(Report::Started { .. }) => "started".into(),
        Todo::Report(Report::Waits { reason, .. }) => format!("waits: {}", reason.as_deref().unwrap_or("no more")),
        Todo::Report(Report::Links { links, .. }) => format!("{} links", links.len()),
        Todo::Report(Report::Finished { outcome, .. }) => format!("finished {outcome:?}"),
        Todo::Attempt(_, effect) => {
            let text = format!("{effect:?}");
            text.split([' ', '(', '{']).next().unwrap_or_default().to_lowercase()
        }
        Todo::Sweep(sweep) => match &sweep.what {
            SweepCall::Delete(Condition::Unconfirmed { uid, version }) => format!("sweep {uid} in version {version}"),
            SweepCall::Delete(Condition::Uid(uid)) => format!("sweep {uid}"),
            SweepCall::Release => format!("release {}", sweep.uid),
        },
        Todo::FindWarnings(site) => format!("find warnings in {}", site.namespace),
        Todo::DropApplication(..) => "drop application".into(),
        Todo::Forgotten(_) => "forgotten".into(),
    }
}

#[test]
fn it_is_synced_when_every_namespace_was_listed() {
    let mut scene = Scene::new(&[]);
    assert_eq!(scene.list("a", vec![pod(&[])]), "");
    assert_eq!(scene.list("b", vec![]), "synced, turn 42");
    assert_eq!(scene.list("a", vec![]), "");
}

#[test]
fn a_list_that_broke_off_is_no_list() {
    let mut scene = Scene::new(&[]);
    scene.list("b", vec![]);
    scene.word("a", Word::ListBegan);
    scene.word("a", Word::Listed(Box::new(pod(&[]))));
    assert_eq!(scene.list("a", vec![]), "synced, turn 42");
}

#[test]
fn a_gated_pod_of_nobody_is_swept_once_its_turn_is_known() {
    let mut scene = Scene::synced(&[]);
    assert_eq!(scene.see(&[]), "");
    assert_eq!(scene.order(Order::Launch(vec![launch(other(), 41)])), "create");
    assert_eq!(scene.order(Order::Launch(vec![launch(other(), 42)])), "sweep u1 in version 10");
}

#[test]
fn nothing_is_swept_before_the_lists_are_complete() {
    let mut scene = Scene::new(&[Open { attempt: other(), ..open(AttemptState::Queued, None, None) }]);
    assert_eq!(scene.see(&[]), "");
    scene.list("a", vec![pod(&[])]);
    assert_eq!(scene.list("b", vec![]), "synced, turn 42; sweep u1 in version 10");
}

#[test]
fn a_sweep_that_failed_is_tried_again_later_and_one_whose_pod_changed_is_thought_over() {
    let mut scene = Scene::synced(&[Open { attempt: other(), ..open(AttemptState::Queued, None, None) }]);
    assert_eq!(scene.see(&[]), "sweep u1 in version 10");
    assert_eq!(scene.see(&[version(11)]), "");
    let swept = |swept| Happened::Swept { attempt: id(), uid: "u1".into(), swept: Swept::Deleted(swept) };
    use super::super::attempt::Deleted;
    assert_eq!(scene.step(swept(Deleted::Changed(Some(Box::new(pod(&[version(12)])))))), "sweep u1 in version 12");
    assert_eq!(scene.step(swept(Deleted::Later("503".into()))), "");
    scene.now += Duration::from_secs(10);
    assert_eq!(scene.step(Happened::Woke), "sweep u1 in version 12");
    // Somebody confirmed it: it is not ours to end.
    assert_eq!(scene.step(swept(Deleted::Changed(Some(Box::new(pod(&[confirmed()])))))), "");
}

#[test]
fn a_committed_end_that_nobody_acknowledged_is_released_and_kept_by_the_policy() {
    let mut scene = Scene::synced(&[Open { attempt: other(), ..open(AttemptState::Queued, None, None) }]);
    assert_eq!(scene.see(&[confirmed(), bound(), running()]), "");
    assert_eq!(scene.see(&[confirmed(), bound(), ended(1, "Error")]), "release u1");
    let released = Swept::Released(super::super::attempt::Refused::Done(()));
    assert_eq!(scene.step(Happened::Swept { attempt: id(), uid: "u1".into(), swept: released }), "");
    assert_eq!(scene.fleet.wake_at(), Some("2026-01-01T00:03:00Z".parse().unwrap()));
    scene.now = "2026-01-01T00:03:00Z".parse().unwrap();
    assert_eq!(scene.step(Happened::Woke), "sweep u1");
}

#[test]
fn what_runs_and_is_nobodys_is_left_alone() {
    let mut scene = Scene::synced(&[Open { attempt: other(), ..open(AttemptState::Queued, None, None) }]);
    assert_eq!(scene.see(&[confirmed(), bound(), running()]), "");
    let helper = json!({"metadata": {"labels": {"spark-role": "executor"}}});
    assert_eq!(scene.see(&[uid("e1"), helper, bound(), ended(0, "Completed"), sample::version(41)]), "");
}

#[test]
fn an_acknowledged_attempt_that_nobody_knows_is_tidied_up_whatever_its_turn() {
    let mut scene = Scene::synced(&[]);
    assert_eq!(scene.see(&[confirmed(), bound(), ended(0, "Completed")]), "");
    assert_eq!(scene.order(Order::Acknowledge(vec![(run(), id())])), "release u1");
}

#[test]
fn a_stray_that_is_ordered_after_all_is_adopted() {
    let mut scene = Scene::synced(&[]);
    scene.see(&[]);
    assert_eq!(scene.order(Order::Launch(vec![launch(id(), 42)])), "claimed c/a/u1");
}

#[test]
fn a_claim_that_no_list_shows_is_lost() {
    let mut scene = Scene::new(&[open(AttemptState::Queued, Some("u1"), None)]);
    assert_eq!(scene.order(Order::Confirm(vec![(run(), id(), "u1".into())])), "");
    scene.list("a", vec![]);
    assert_eq!(scene.list("b", vec![]), "endlog; synced, turn 0");
    let ended = Happened::LogEnded(id(), Left::Nothing);
    assert!(scene.step(ended).starts_with("finished Lost"));
}

#[test]
fn a_running_attempt_that_no_list_shows_is_a_matter_of_its_node() {
    let mut scene = Scene::new(&[open(AttemptState::Running, Some("u1"), Some("n1/b1"))]);
    scene.list("a", vec![]);
    let told = scene.list("b", vec![]);
    assert!(told.starts_with("warn; lookatnode; waits: somebody removed its pod by force"), "{told}");
    assert!(told.ends_with("; synced, turn 0"), "{told}");
}

#[test]
fn an_attempt_that_a_later_list_does_not_show_is_looked_at() {
    let mut scene = Scene::synced(&[open(AttemptState::Running, Some("u1"), Some("n1/b1"))]);
    scene.see(&[confirmed(), bound(), running()]);
    assert_eq!(scene.list("b", vec![]), "");
    assert_eq!(scene.list("a", vec![pod(&[confirmed(), bound(), running()])]), "");
    assert_eq!(scene.list("a", vec![]), "look");
    let there = Looked::Pod(Box::new(pod(&[confirmed(), bound(), running(), version(31)])));
    assert_eq!(scene.step(Happened::Answered(id(), Answer::Looked(there))), "");
}

#[test]
fn what_can_not_be_made_says_why_until_it_is_made() {
    let mut scene = Scene::synced(&[]);
    scene.order(Order::Launch(vec![launch(id(), 42)]));
    let quota = |words: &str| Happened::HeldBack(id(), words.into());
    assert_eq!(scene.step(quota("exceeded quota")), "waits: exceeded quota");
    assert_eq!(scene.step(quota("exceeded quota")), "");
    let made = Answer::Created(Made::Pod(Box::new(pod(&[]))));
    assert_eq!(scene.step(Happened::Answered(id(), made)), "claimed c/a/u1; waits: no more");
    assert_eq!(scene.step(Happened::HeldBack(other(), "it is nobody's".into())), "");
}

#[test]
fn timers_of_attempts_are_kept_once() {
    let mut scene = Scene::synced(&[open(AttemptState::Running, Some("u1"), Some("n1/b1"))]);
    let timeout = json!({"metadata": {"annotations": {"gridflow.io/execution-timeout": "90000"}}});
    for count in 31..40 {
        scene.see(&[confirmed(), bound(), running(), timeout.clone(), version(count)]);
    }
    assert_eq!(scene.fleet.wakes.len(), 1);
    scene.now = "2026-01-01T00:02:30Z".parse().unwrap();
    assert_eq!(scene.step(Happened::Woke), "delete");
    assert_eq!(scene.fleet.wake_at(), None);
}

#[test]
fn a_gated_pod_that_is_being_deleted_needs_no_sweep() {
    let mut scene = Scene::synced(&[Open { attempt: other(), ..open(AttemptState::Queued, None, None) }]);
    assert_eq!(scene.see(&[deleted(0)]), "");
}

#[test]
fn a_canceled_creation_is_not_wanted_any_more() {
    let mut scene = Scene::synced(&[]);
    scene.order(Order::Launch(vec![launch(id(), 42)]));
    assert!(scene.fleet.wants_creation(id()));
    assert!(scene.order(Order::Cancel(vec![(run(), id())])).starts_with("finished NeverStarted"));
    assert!(!scene.fleet.wants_creation(id()));
    let made = Answer::Created(Made::Pod(Box::new(pod(&[]))));
    assert_eq!(scene.step(Happened::Answered(id(), made)), "delete");
}
