//! The part of an attempt that only a SparkApplication has: from the object to the driver that may be claimed.

use std::{mem, sync::Arc, time::Duration};

use gridflow_core::{AttemptOutcome, Timestamp};
use gridflow_dag_spec::SPARK_UI_LINK;

use super::{
    super::{
        pod::Container,
        report::{Link, Report},
        spark::{Application, Driver, Verdict, story, verdict},
    },
    Attempt, Busy, Effect, Ending, Kind, Making, Rules, Site, Will,
    advance::may_call,
    apply::{fail, later, lose},
};

/// What is known of the object.
#[derive(Debug, Default)]
pub(super) struct Spark {
    seen: Seen,
    waits: Option<Box<Waits>>,
    /// SparkApplications can't be watched now, for this reason.
    pub(super) unseen: Option<Arc<str>>,
    /// What its operator made known, for the log.
    story: Vec<String>,
    /// Where people were told that its UI is.
    ui_told: Option<Arc<str>>,
    /// Before it is made again, the one that is there has to go.
    pub(super) is_in_the_way: bool,
    /// Why the cluster does not take it.
    pub(super) denied: Option<String>,
    /// When what worked for a driver that is gone is ended.
    pub(super) helpers_end_at: Option<Timestamp>,
}

#[derive(Debug, Default)]
enum Seen {
    /// By no watch so far.
    #[default]
    Never,
    There(Box<Application>),
    Gone,
}

/// What its driver waits for.
#[derive(Debug)]
struct Waits {
    /// Since when there should be a driver.
    since: Timestamp,
    what: String,
    is_told: bool,
}

/// What a submission takes is nothing to speak of.
const USUAL: Duration = Duration::from_secs(60);

/// A job that runs for days may have a long story.
const STORY_MAX: usize = 200;

/// What came of a look at what a submission should have left.
#[derive(Debug)]
pub enum Checked {
    Whole,
    /// What is missing.
    Torn(String),
    Later(String),
}

/// A watch shows it.
pub(super) fn take(attempt: &mut Attempt, site: Site, mut application: Box<Application>) {
    // One of the same name that is on its way out is not the one that was made after it.
    let is_ours = attempt.making.owner.as_ref().is_none_or(|owner| owner.uid == application.uid);
    if attempt.spark.is_in_the_way || !is_ours {
        return;
    }
    attempt.kind = Kind::SparkApplication;
    attempt.site.get_or_insert(site);
    let before = match &attempt.spark.seen {
        Seen::There(before) => Some(&**before),
        Seen::Never | Seen::Gone => None,
    };
    // To the operator, executors that went with their driver have failed.
    if let (Some(before), Some(Container::Ended(_))) = (before, attempt.pod.as_ref().map(|pod| &pod.task)) {
        application.executors.clone_from(&before.executors);
    }
    let told = story(before, &application);
    attempt.spark.story.extend(told);
    attempt.spark.story.truncate(STORY_MAX);
    attempt.spark.seen = Seen::There(application);
}

pub(super) fn take_gone(attempt: &mut Attempt, uid: Option<&str>) {
    if let Seen::There(application) = &attempt.spark.seen
        && uid.is_none_or(|uid| *application.uid == *uid)
    {
        attempt.spark.seen = Seen::Gone;
    }
}

/// It was made, or found made.
pub(super) fn take_made(attempt: &mut Attempt) {
    attempt.spark.denied = None;
    let is_ours = |seen: &Seen| match seen {
        Seen::There(application) => attempt.making.owner.as_ref().is_some_and(|owner| owner.uid == application.uid),
        Seen::Never | Seen::Gone => false,
    };
    if !is_ours(&attempt.spark.seen) {
        attempt.spark.seen = Seen::Never;
    }
}

/// False once the cluster has refused it for too long: the attempt is over.
pub(super) fn may_make(attempt: &mut Attempt, rules: &Rules, now: Timestamp, effects: &mut Vec<Effect>) -> bool {
    match attempt.spark.denied.clone() {
        Some(why) => wait(attempt, why, rules, now, effects),
        None => true,
    }
}

/// Whether the driver may be claimed now. If not, what can be done about it is done.
pub(super) fn may_claim(attempt: &mut Attempt, rules: &Rules, now: Timestamp, effects: &mut Vec<Effect>) -> bool {
    // One that is being deleted is none to count on.
    let driver = match &attempt.pod {
        Some(pod) if pod.deletion.is_none() => Driver::Gated,
        Some(_) | None => Driver::Absent,
    };
    let application = match &attempt.spark.seen {
        Seen::Never => {
            let what = match &attempt.spark.unseen {
                Some(reason) => format!("its SparkApplication was made, and {reason}"),
                None => "its SparkApplication was made, and is waited for".to_owned(),
            };
            wait(attempt, what, rules, now, effects);
            return false;
        }
        Seen::There(application) => Some(&**application),
        Seen::Gone => None,
    };
    match verdict(application, driver) {
        Verdict::Claim => return true,
        Verdict::Wait(what) => {
            wait(attempt, what, rules, now, effects);
        }
        Verdict::OnHold(what) => hold(attempt, what, now, effects),
        Verdict::ClaimIfWhole => check(attempt, now, effects),
        Verdict::MakeAgain(why) => {
            effects.push(Effect::Warn(why.clone()));
            if wait(attempt, why, rules, now, effects) {
                make_again(attempt, now, effects);
            }
        }
        Verdict::NeverStarts(why) => fail(attempt, now, why),
        Verdict::Lost(why) => lose(attempt, now, why),
        Verdict::FollowDriver => {}
    }
    false
}

/// Waits for something, within reason. False once that has taken too long.
pub(super) fn wait(
    attempt: &mut Attempt,
    what: String,
    rules: &Rules,
    now: Timestamp,
    effects: &mut Vec<Effect>,
) -> bool {
    let (since, is_told) = match &attempt.spark.waits {
        Some(known) => (known.since, known.is_told && known.what == what),
        None => (now, false),
    };
    let until = since + rules.unschedulable_after;
    if until <= now {
        fail(attempt, now, format!("{what}: given up after {} s", (now - since).num_seconds()));
        return false;
    }
    let tell_at = since + USUAL;
    if !is_told && tell_at <= now {
        effects.push(Effect::Warn(what.clone()));
    } else if !is_told {
        effects.push(Effect::WakeAt(tell_at));
    }
    attempt.spark.waits = Some(Box::new(Waits { since, what, is_told: tell_at <= now }));
    effects.push(Effect::WakeAt(until));
    true
}

/// The time in which somebody holds it back does not count.
fn hold(attempt: &mut Attempt, what: String, now: Timestamp, effects: &mut Vec<Effect>) {
    if attempt.spark.waits.as_ref().is_none_or(|known| known.what != what) {
        effects.push(Effect::Warn(what.clone()));
    }
    attempt.spark.waits = Some(Box::new(Waits { since: now, what, is_told: true }));
}

/// Says where its UI is, when that becomes known or changes.
pub(super) fn tell_link(attempt: &mut Attempt, effects: &mut Vec<Effect>) {
    let Seen::There(application) = &attempt.spark.seen else { return };
    let Some(url) = &application.ui else { return };
    let is_over = attempt.will == Will::Tidy || !matches!(attempt.ending, Ending::NotYet);
    if is_over || attempt.spark.ui_told.as_ref() == Some(url) {
        return;
    }
    attempt.spark.ui_told = Some(url.clone());
    let links = vec![Link { name: SPARK_UI_LINK, url: url.clone() }];
    effects.push(Effect::Report(Report::Links { run: attempt.run, attempt: attempt.id, links }));
}

/// What its driver waits for, once that is worth a word.
pub(super) fn waits_for(attempt: &Attempt) -> Option<&str> {
    let waits = attempt.spark.waits.as_ref().filter(|waits| waits.is_told && !attempt.told.claimed)?;
    Some(&waits.what)
}

fn check(attempt: &mut Attempt, now: Timestamp, effects: &mut Vec<Effect>) {
    let Some((site, name)) = attempt.site.clone().zip(attempt.pod.as_ref().map(|pod| pod.name.clone())) else { return };
    if may_call(attempt, now, effects) {
        attempt.busy = Some(Busy::Check);
        effects.push(Effect::CheckSubmission { site, name });
    }
}

pub(super) fn take_checked(attempt: &mut Attempt, checked: Checked, now: Timestamp, effects: &mut Vec<Effect>) {
    match checked {
        // As good as if the operator had said that it has submitted.
        Checked::Whole => {
            attempt.spark.seen = match mem::take(&mut attempt.spark.seen) {
                Seen::There(mut application) => {
                    application.state = super::super::spark::ApplicationState::Submitted;
                    Seen::There(application)
                }
                other => other,
            }
        }
        Checked::Torn(what) => {
            effects.push(Effect::Warn(format!("its submission was cut off: {what}; it is made again")));
            make_again(attempt, now, effects);
        }
        Checked::Later(reason) => later(attempt, now, &reason, effects),
    }
}

/// Nothing of it has run, so the object may go, with the driver it may own, and be made anew.
fn make_again(attempt: &mut Attempt, now: Timestamp, effects: &mut Vec<Effect>) {
    if attempt.will == Will::Run && attempt.claim.is_none() {
        attempt.spark.is_in_the_way = true;
        drop_first(attempt, now, effects);
    }
}

/// Has the object deleted that is in the way of the next one. False while that is so.
pub(super) fn drop_first(attempt: &mut Attempt, now: Timestamp, effects: &mut Vec<Effect>) -> bool {
    if !attempt.spark.is_in_the_way {
        return true;
    }
    if let Some(site) = attempt.site.clone()
        && may_call(attempt, now, effects)
    {
        attempt.busy = Some(Busy::Drop);
        effects.push(Effect::DropApplication { site });
    }
    false
}

/// It is gone: the next one is made after a pause, in which its driver is collected.
pub(super) fn take_dropped(attempt: &mut Attempt, now: Timestamp, effects: &mut Vec<Effect>) {
    if attempt.busy != Some(Busy::Drop) {
        return;
    }
    attempt.busy = None;
    attempt.spark.is_in_the_way = false;
    attempt.spark.seen = Seen::Never;
    attempt.making = Making::default();
    attempt.pod = None;
    later(attempt, now, "its SparkApplication is made again", effects);
}

/// What the operator made known, once: for the end of the log.
pub(super) fn take_story(attempt: &mut Attempt) -> Vec<String> {
    mem::take(&mut attempt.spark.story)
}

/// How long the object stays when the attempt is over.
pub(super) fn keep(
    attempt: &Attempt,
    outcome: Option<(&AttemptOutcome, Timestamp)>,
    rules: &Rules,
    now: Timestamp,
) -> Timestamp {
    match (outcome, &attempt.claim) {
        (Some((AttemptOutcome::Exited { code: 0 }, at)), Some(_)) => at + rules.keep.succeeded,
        (Some((_, at)), Some(_)) => at + rules.keep.failed,
        // Nothing of it ran.
        (Some(_), None) | (None, _) => now,
    }
}

/// A pod that works for the driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Helper {
    pub(super) uid: Arc<str>,
    pub(super) name: Arc<str>,
}
