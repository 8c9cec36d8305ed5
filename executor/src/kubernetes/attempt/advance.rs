//! The one thing that what is known about an attempt asks for.

use std::{sync::Arc, time::Duration};

use gridflow_core::{AttemptOutcome, Timestamp};

use super::{
    super::{
        gone::{self, Known, Place, Proof, Verdict},
        identity,
        output::Left,
        pod::{Container, Pod},
        report::Report,
        trouble,
    },
    Attempt, Busy, Cause, Condition, Effect, Ending, Kind, Owner, PlaceKnown, Presence, Rules, Will, application,
    apply, away, finish, waits,
};

/// How often a node is asked that an attempt's end depends on.
const NODE_LOOK_EVERY: Duration = Duration::from_secs(15);
/// Containers beside the task's may have something to finish, too.
const COMPANIONS_END_WITHIN: Duration = Duration::from_secs(10);

pub(super) fn advance(attempt: &mut Attempt, rules: &Rules, now: Timestamp, effects: &mut Vec<Effect>) {
    if attempt.will == Will::Tidy {
        return finish::tidy(attempt, rules, now, effects);
    }
    if !matches!(attempt.ending, Ending::NotYet) {
        return finish::finish(attempt, now, effects);
    }
    let may_run = attempt.claim.is_some() || attempt.pod.as_ref().is_some_and(|pod| apply::is_interfered(attempt, pod));
    if !may_run {
        return match attempt.will {
            Will::Run => make(attempt, rules, now, effects),
            Will::Cancel | Will::Tidy => {
                // No claim is committed, so nothing was confirmed, and nobody will confirm it.
                attempt.ending = Ending::Over { outcome: AttemptOutcome::NeverStarted, at: now, left: Left::Nothing };
                finish::finish(attempt, now, effects);
            }
        };
    }
    if attempt.away.is_some() {
        return away::advance(attempt, now, effects);
    }
    if !look(attempt, now, effects) || !tell_start(attempt, effects) {
        return;
    }
    if let Some(proof) = proof(attempt, now, effects) {
        finish::begin(attempt, &proof, now);
        return finish::finish(attempt, now, effects);
    }
    find_cause(attempt, rules, now, effects);
    if attempt.cause.is_some() {
        return end(attempt, now, effects);
    }
    confirm(attempt, now, effects);
}

/// Until the claim is told: object, secret.
fn make(attempt: &mut Attempt, rules: &Rules, now: Timestamp, effects: &mut Vec<Effect>) {
    if attempt.told.claimed || !application::drop_first(attempt, now, effects) {
        return;
    }
    if attempt.presence != Presence::Open {
        // A gated pod that somebody deleted: it never ran, and another one is as good.
        attempt.presence = Presence::Open;
        attempt.making = Default::default();
        attempt.pod = None;
    }
    let (Some(launch), Some(site)) = (attempt.launch.clone(), attempt.site.clone()) else { return };
    if let (Kind::Pod, Some(pod)) = (attempt.kind, &attempt.pod)
        && attempt.making.owner.is_none()
    {
        // Seen by the watch before the order came: the leader before this one has made it.
        match apply::mismatch(attempt, pod) {
            Some(reason) => {
                apply::foreign(attempt, now, &reason);
                return finish::finish(attempt, now, effects);
            }
            None => attempt.making.owner = Some(Owner { kind: Kind::Pod, uid: pod.uid.clone() }),
        }
    }
    let Some(owner) = attempt.making.owner.clone() else {
        if !application::may_make(attempt, rules, now, effects) {
            return finish::finish(attempt, now, effects);
        }
        if may_call(attempt, now, effects) {
            attempt.busy = Some(Busy::Create);
            effects.push(Effect::Create(launch, site));
        }
        return;
    };
    if launch.payload.is_some() && !attempt.making.has_secret {
        if may_call(attempt, now, effects) {
            attempt.busy = Some(Busy::Secret);
            effects.push(Effect::MakeSecret { launch, site, owner });
        }
        return;
    }
    if attempt.kind == Kind::SparkApplication && !application::may_claim(attempt, rules, now, effects) {
        if !matches!(attempt.ending, Ending::NotYet) {
            finish::finish(attempt, now, effects);
        }
        return;
    }
    let Some(pod) = &attempt.pod else { return };
    attempt.told.claimed = true;
    effects.push(Effect::Claim { site, uid: pod.uid.clone() });
}

/// False while a look at the pod itself is under way.
fn look(attempt: &mut Attempt, now: Timestamp, effects: &mut Vec<Effect>) -> bool {
    if attempt.presence != Presence::Unlisted {
        return true;
    }
    if attempt.busy == Some(Busy::Look) {
        return false;
    }
    let name = match (&attempt.pod, attempt.kind) {
        (Some(pod), _) => Some(pod.name.clone()),
        (None, Kind::Pod) => Some(Arc::from(identity::name(attempt.id))),
        (None, Kind::SparkApplication) => None,
    };
    let (Some(site), Some(name)) = (attempt.site.clone(), name) else {
        // Nobody ever saw it, and every list that could show it is complete.
        attempt.presence = Presence::Missing;
        return true;
    };
    if may_call(attempt, now, effects) {
        attempt.busy = Some(Busy::Look);
        let uid = attempt.claim.clone().or_else(|| attempt.pod.as_ref().map(|pod| pod.uid.clone()));
        effects.push(Effect::Look { site, name, uid, run: attempt.run });
    }
    false
}

/// False while the node is asked for its boot, which proves later that the pod is gone.
fn tell_start(attempt: &mut Attempt, effects: &mut Vec<Effect>) -> bool {
    let Some((pod, site)) = attempt.pod.as_ref().zip(attempt.site.as_ref()) else { return true };
    let Some(at) = pod.started_at() else { return true };
    if !attempt.is_following {
        attempt.is_following = true;
        effects.push(follow(pod, site.clone()));
    }
    match (&attempt.place, &pod.node) {
        (PlaceKnown::No, Some(node)) => {
            attempt.place = PlaceKnown::Asking;
            effects.push(Effect::LookAtNode { cluster: Some(site.cluster), node: node.clone() });
            return false;
        }
        (PlaceKnown::Asking, _) => return false,
        (PlaceKnown::No, None) | (PlaceKnown::Yes(_), _) => {}
    }
    if !attempt.told.started {
        attempt.told.started = true;
        attempt.waits.started();
        let place = attempt.place().map(|place| place.to_string().into());
        effects.push(Effect::Report(Report::Started { run: attempt.run, attempt: attempt.id, at, place }));
    }
    true
}

fn follow(pod: &Pod, site: super::Site) -> Effect {
    let container = pod.mark.container.as_deref().unwrap_or("task").into();
    Effect::Follow { site, name: pod.name.clone(), container }
}

/// What proves that it is gone. Asks the node where only that can tell.
fn proof(attempt: &mut Attempt, now: Timestamp, effects: &mut Vec<Effect>) -> Option<Proof> {
    match verdict(attempt, now) {
        // Executors of Spark outlive their driver for a moment.
        Verdict::Gone(proof) if attempt.helpers.is_empty() => Some(proof),
        Verdict::Gone(_) => {
            end_helpers(attempt, now, effects);
            None
        }
        Verdict::NotYet => None,
        Verdict::AskNode(at) => {
            ask_node(attempt, at, now, effects);
            None
        }
    }
}

pub(super) fn verdict(attempt: &Attempt, now: Timestamp) -> Verdict {
    let known = Known {
        pod: attempt.pod.as_ref(),
        is_missing: attempt.presence == Presence::Missing,
        was_guarded: attempt.was_guarded,
        place: attempt.place(),
        node: attempt.node.as_ref(),
    };
    gone::verdict(&known, now)
}

/// They end by themselves when their driver does; those that wait for a node don't, and those of a killed driver may not.
fn end_helpers(attempt: &mut Attempt, now: Timestamp, effects: &mut Vec<Effect>) {
    let at = *attempt.spark.helpers_end_at.get_or_insert(now + COMPANIONS_END_WITHIN);
    if now < at {
        return effects.push(Effect::WakeAt(at));
    }
    attempt.spark.helpers_end_at = Some(now + NODE_LOOK_EVERY);
    effects.push(Effect::WakeAt(now + NODE_LOOK_EVERY));
    drop_application(attempt, effects);
    let Some(site) = &attempt.site else { return };
    effects.extend(attempt.helpers.iter().map(|helper| Effect::EndHelper {
        site: site.clone(),
        name: helper.name.clone(),
        uid: helper.uid.clone(),
    }));
}

pub(super) fn ask_node(attempt: &mut Attempt, at: Timestamp, now: Timestamp, effects: &mut Vec<Effect>) {
    let at = attempt.look_again_at.unwrap_or(at);
    if now < at {
        return effects.push(Effect::WakeAt(at));
    }
    if attempt.look_again_at.is_none() && attempt.presence == Presence::Missing {
        effects.push(Effect::Warn(waits::for_its_node(attempt)));
    }
    let Some(node) = attempt.node_name() else {
        attempt.look_again_at = Some(Timestamp::MAX_UTC);
        return;
    };
    let again = now + NODE_LOOK_EVERY;
    attempt.look_again_at = Some(again);
    effects.push(Effect::LookAtNode { cluster: attempt.cluster(), node });
    effects.push(Effect::WakeAt(again));
}

/// Sets the cause for which the pod is to be ended, or the time when there will be one.
fn find_cause(attempt: &mut Attempt, rules: &Rules, now: Timestamp, effects: &mut Vec<Effect>) {
    if attempt.cause.is_some() {
        return;
    }
    if attempt.will == Will::Cancel {
        attempt.cause = Some(Cause::Canceled);
        return;
    }
    let Some(pod) = &attempt.pod else { return };
    if apply::is_interfered(attempt, pod) {
        attempt.cause = Some(Cause::Interfered);
        return;
    }
    match &pod.task {
        Container::Running { started_at } => {
            if let Some(at) = pod.mark.execution_timeout_ms.and_then(|ms| later(*started_at, ms)) {
                due(at, now, Cause::TimedOut, &mut attempt.cause, effects);
            }
        }
        Container::Ended(end) => {
            let ended_at = end.finished_at.unwrap_or(now);
            due(ended_at + COMPANIONS_END_WITHIN, now, Cause::TaskEnded, &mut attempt.cause, effects);
        }
        Container::Absent | Container::Waiting { .. } => find_trouble(attempt, rules, now, effects),
    }
}

fn find_trouble(attempt: &mut Attempt, rules: &Rules, now: Timestamp, effects: &mut Vec<Effect>) {
    let found = attempt.pod.as_ref().filter(|pod| pod.is_guarded);
    let Some(found) = found.and_then(|pod| trouble::trouble(pod, rules.unschedulable_after)) else {
        attempt.trouble = None;
        return;
    };
    let since = match attempt.trouble {
        Some((kind, since)) if kind == found.kind => since,
        Some(_) | None => now,
    };
    attempt.trouble = Some((found.kind, since));
    due(since + found.patience, now, Cause::Unstartable(found.message), &mut attempt.cause, effects);
}

fn due(at: Timestamp, now: Timestamp, cause: Cause, known: &mut Option<Cause>, effects: &mut Vec<Effect>) {
    if at <= now {
        *known = Some(cause);
    } else {
        effects.push(Effect::WakeAt(at));
    }
}

fn later(from: Timestamp, ms: i64) -> Option<Timestamp> {
    from.checked_add_signed(chrono::TimeDelta::try_milliseconds(ms)?)
}

/// Has the pod deleted, once.
fn end(attempt: &mut Attempt, now: Timestamp, effects: &mut Vec<Effect>) {
    if attempt.is_deletion_asked || attempt.presence != Presence::Open {
        return;
    }
    let Some((pod, site)) = attempt.pod.clone().zip(attempt.site.clone()) else { return };
    if !may_call(attempt, now, effects) {
        return;
    }
    drop_application(attempt, effects);
    attempt.busy = Some(Busy::Delete);
    effects.push(delete(&pod, site));
}

pub(super) fn drop_application(attempt: &mut Attempt, effects: &mut Vec<Effect>) {
    if let (Kind::SparkApplication, Some(site)) = (attempt.kind, attempt.site.clone())
        && !attempt.is_application_dropped
    {
        attempt.is_application_dropped = true;
        effects.push(Effect::DropApplication { site });
    }
}

/// An unconfirmed pod only in the version in which it was gated; a confirmed one with its grace.
pub(super) fn delete(pod: &Pod, site: super::Site) -> Effect {
    let (condition, grace_s) = if pod.is_unconfirmed() {
        (Condition::Unconfirmed { uid: pod.uid.clone(), version: pod.version.to_string() }, Some(0))
    } else {
        (Condition::Uid(pod.uid.clone()), pod.mark.grace_s)
    };
    Effect::Delete { site, name: pod.name.clone(), condition, grace_s }
}

fn confirm(attempt: &mut Attempt, now: Timestamp, effects: &mut Vec<Effect>) {
    let Some((pod, site)) = attempt.pod.as_ref().zip(attempt.site.clone()) else { return };
    let is_ours = attempt.claim.as_ref() == Some(&pod.uid);
    // Also one whose finalizer somebody took off.
    if !is_ours || pod.is_guarded || pod.deletion.is_some() || gone::is_reported(pod) {
        return;
    }
    let (name, uid) = (pod.name.clone(), pod.uid.clone());
    if may_call(attempt, now, effects) {
        attempt.busy = Some(Busy::Confirm);
        effects.push(Effect::Confirm { site, name, uid });
    }
}

/// One call at a time, and none while the last one's failure is waited out.
pub(super) fn may_call(attempt: &Attempt, now: Timestamp, effects: &mut Vec<Effect>) -> bool {
    if attempt.busy.is_some() {
        return false;
    }
    match attempt.retry.not_before {
        Some(at) if now < at => {
            effects.push(Effect::WakeAt(at));
            false
        }
        Some(_) | None => true,
    }
}

impl Attempt {
    fn cluster(&self) -> Option<usize> {
        match (&self.site, &self.away) {
            (Some(site), _) => Some(site.cluster),
            (None, Some(away)) => away.cluster,
            (None, None) => None,
        }
    }

    /// Where it was bound to, or seen running.
    pub(super) fn node_name(&self) -> Option<Arc<str>> {
        let bound = self.pod.as_ref().and_then(|pod| pod.node.clone());
        bound.or_else(|| self.place().map(|place| place.node.clone()))
    }

    pub(super) fn place(&self) -> Option<&Place> {
        match &self.place {
            PlaceKnown::Yes(place) => Some(place),
            PlaceKnown::No | PlaceKnown::Asking => None,
        }
    }
}
