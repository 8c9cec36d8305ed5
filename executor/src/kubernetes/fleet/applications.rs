//! SparkApplications of one term: which attempt hears of them, and which nobody needs any more. Pure.

use std::collections::{HashMap, HashSet};

use gridflow_core::{AttemptId, Timestamp, Turn};

use super::super::{
    attempt::Site,
    config::Keep,
    spark::{Application, ApplicationState},
};

#[derive(Debug, Default)]
pub(super) struct Applications {
    /// Those that are in the list that is being read.
    listed: HashMap<Site, HashSet<AttemptId>>,
    /// Those whose attempts are over, and until when they stay.
    kept: HashMap<AttemptId, (Site, Timestamp)>,
    /// Those of attempts that nobody here knows.
    strays: HashMap<AttemptId, (Site, Box<Application>)>,
}

impl Applications {
    pub(super) fn list_began(&mut self, site: &Site) {
        self.listed.insert(site.clone(), HashSet::new());
    }

    pub(super) fn seen(&mut self, site: &Site, attempt: AttemptId) {
        if let Some(listed) = self.listed.get_mut(site) {
            listed.insert(attempt);
        }
    }

    /// What the list showed.
    pub(super) fn list_ended(&mut self, site: &Site) -> HashSet<AttemptId> {
        let listed = self.listed.remove(site).unwrap_or_default();
        self.strays.retain(|attempt, (at, _)| at != site || listed.contains(attempt));
        listed
    }

    pub(super) fn put_stray(&mut self, site: Site, attempt: AttemptId, application: Box<Application>) {
        self.strays.insert(attempt, (site, application));
    }

    /// Somebody stands for it after all.
    pub(super) fn take_stray(&mut self, attempt: AttemptId) -> Option<(Site, Box<Application>)> {
        self.strays.remove(&attempt)
    }

    pub(super) fn gone(&mut self, attempt: AttemptId) {
        self.kept.remove(&attempt);
        self.strays.remove(&attempt);
    }

    pub(super) fn keep(&mut self, site: Site, attempt: AttemptId, until: Timestamp) {
        self.kept.insert(attempt, (site, until));
    }

    pub(super) fn is_kept(&self, attempt: AttemptId) -> bool {
        self.kept.contains_key(&attempt)
    }

    /// Every attempt up to a turn is known, so a stray of one of these is of a closed attempt.
    pub(super) fn judge_strays(&mut self, turn_known: Turn, keep_of: impl Fn(&Site) -> Keep, now: Timestamp) {
        let is_closed = |application: &Application| application.turn.is_some_and(|turn| turn <= turn_known);
        let closed: Vec<AttemptId> =
            self.strays.iter().filter(|(_, (_, application))| is_closed(application)).map(|(id, _)| *id).collect();
        for attempt in closed {
            if let Some((site, application)) = self.strays.remove(&attempt) {
                let until = stays_until(&application, keep_of(&site), now);
                self.kept.insert(attempt, (site, until));
            }
        }
    }

    /// Those whose time is over.
    pub(super) fn due(&mut self, now: Timestamp) -> Vec<(Site, AttemptId)> {
        let due: Vec<AttemptId> = self.kept.iter().filter(|(_, (_, until))| *until <= now).map(|(id, _)| *id).collect();
        due.into_iter().filter_map(|attempt| Some((self.kept.remove(&attempt)?.0, attempt))).collect()
    }

    pub(super) fn wake_at(&self) -> Option<Timestamp> {
        self.kept.values().map(|(_, until)| *until).min()
    }
}

/// One whose driver has ended is there for a while; any other is of no use to anybody.
fn stays_until(application: &Application, keep: Keep, now: Timestamp) -> Timestamp {
    let ended_at = application.ended_at.unwrap_or(now);
    match &application.state {
        ApplicationState::Completed | ApplicationState::Succeeding => ended_at + keep.succeeded,
        ApplicationState::Failed | ApplicationState::Failing => ended_at + keep.failed,
        ApplicationState::New
        | ApplicationState::Submitted
        | ApplicationState::Running
        | ApplicationState::SubmissionFailed
        | ApplicationState::PendingRerun
        | ApplicationState::Invalidating
        | ApplicationState::Suspending
        | ApplicationState::Suspended
        | ApplicationState::Resuming
        | ApplicationState::Unknown
        | ApplicationState::Other(_) => now,
    }
}
