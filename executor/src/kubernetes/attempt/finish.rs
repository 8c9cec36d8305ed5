//! From *gone* to reported, and from committed to forgotten.

use gridflow_core::{AttemptOutcome, Timestamp, Usage};

use super::{
    super::{
        classify::{self, Ours},
        gone::{self, Proof},
        logs::{Ended, Log},
        output::Left,
        pod::Container,
        report::Report,
    },
    Attempt, Busy, Cause, Effect, Ending, Kind, Notes, Presence, Rules, Will,
    advance::{delete, drop_application, may_call},
    application,
};

/// It is proven gone: how it ended.
pub(super) fn begin(attempt: &mut Attempt, proof: &Proof, now: Timestamp) {
    let pod = attempt.pod.as_ref();
    let told = classify::classify(pod, proof, ours(attempt), attempt.presence == Presence::Missing);
    let ended_at = pod.and_then(|pod| match &pod.task {
        Container::Ended(end) => end.finished_at,
        Container::Absent | Container::Waiting { .. } | Container::Running { .. } => None,
    });
    let has_ended = matches!(proof, Proof::Reported) && pod.is_some_and(|pod| pod.started_at().is_some());
    let is_there = attempt.presence == Presence::Open;
    let wants_events = match &told.outcome {
        AttemptOutcome::Exited { code: 0 } | AttemptOutcome::Canceled | AttemptOutcome::NeverStarted => false,
        AttemptOutcome::Exited { .. }
        | AttemptOutcome::Signaled { .. }
        | AttemptOutcome::OutOfMemory
        | AttemptOutcome::TimedOut
        | AttemptOutcome::SpawnFailed { .. }
        | AttemptOutcome::OutputInvalid { .. }
        | AttemptOutcome::Lost { .. } => pod.is_some(),
    };
    let notes = [application::take_story(attempt), told.notes].concat();
    attempt.ending = Ending::Gone {
        outcome: told.outcome,
        at: ended_at.unwrap_or(now),
        notes: if wants_events { Notes::Wanted(notes) } else { Notes::Complete(notes) },
        log: if has_ended && is_there { Log::Complete } else { Log::NoMore },
    };
}

fn ours(attempt: &Attempt) -> Ours<'_> {
    match &attempt.cause {
        Some(Cause::TimedOut) => Ours::TimedOut,
        Some(Cause::Unstartable(message)) => Ours::Unstartable(message),
        Some(Cause::Interfered) => Ours::Interfered,
        Some(Cause::TaskEnded) => Ours::TaskEnded,
        Some(Cause::Canceled) => Ours::Canceled,
        None if attempt.will == Will::Cancel => Ours::Canceled,
        None => Ours::No,
    }
}

pub(super) fn finish(attempt: &mut Attempt, now: Timestamp, effects: &mut Vec<Effect>) {
    if let Ending::Gone { notes: Notes::Wanted(_), .. } = &attempt.ending {
        match (attempt.pod.as_ref().map(|pod| pod.uid.clone()), attempt.site.clone()) {
            (Some(uid), Some(site)) => {
                if attempt.busy.is_none() {
                    attempt.busy = Some(Busy::Events);
                    effects.push(Effect::FetchEvents { site, uid });
                }
                return;
            }
            _ => complete_notes(attempt),
        }
    }
    if matches!(&attempt.ending, Ending::Gone { .. }) {
        read_log(attempt, effects);
    }
    tell(attempt, effects);
    if attempt.told.finished && attempt.claim.is_none() {
        sweep_own(attempt, now, effects);
    }
}

fn complete_notes(attempt: &mut Attempt) {
    if let Ending::Gone { notes, .. } = &mut attempt.ending
        && let Notes::Wanted(said) = notes
    {
        *notes = Notes::Complete(std::mem::take(said));
    }
}

fn read_log(attempt: &mut Attempt, effects: &mut Vec<Effect>) {
    let Ending::Gone { outcome, at, notes: Notes::Complete(notes), log } =
        std::mem::replace(&mut attempt.ending, Ending::NotYet)
    else {
        return;
    };
    if !attempt.is_following && notes.is_empty() {
        attempt.ending = Ending::Over { outcome, at, left: Left::Nothing };
        return;
    }
    let message = attempt.pod.as_ref().and_then(|pod| match &pod.task {
        Container::Ended(end) => end.message.clone(),
        Container::Absent | Container::Waiting { .. } | Container::Running { .. } => None,
    });
    effects.push(Effect::EndLog(Ended { message, log, notes }));
    attempt.ending = Ending::Reading { outcome, at };
}

fn tell(attempt: &mut Attempt, effects: &mut Vec<Effect>) {
    if attempt.told.finished {
        return;
    }
    let Ending::Over { outcome, at, left } = &attempt.ending else { return };
    let (outcome, output) = match (outcome.clone(), left.clone()) {
        (AttemptOutcome::Exited { code: 0 }, Left::Invalid(message)) => {
            (AttemptOutcome::OutputInvalid { message }, None)
        }
        (outcome, Left::Json(output)) => (outcome, Some(output)),
        (outcome, Left::Nothing | Left::Invalid(_)) => (outcome, None),
    };
    attempt.told.finished = true;
    let usage = Usage::default();
    effects.push(Effect::Report(Report::Finished {
        run: attempt.run,
        attempt: attempt.id,
        at: *at,
        outcome,
        usage,
        output,
    }));
}

/// A gated pod of an attempt that is over holds quota for nothing.
fn sweep_own(attempt: &mut Attempt, now: Timestamp, effects: &mut Vec<Effect>) {
    if attempt.is_deletion_asked || attempt.presence != Presence::Open {
        return;
    }
    if !attempt.pod.as_ref().is_some_and(|pod| pod.is_unconfirmed() && pod.deletion.is_none()) {
        return;
    }
    let Some((pod, site)) = attempt.pod.clone().zip(attempt.site.clone()) else { return };
    if may_call(attempt, now, effects) {
        attempt.busy = Some(Busy::Delete);
        effects.push(delete(&pod, site));
    }
}

/// The end is committed, or nobody knows the attempt: nothing of it is needed any more.
pub(super) fn tidy(attempt: &mut Attempt, rules: &Rules, now: Timestamp, effects: &mut Vec<Effect>) {
    if attempt.busy.is_some() {
        return;
    }
    keep_application(attempt, rules, now, effects);
    let there = attempt.presence == Presence::Open;
    let Some((pod, site)) = attempt.pod.clone().zip(attempt.site.clone()).filter(|_| there) else {
        return effects.push(Effect::Forget(None));
    };
    if pod.is_unconfirmed() {
        if pod.deletion.is_some() || attempt.is_deletion_asked {
            return effects.push(Effect::Forget(None));
        }
        if may_call(attempt, now, effects) {
            attempt.busy = Some(Busy::Delete);
            effects.push(delete(&pod, site));
        }
        return;
    }
    if !gone::is_reported(&pod) && pod.deletion.is_none() && !attempt.is_deletion_asked {
        // Whoever closed it did not wait for its end.
        if may_call(attempt, now, effects) {
            attempt.busy = Some(Busy::Delete);
            effects.push(delete(&pod, site));
        }
        return;
    }
    if !pod.is_guarded {
        return effects.push(Effect::Forget(Some((site, Box::new(pod)))));
    }
    if may_call(attempt, now, effects) {
        attempt.busy = Some(Busy::Release);
        effects.push(Effect::Release { site, name: pod.name.clone(), uid: pod.uid.clone() });
    }
}

/// An application whose driver ran is there for a while, as its driver is; nothing else needs it.
fn keep_application(attempt: &mut Attempt, rules: &Rules, now: Timestamp, effects: &mut Vec<Effect>) {
    let over = match &attempt.ending {
        Ending::Over { outcome, at, .. } | Ending::Reading { outcome, at } | Ending::Gone { outcome, at, .. } => {
            Some((outcome, *at))
        }
        Ending::NotYet => None,
    };
    let until = application::keep(attempt, over, rules, now);
    if until <= now || attempt.is_application_dropped {
        return drop_application(attempt, effects);
    }
    if let (Kind::SparkApplication, Some(site)) = (attempt.kind, attempt.site.clone()) {
        attempt.is_application_dropped = true;
        effects.push(Effect::KeepApplication { site, until });
    }
}
