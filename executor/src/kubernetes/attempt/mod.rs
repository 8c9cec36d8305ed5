//! One attempt, from the order to make its pod to the last trace of it. Pure: what comes in, what is to be done.
//!
//! ```text
//!   create ► secret ► Claimed │ confirm ► Started ► follow the log ► gone? ► events ► rest of the log ► Finished │ tidy up
//!                             ╰ the claim is committed                                    the end is committed ╯
//! ```
//!
//! Nothing here is a list of steps. Each input changes what is known, and then the one thing that what is known asks
//! for is done; so it does not matter in which order things are seen, what was missed, or who began it.

mod advance;
mod application;
mod apply;
mod away;
mod finish;
#[cfg(test)]
mod tests;
mod waits;

use std::{sync::Arc, time::Duration};

use gridflow_core::{AttemptId, AttemptOutcome, AttemptState, RunKey, Timestamp};

use super::{
    claim::{Claim, SiteName},
    config::Keep,
    gone::{NodeWord, Place},
    launch::{Launch, Object, Open},
    logs,
    output::Left,
    pod::Pod,
    report::Report,
    spark::Application,
};
pub use application::Checked;
use application::{Helper, Spark};
use away::Away;
use waits::Waits;

/// Where an object lies: which cluster (by its place in the configuration) and namespace.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Site {
    pub cluster: usize,
    pub namespace: Arc<str>,
}

/// Where a claim says that its pod is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Home {
    /// It does not say.
    Unknown,
    At(Site),
    /// Where nobody looks: the clusters file does not name it, or even its cluster, any more.
    OutOfReach {
        site: SiteName,
        cluster: Option<usize>,
    },
}

/// What a cluster's configuration says about its attempts.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    pub unschedulable_after: Duration,
    pub keep: Keep,
}

/// Everything known about one attempt. About two kilobytes while its pod is there.
#[derive(Debug)]
pub struct Attempt {
    pub id: AttemptId,
    pub run: RunKey,
    pub kind: Kind,
    /// Until the pod is confirmed.
    launch: Option<Arc<Launch>>,
    site: Option<Site>,
    /// Nothing of its pod is seen, and that says nothing.
    away: Option<Box<Away>>,
    /// The uid that is committed. Only this pod may run.
    claim: Option<Arc<str>>,
    will: Will,
    /// The pod of the claim; without one, the first that was seen.
    pod: Option<Pod>,
    presence: Presence,
    /// It was seen with our finalizer: it may have run.
    was_guarded: bool,
    /// Pods that work for the main one and have not ended.
    helpers: Vec<Helper>,
    /// Of [`Kind::SparkApplication`] alone.
    spark: Spark,
    making: Making,
    told: Told,
    place: PlaceKnown,
    /// Why we end it, once we do.
    cause: Option<Cause>,
    is_deletion_asked: bool,
    is_application_dropped: bool,
    /// Since when the pod can't start, and why.
    trouble: Option<(&'static str, Timestamp)>,
    /// Why it can't be made now.
    held_back: Option<Arc<str>>,
    /// Why it does not begin or, once it has started, does not end.
    waits: Waits,
    node: Option<(NodeWord, Timestamp)>,
    look_again_at: Option<Timestamp>,
    ending: Ending,
    is_following: bool,
    /// The one call that is under way, so that answers can't cross.
    busy: Option<Busy>,
    retry: Retry,
}

/// What the scheduler wants of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Will {
    Run,
    Cancel,
    /// Its end is committed.
    Tidy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    /// Never looked for, or seen.
    Open,
    /// It should have been in a complete list: a look at it tells.
    Unlisted,
    /// It is not there.
    Missing,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Making {
    /// The object was made in this term, or found made.
    owner: Option<Owner>,
    has_secret: bool,
    /// Since when its creation is refused.
    denied_since: Option<Timestamp>,
}

/// What owns the secret: the pod, or the application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    pub kind: Kind,
    pub uid: Arc<str>,
}

/// What is made for an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    Pod,
    /// Its operator makes the pod.
    SparkApplication,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Told {
    claimed: bool,
    started: bool,
    finished: bool,
}

/// Where its containers run. Recorded once, by the first leader that sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
enum PlaceKnown {
    No,
    Asking,
    Yes(Place),
}

/// Why we end a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Cause {
    Canceled,
    TimedOut,
    /// It never starts; the reason for people.
    Unstartable(String),
    /// The task's container has ended, others have not.
    TaskEnded,
    /// Somebody let it run before its claim was committed.
    Interfered,
}

/// From *gone* to reported.
#[derive(Debug)]
enum Ending {
    NotYet,
    /// It is gone; this is how, and what people are told in the log.
    Gone {
        outcome: AttemptOutcome,
        at: Timestamp,
        notes: Notes,
        log: logs::Log,
    },
    Reading {
        outcome: AttemptOutcome,
        at: Timestamp,
    },
    /// All there is to report.
    Over {
        outcome: AttemptOutcome,
        at: Timestamp,
        left: Left,
    },
}

#[derive(Debug)]
enum Notes {
    /// The reason alone so far; the pod's events are to be added.
    Wanted(Vec<String>),
    Complete(Vec<String>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Busy {
    Create,
    Secret,
    Confirm,
    Delete,
    Release,
    Look,
    Events,
    /// What a submission should have left is looked at.
    Check,
    /// An application that is in the way of the next one is deleted.
    Drop,
}

/// How long a call that failed is left alone.
#[derive(Debug, Clone, Default)]
struct Retry {
    failures: u32,
    not_before: Option<Timestamp>,
    /// Why the last call failed, until the next one is answered.
    reason: Option<Arc<str>>,
}

/// What happened.
#[derive(Debug)]
pub enum Input {
    Launch(Arc<Launch>, Option<Site>),
    /// Nothing can be made where it is to be made, for this reason.
    HeldBack(Arc<str>),
    /// None of this kind can be seen where it is, for this reason; or, without one, again.
    Unseen(Kind, Option<Arc<str>>),
    /// The last warning of its node, if there is one.
    Warned(Option<Arc<str>>),
    Confirm(Arc<str>),
    Cancel,
    Acknowledge,
    /// A pod of this attempt, as a watch, a list or an answer shows it.
    Pod(Site, Pod),
    /// It is gone from what the watch selects; its last state.
    PodDeleted(Pod),
    Application(Site, Box<Application>),
    /// Gone from the API server. Without a uid: whichever it was.
    ApplicationGone(Option<Arc<str>>),
    /// A complete list of all that there is did not have it.
    Unlisted,
    Answer(Answer),
    Node(NodeWord),
    LogEnded(Left),
    Wake,
}

/// What came of the call under way.
#[derive(Debug)]
pub enum Answer {
    Created(Made),
    SecretMade(Refused<()>),
    Confirmed(Confirmed),
    Deleted(Deleted),
    Released(Refused<()>),
    Looked(Looked),
    Events(Vec<String>),
    Checked(Checked),
    ApplicationDropped,
    /// Nobody waits for this one.
    HelperEnded,
}

#[derive(Debug)]
pub enum Made {
    Pod(Box<Pod>),
    Application {
        uid: Arc<str>,
    },
    /// The name is taken, by what may be this very attempt's pod.
    Exists(Box<Pod>),
    /// The name is taken by something that is not ours.
    Foreign(String),
    /// No try will help.
    Invalid(String),
    /// Somebody's rules refuse it, perhaps only for now.
    Denied(String),
    /// Nothing is known, or it is nothing about this attempt: later again.
    Later(String),
}

#[derive(Debug)]
pub enum Refused<T> {
    Done(T),
    /// It does not exist any more.
    Missing,
    Invalid(String),
    Later(String),
}

#[derive(Debug)]
pub enum Confirmed {
    Pod(Box<Pod>),
    /// That uid is not there.
    NotOurs,
    Later(String),
}

#[derive(Debug)]
pub enum Deleted {
    Asked,
    Missing,
    /// It is not what it was: another uid, or another version.
    Changed(Option<Box<Pod>>),
    Later(String),
}

#[derive(Debug)]
pub enum Looked {
    Pod(Box<Pod>),
    Missing,
    Later(String),
}

/// What is to be done.
#[derive(Debug)]
pub enum Effect {
    Report(Report),
    /// This pod may run, once that is committed.
    Claim {
        site: Site,
        uid: Arc<str>,
    },
    Create(Arc<Launch>, Site),
    MakeSecret {
        launch: Arc<Launch>,
        site: Site,
        owner: Owner,
    },
    Confirm {
        site: Site,
        name: Arc<str>,
        uid: Arc<str>,
    },
    Delete {
        site: Site,
        name: Arc<str>,
        condition: Condition,
        grace_s: Option<i64>,
    },
    /// The application that makes the driver goes, too.
    DropApplication {
        site: Site,
    },
    /// It goes later; until then people may look at it.
    KeepApplication {
        site: Site,
        until: Timestamp,
    },
    /// Has `spark-submit` made all that this driver needs?
    CheckSubmission {
        site: Site,
        name: Arc<str>,
    },
    /// The driver is gone, and nobody else ends what worked for it.
    EndHelper {
        site: Site,
        name: Arc<str>,
        uid: Arc<str>,
    },
    Release {
        site: Site,
        name: Arc<str>,
        uid: Arc<str>,
    },
    /// At the pod with that uid, and that one only, if there is one.
    Look {
        site: Site,
        name: Arc<str>,
        uid: Option<Arc<str>>,
        run: RunKey,
    },
    LookAtNode {
        cluster: Option<usize>,
        node: Arc<str>,
    },
    FetchEvents {
        site: Site,
        uid: Arc<str>,
    },
    /// Of all that nodes warn of in its namespace it wants to hear what is about itself.
    AskForWarnings {
        site: Site,
    },
    Follow {
        site: Site,
        name: Arc<str>,
        container: Arc<str>,
    },
    /// Without a `Follow` before it, there is only what it says.
    EndLog(logs::Ended),
    /// A gated pod that is not this attempt's claim.
    Sweep(Site, Box<Pod>),
    WakeAt(Timestamp),
    Warn(String),
    /// Nothing is left to be done for it. Its pod, if it stays for a while, is anybody's.
    Forget(Option<(Site, Box<Pod>)>),
}

/// What a deletion must find.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// This very version: it was gated in it.
    Unconfirmed {
        uid: Arc<str>,
        version: String,
    },
    Uid(Arc<str>),
}

/// Takes one input and does what now can be done.
pub fn step(attempt: &mut Attempt, input: Input, rules: &Rules, now: Timestamp) -> Vec<Effect> {
    let mut effects = Vec::new();
    apply::apply(attempt, input, now, &mut effects);
    advance::advance(attempt, rules, now, &mut effects);
    waits::tell(attempt, rules, now, &mut effects);
    application::tell_link(attempt, &mut effects);
    effects
}

impl Attempt {
    pub fn ordered(launch: &Launch) -> Self {
        let kind = match launch.object {
            Object::Pod(_) => Kind::Pod,
            Object::SparkApplication(_) => Kind::SparkApplication,
        };
        Self::empty(launch.attempt, launch.run, kind)
    }

    /// Something of an attempt that nobody here knows.
    pub fn unknown(id: AttemptId, run: RunKey, home: Home) -> Self {
        Self::empty(id, run, Kind::Pod).with_home(home)
    }

    pub fn open(open: &Open, home: Home) -> Self {
        let mut attempt = Self::empty(
            open.attempt,
            open.run,
            if open.executor.as_str() == "spark" { Kind::SparkApplication } else { Kind::Pod },
        );
        attempt.claim = open.claim.as_deref().map(|claim| Claim::parse(claim).uid);
        attempt.told.claimed = open.claim.is_some();
        match open.state {
            AttemptState::Queued | AttemptState::Closed => {}
            AttemptState::Running => attempt.was_guarded = true,
            // The order to cancel comes by itself; until then nothing may be begun.
            AttemptState::Canceling => attempt.will = Will::Cancel,
        }
        if let Some(place) = &open.place {
            attempt.was_guarded = true;
            attempt.told.started = true;
            attempt.place = PlaceKnown::Yes(Place::parse(place));
        }
        attempt.with_home(home)
    }

    fn with_home(mut self, home: Home) -> Self {
        match home {
            Home::Unknown => {}
            Home::At(site) => self.site = Some(site),
            Home::OutOfReach { site, cluster } => self.away = Some(Box::new(Away::new(site, cluster))),
        }
        self
    }

    fn empty(id: AttemptId, run: RunKey, kind: Kind) -> Self {
        Self {
            id,
            run,
            kind,
            launch: None,
            site: None,
            away: None,
            claim: None,
            will: Will::Run,
            pod: None,
            presence: Presence::Open,
            was_guarded: false,
            helpers: Vec::new(),
            spark: Spark::default(),
            making: Making::default(),
            told: Told::default(),
            place: PlaceKnown::No,
            cause: None,
            is_deletion_asked: false,
            is_application_dropped: false,
            trouble: None,
            held_back: None,
            waits: Waits::default(),
            node: None,
            look_again_at: None,
            ending: Ending::NotYet,
            is_following: false,
            busy: None,
            retry: Retry::default(),
        }
    }

    pub fn site(&self) -> Option<&Site> {
        self.site.as_ref()
    }

    pub fn pod(&self) -> Option<&Pod> {
        self.pod.as_ref()
    }

    /// Nothing but what its node warns of tells why it does not start.
    pub fn wants_warnings(&self) -> bool {
        self.waits.ask_at.is_some()
    }

    /// Its claim is committed, and no pod was seen: if the lists that could show it are complete, there is none.
    pub fn is_unseen(&self) -> bool {
        self.claim.is_some() && self.pod.is_none()
    }

    pub fn wants_creation(&self) -> bool {
        self.will == Will::Run && self.claim.is_none() && matches!(self.ending, Ending::NotYet)
    }
}
