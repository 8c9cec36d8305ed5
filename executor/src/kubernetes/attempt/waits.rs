//! Why an attempt does not begin, or does not end, in words for people. Pure.
//!
//! Nothing is decided from it. It is told when it changes, however often the same is seen.

use std::{sync::Arc, time::Duration};

use gridflow_core::Timestamp;

use super::{
    super::{
        gone::Verdict,
        pod::{Container, Pod},
        report::Report,
        trouble,
    },
    Attempt, Effect, Ending, Kind, Presence, Rules, Will, advance, application, apply, away,
};

/// A call that fails once and then works is nothing to speak of.
const FAILURES_MIN: u32 = 2;
/// A node that needs longer to start a container may have warned of something that the pod itself does not show.
const WARNED_AFTER: Duration = Duration::from_secs(15);
const WARNED_EVERY: Duration = Duration::from_secs(30);

/// What people were told, and what is heard beside the pod.
#[derive(Debug, Default)]
pub(super) struct Waits {
    told: Option<Arc<str>>,
    /// That was about us, who can't see it, and not about the attempt.
    is_about_sight: bool,
    /// Pods of its namespace can't be watched now, for this reason.
    pub(super) unseen: Option<Arc<str>>,
    /// The last warning of its node while it starts.
    pub(super) warned: Option<Arc<str>>,
    /// When warnings are asked for next, while only they can tell why it does not start.
    pub(super) ask_at: Option<Timestamp>,
}

impl Waits {
    /// It has started: why it had not counts for nothing any more.
    pub(super) fn started(&mut self) {
        self.told = None;
    }
}

pub(super) fn tell(attempt: &mut Attempt, rules: &Rules, now: Timestamp, effects: &mut Vec<Effect>) {
    // What is over has its outcome.
    if attempt.will == Will::Tidy || !matches!(attempt.ending, Ending::NotYet) {
        return;
    }
    ask_for_warnings(attempt, now, effects);
    let out_of_sight = out_of_sight(attempt);
    let is_about_sight = out_of_sight.is_some();
    // It is on its way out, mostly for the very reason that was told; or it has started, and its node is asked.
    let is_passing = attempt.cause.is_some() || attempt.will == Will::Cancel || has_started(attempt);
    let reason = match out_of_sight.or_else(|| to_end(attempt, now)) {
        Some(reason) => Some(reason),
        None if attempt.told.started => None,
        None if is_passing && attempt.waits.is_about_sight => None,
        None if is_passing => return,
        None => to_begin(attempt, rules),
    };
    attempt.waits.is_about_sight = is_about_sight;
    if reason != attempt.waits.told {
        attempt.waits.told.clone_from(&reason);
        let (run, has_started) = (attempt.run, attempt.told.started);
        effects.push(Effect::Report(Report::Waits { run, attempt: attempt.id, has_started, reason }));
    }
}

/// Whatever becomes of it, nobody here can see it.
fn out_of_sight(attempt: &Attempt) -> Option<Arc<str>> {
    if let Some(reason) = away::reason(attempt) {
        return Some(reason.into());
    }
    let is_to_be_seen = attempt.claim.is_some() || attempt.pod.is_some();
    attempt.waits.unseen.clone().filter(|_| is_to_be_seen)
}

/// Asks what its node warns of, while nothing else tells why it does not start.
fn ask_for_warnings(attempt: &mut Attempt, now: Timestamp, effects: &mut Vec<Effect>) {
    let site = attempt.site.clone().filter(|_| attempt.pod.as_ref().is_some_and(is_started_by_its_node));
    let Some(site) = site.filter(|_| attempt.cause.is_none() && attempt.trouble.is_none()) else {
        (attempt.waits.ask_at, attempt.waits.warned) = (None, None);
        return;
    };
    let mut at = *attempt.waits.ask_at.get_or_insert(now + WARNED_AFTER);
    if at <= now {
        at = now + WARNED_EVERY;
        attempt.waits.ask_at = Some(at);
        effects.push(Effect::AskForWarnings { site });
    }
    effects.push(Effect::WakeAt(at));
}

fn is_started_by_its_node(pod: &Pod) -> bool {
    let is_waiting = match &pod.task {
        Container::Absent | Container::Waiting { .. } => true,
        Container::Running { .. } | Container::Ended(_) => false,
    };
    pod.is_guarded && pod.node.is_some() && pod.deletion.is_none() && is_waiting && !pod.phase.is_final()
}

/// Nobody but its node can say that it is gone, and the node does not.
fn to_end(attempt: &Attempt, now: Timestamp) -> Option<Arc<str>> {
    if attempt.claim.is_none() || attempt.presence == Presence::Unlisted {
        return None;
    }
    match advance::verdict(attempt, now) {
        Verdict::AskNode(at) if at <= now => Some(for_its_node(attempt).into()),
        // It has answered, and its kubelet has a moment to know better.
        Verdict::AskNode(_) if attempt.told.started => {
            attempt.waits.told.clone().filter(|_| !attempt.waits.is_about_sight)
        }
        Verdict::AskNode(_) | Verdict::NotYet | Verdict::Gone(_) => None,
    }
}

fn has_started(attempt: &Attempt) -> bool {
    attempt.pod.as_ref().is_some_and(|pod| pod.started_at().is_some())
}

pub(super) fn for_its_node(attempt: &Attempt) -> String {
    let ways_out = "is removed, has booted again, or is tainted `node.kubernetes.io/out-of-service`";
    match (attempt.node_name(), attempt.presence) {
        (None, Presence::Missing) => {
            "somebody removed its pod by force, and nobody knows which node had it: it is waited for".to_owned()
        }
        (None, Presence::Open | Presence::Unlisted) => "nobody knows where its pod is: it is waited for".to_owned(),
        (Some(node), Presence::Missing) => format!(
            "somebody removed its pod by force, so nobody reports its end: it is lost when node `{node}` {ways_out}"
        ),
        (Some(node), Presence::Open | Presence::Unlisted) => format!(
            "node `{node}` does not say that its containers have ended: it is waited for until it does, or {ways_out}"
        ),
    }
}

/// What is in the way of its start, the latest word first.
fn to_begin(attempt: &Attempt, rules: &Rules) -> Option<Arc<str>> {
    failing(attempt)
        .or_else(|| attempt.held_back.clone())
        .or_else(|| application::waits_for(attempt).map(Into::into))
        .or_else(|| on_its_way(attempt, rules).map(Into::into))
}

/// The call that it needs now does not come about.
fn failing(attempt: &Attempt) -> Option<Arc<str>> {
    let reason = attempt.retry.reason.as_ref().filter(|_| FAILURES_MIN <= attempt.retry.failures)?;
    let words = match attempt.making.denied_since {
        Some(since) if attempt.kind == Kind::Pod => {
            let until = trouble::instant(since + apply::DENIED_PATIENCE);
            format!("the cluster refuses the pod, given up at {until}: {reason}")
        }
        Some(_) | None => format!("it is tried again: {reason}"),
    };
    Some(words.into())
}

/// Its pod may run, and does not.
fn on_its_way(attempt: &Attempt, rules: &Rules) -> Option<String> {
    let pod = attempt.pod.as_ref().filter(|pod| pod.is_guarded)?;
    if let Some(found) = trouble::trouble(pod, rules.unschedulable_after) {
        let since = attempt.trouble.filter(|(kind, _)| *kind == found.kind).map(|(_, since)| since);
        return Some(found.so_far(since));
    }
    if let Some(warned) = &attempt.waits.warned {
        return Some(format!("its node can't start it: {warned}"));
    }
    let gates = pod.other_gates.as_deref()?;
    Some(format!("its pod is held back by scheduling gates of others: {gates}"))
}
