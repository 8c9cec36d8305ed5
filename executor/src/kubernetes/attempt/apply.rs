//! What an input changes in what is known about an attempt.

use std::{sync::Arc, time::Duration};

use gridflow_core::{AttemptOutcome, Timestamp};

use super::{
    super::{
        gone::{NodeWord, Place},
        launch::Launch,
        logs,
        pod::{Gate, Pod, Role},
    },
    Answer, Attempt, Confirmed, Deleted, Effect, Ending, Helper, Input, Kind, Looked, Made, Making, Notes, Owner,
    PlaceKnown, Presence, Refused, Retry, Site, Will, application,
};

/// What is denied for that long will not be granted: an admission webhook, a policy, a limit range.
pub(super) const DENIED_PATIENCE: Duration = Duration::from_secs(600);

pub(super) fn apply(attempt: &mut Attempt, input: Input, now: Timestamp, effects: &mut Vec<Effect>) {
    match input {
        Input::Launch(launch, site) => take_launch(attempt, launch, site, now),
        Input::HeldBack(reason) => attempt.held_back = Some(reason),
        Input::Unseen(Kind::Pod, reason) => attempt.waits.unseen = reason,
        Input::Unseen(Kind::SparkApplication, reason) => attempt.spark.unseen = reason,
        Input::Warned(warning) => attempt.waits.warned = warning,
        Input::Confirm(claim) => take_claim(attempt, claim, effects),
        Input::Cancel => {
            if attempt.will == Will::Run {
                attempt.will = Will::Cancel;
                attempt.retry = Retry::default();
            }
        }
        Input::Acknowledge => {
            attempt.will = Will::Tidy;
            attempt.retry = Retry::default();
        }
        Input::Pod(site, pod) => take_pod(attempt, site, pod, effects),
        Input::PodDeleted(pod) => take_deleted(attempt, pod),
        Input::Application(site, seen) => application::take(attempt, site, seen),
        Input::ApplicationGone(uid) => application::take_gone(attempt, uid.as_deref()),
        Input::Unlisted => match &mut attempt.away {
            Some(away) => away.unlisted(),
            None if attempt.presence == Presence::Open => attempt.presence = Presence::Unlisted,
            None => {}
        },
        Input::Answer(Answer::ApplicationDropped) => application::take_dropped(attempt, now, effects),
        Input::Answer(Answer::HelperEnded) => {}
        Input::Answer(answer) => {
            attempt.busy = None;
            attempt.retry.reason = None;
            take_answer(attempt, answer, now, effects);
        }
        Input::Node(word) => take_node(attempt, word, now),
        Input::LogEnded(left) => {
            attempt.ending = match std::mem::replace(&mut attempt.ending, Ending::NotYet) {
                Ending::Reading { outcome, at } => Ending::Over { outcome, at, left },
                other => other,
            };
        }
        Input::Wake => {}
    }
}

fn take_launch(attempt: &mut Attempt, launch: Arc<Launch>, site: Option<Site>, now: Timestamp) {
    if attempt.will != Will::Run || attempt.claim.is_some() || !matches!(attempt.ending, Ending::NotYet) {
        return;
    }
    match site {
        Some(site) => {
            attempt.site.get_or_insert(site);
            attempt.launch.get_or_insert(launch);
        }
        None => {
            let message = format!(
                "this scheduler knows no namespace `{}` of a cluster `{}`; the clusters file lists them",
                launch.namespace, launch.cluster
            );
            attempt.ending = gone_without_pod(AttemptOutcome::SpawnFailed { message: message.clone() }, now, message);
        }
    }
}

fn gone_without_pod(outcome: AttemptOutcome, at: Timestamp, note: String) -> Ending {
    Ending::Gone { outcome, at, notes: Notes::Complete(vec![note]), log: logs::Log::NoMore }
}

fn take_claim(attempt: &mut Attempt, claim: Arc<str>, effects: &mut Vec<Effect>) {
    attempt.claim = Some(claim.clone());
    attempt.told.claimed = true;
    attempt.retry = Retry::default();
    if let Some(other) = attempt.pod.take_if(|pod| pod.uid != claim) {
        attempt.presence = Presence::Unlisted;
        sweep(attempt, other, effects);
    }
}

fn sweep(attempt: &Attempt, pod: Pod, effects: &mut Vec<Effect>) {
    if let Some(site) = attempt.site.clone() {
        effects.push(Effect::Sweep(site, Box::new(pod)));
    }
}

fn take_pod(attempt: &mut Attempt, site: Site, pod: Pod, effects: &mut Vec<Effect>) {
    if pod.mark.role == Role::Helper {
        attempt.helpers.retain(|helper| helper.uid != pod.uid);
        if !pod.phase.is_final() {
            attempt.helpers.push(Helper { uid: pod.uid, name: pod.name });
        }
        return;
    }
    if attempt.claim.as_ref().is_some_and(|claim| *claim != pod.uid) {
        effects.push(Effect::Sweep(site, Box::new(pod)));
        return;
    }
    match &attempt.pod {
        Some(known) if known.uid == pod.uid => {
            if pod.version.is_before(&known.version) {
                return;
            }
        }
        // One of the same name: the one we knew is gone. Another one stands beside it.
        Some(known) if known.name != pod.name => {
            effects.push(Effect::Sweep(site, Box::new(pod)));
            return;
        }
        Some(_) | None => {}
    }
    attempt.site = Some(site);
    // Its cluster has another name now.
    attempt.away = None;
    attempt.was_guarded |= pod.is_guarded;
    attempt.presence = Presence::Open;
    attempt.pod = Some(pod);
}

fn take_deleted(attempt: &mut Attempt, last: Pod) {
    if last.mark.role == Role::Helper {
        attempt.helpers.retain(|helper| helper.uid != last.uid);
        return;
    }
    let is_ours = match (&attempt.claim, &attempt.pod) {
        (Some(claim), _) => *claim == last.uid,
        (None, Some(pod)) => pod.uid == last.uid,
        (None, None) => false,
    };
    if !is_ours {
        return;
    }
    attempt.was_guarded |= last.is_guarded;
    // Its last state. Or somebody took our labels off, and the watch, which selects by them, lost sight of it.
    attempt.pod = Some(last);
    attempt.presence = Presence::Unlisted;
}

fn take_answer(attempt: &mut Attempt, answer: Answer, now: Timestamp, effects: &mut Vec<Effect>) {
    match answer {
        Answer::Created(made) => take_made(attempt, made, now, effects),
        Answer::SecretMade(refused) => match refused {
            Refused::Done(()) => attempt.making.has_secret = true,
            // Its owner has gone meanwhile.
            Refused::Missing => attempt.presence = Presence::Unlisted,
            Refused::Invalid(message) => fail(attempt, now, format!("the secret of its files is refused: {message}")),
            Refused::Later(reason) => later(attempt, now, &reason, effects),
        },
        Answer::Confirmed(confirmed) => match confirmed {
            Confirmed::Pod(pod) => {
                attempt.retry = Retry::default();
                attempt.launch = None;
                renew(attempt, *pod, effects);
            }
            Confirmed::NotOurs => attempt.presence = Presence::Unlisted,
            Confirmed::Later(reason) => later(attempt, now, &reason, effects),
        },
        Answer::Deleted(deleted) => match deleted {
            Deleted::Asked => {
                attempt.is_deletion_asked = true;
                attempt.retry = Retry::default();
            }
            Deleted::Missing => attempt.presence = Presence::Unlisted,
            Deleted::Changed(Some(pod)) => renew(attempt, *pod, effects),
            Deleted::Changed(None) => attempt.presence = Presence::Unlisted,
            Deleted::Later(reason) => later(attempt, now, &reason, effects),
        },
        Answer::Released(refused) => match refused {
            Refused::Done(()) => {
                if let Some(pod) = &mut attempt.pod {
                    pod.is_guarded = false;
                }
            }
            Refused::Missing | Refused::Invalid(_) => attempt.presence = Presence::Missing,
            Refused::Later(reason) => later(attempt, now, &reason, effects),
        },
        Answer::Looked(looked) => match looked {
            Looked::Pod(pod) if attempt.pod.as_ref().is_none_or(|known| known.uid == pod.uid) => {
                renew(attempt, *pod, effects);
                if attempt.pod.is_none() {
                    attempt.presence = Presence::Missing;
                }
            }
            Looked::Pod(other) => {
                attempt.presence = Presence::Missing;
                sweep(attempt, *other, effects);
            }
            Looked::Missing => attempt.presence = Presence::Missing,
            Looked::Later(reason) => later(attempt, now, &reason, effects),
        },
        Answer::Checked(checked) => application::take_checked(attempt, checked, now, effects),
        Answer::ApplicationDropped | Answer::HelperEnded => {}
        Answer::Events(events) => {
            if let Ending::Gone { notes, .. } = &mut attempt.ending
                && let Notes::Wanted(said) = notes
            {
                let mut said = std::mem::take(said);
                said.extend(events);
                *notes = Notes::Complete(said);
            }
        }
    }
}

/// An answer that shows the pod is as good as the watch.
fn renew(attempt: &mut Attempt, pod: Pod, effects: &mut Vec<Effect>) {
    if let Some(site) = attempt.site.clone() {
        take_pod(attempt, site, pod, effects);
    }
}

fn take_made(attempt: &mut Attempt, made: Made, now: Timestamp, effects: &mut Vec<Effect>) {
    attempt.held_back = None;
    match made {
        Made::Pod(pod) => {
            attempt.retry = Retry::default();
            attempt.making = Making::of(Kind::Pod, pod.uid.clone());
            renew(attempt, *pod, effects);
        }
        Made::Application { uid } => {
            attempt.retry = Retry::default();
            attempt.making = Making::of(Kind::SparkApplication, uid);
            application::take_made(attempt);
        }
        Made::Exists(pod) => {
            if attempt.will != Will::Run {
                // What we were about to make has been made by somebody else; it goes like any other.
                return renew(attempt, *pod, effects);
            }
            match mismatch(attempt, &pod) {
                Some(reason) => foreign(attempt, now, &reason),
                // Its last one is on its way out: the name becomes free.
                None if pod.deletion.is_some() && !pod.is_guarded => {
                    later(attempt, now, "its last pod is still being deleted", effects);
                }
                None => {
                    attempt.retry = Retry::default();
                    attempt.making = Making::of(Kind::Pod, pod.uid.clone());
                    renew(attempt, *pod, effects);
                }
            }
        }
        Made::Foreign(reason) => {
            if attempt.will == Will::Run {
                foreign(attempt, now, &reason);
            }
        }
        Made::Invalid(message) => fail(attempt, now, format!("the API server refuses the manifest: {message}")),
        Made::Denied(message) => {
            let since = *attempt.making.denied_since.get_or_insert(now);
            if attempt.kind == Kind::SparkApplication {
                // How long that is waited for is the cluster's to say.
                attempt.spark.denied = Some(message.clone());
                return later(attempt, now, &message, effects);
            }
            if since + DENIED_PATIENCE <= now {
                fail(attempt, now, format!("the cluster refuses the pod: {message}"));
            } else {
                later(attempt, now, &message, effects);
            }
        }
        Made::Later(reason) => {
            attempt.making.denied_since = None;
            later(attempt, now, &reason, effects);
        }
    }
}

impl Making {
    fn of(kind: Kind, uid: Arc<str>) -> Self {
        Self { owner: Some(Owner { kind, uid }), has_secret: false, denied_since: None }
    }
}

/// Why a pod under our name is not what was committed.
pub(super) fn mismatch(attempt: &Attempt, pod: &Pod) -> Option<String> {
    let launch = attempt.launch.as_ref()?;
    if pod.mark.attempt != attempt.id {
        return Some(format!("it is of attempt {}", pod.mark.attempt));
    }
    if pod.mark.turn != Some(launch.turn) {
        let turn = pod.mark.turn.map_or_else(|| "no turn".to_owned(), |turn| format!("turn {turn}"));
        return Some(format!("it is of {turn}, and not of turn {}", launch.turn));
    }
    if pod.mark.spec_hash != Some(launch.spec_hash) {
        return Some("it was made from another specification".to_owned());
    }
    None
}

pub(super) fn foreign(attempt: &mut Attempt, now: Timestamp, reason: &str) {
    let name = super::super::identity::name(attempt.id);
    fail(attempt, now, format!("the name `{name}` is taken by somebody else's object: {reason}"));
}

/// It never starts, and nothing of it is there.
pub(super) fn fail(attempt: &mut Attempt, now: Timestamp, message: String) {
    if attempt.will == Will::Run && matches!(attempt.ending, Ending::NotYet) {
        attempt.ending = gone_without_pod(AttemptOutcome::SpawnFailed { message: message.clone() }, now, message);
    }
}

/// Nothing of it ran, and that is not its own fault.
pub(super) fn lose(attempt: &mut Attempt, now: Timestamp, reason: String) {
    if attempt.will == Will::Run && matches!(attempt.ending, Ending::NotYet) {
        attempt.ending = gone_without_pod(AttemptOutcome::Lost { reason: reason.clone() }, now, reason);
    }
}

pub(super) fn later(attempt: &mut Attempt, now: Timestamp, reason: &str, effects: &mut Vec<Effect>) {
    attempt.retry.failures = attempt.retry.failures.saturating_add(1);
    let pause = Duration::from_secs(1 << attempt.retry.failures.min(6).saturating_sub(1)).min(RETRY_PAUSE_MAX);
    attempt.retry.not_before = Some(now + pause);
    attempt.retry.reason = Some(reason.into());
    // Said at the first time, and then ever more rarely.
    if attempt.retry.failures.is_power_of_two() {
        effects.push(Effect::Warn(reason.to_owned()));
    }
}

const RETRY_PAUSE_MAX: Duration = Duration::from_secs(30);

fn take_node(attempt: &mut Attempt, word: NodeWord, now: Timestamp) {
    if attempt.place == PlaceKnown::Asking
        && let Some(node) = attempt.pod.as_ref().and_then(|pod| pod.node.clone())
    {
        let boot = match &word {
            NodeWord::There { boot, .. } => Some(boot.clone()),
            NodeWord::Missing | NodeWord::Silent(_) => None,
        };
        attempt.place = PlaceKnown::Yes(Place { node, boot });
    }
    let since = match &attempt.node {
        Some((known, since)) if *known == word => *since,
        Some(_) | None => now,
    };
    attempt.node = Some((word, since));
}

/// Somebody opened the gate although nothing was committed.
pub(super) fn is_interfered(attempt: &Attempt, pod: &Pod) -> bool {
    attempt.claim.is_none() && pod.gate == Gate::Open
}
