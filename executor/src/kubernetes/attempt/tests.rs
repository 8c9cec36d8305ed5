//! Attempts, input by input.

mod away;
mod confirming;
mod ending;
mod ending_early;
mod making;
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
    Launch::sample(run(), id(), Object::Pod(Value::Null))
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
        Effect::Report(Report::Links { links, .. }) => {
            let links: Vec<_> = links.iter().map(|link| format!("{} at {}", link.name, link.url)).collect();
            format!("links: {}", links.join(", "))
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
fn ten_thousand_attempts_are_kept_in_some_twenty_megabytes() {
    assert!(size_of::<Attempt>() <= 1024, "{}", size_of::<Attempt>());
}
