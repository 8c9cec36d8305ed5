//! Pods of this installation that no open attempt stands for. Pure.
//!
//! What never ran is deleted. What has ended, and whose end is committed, loses our finalizer and goes when the cluster's
//! policy says. Everything else is left alone: what is not understood may be running.

use std::{collections::HashMap, sync::Arc, time::Duration};

use gridflow_core::{AttemptId, Timestamp, Turn};

use super::super::{
    attempt::{Condition, Deleted, Refused, Site},
    config::Keep,
    gone,
    pod::{Container, Phase, Pod, Role},
};

/// A call that failed is tried again that much later.
const RETRY_PAUSE: Duration = Duration::from_secs(10);

/// What is to become of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    Leave,
    Delete(Condition),
    Release,
    DeleteAt(Timestamp),
}

/// What is known, when a fate is decided.
#[derive(Debug, Clone, Copy)]
pub struct Horizon {
    /// Every attempt of this turn and the ones before is known: open, or closed for good.
    pub turn_known: Turn,
    pub keep: Keep,
}

pub fn fate(pod: &Pod, is_acknowledged: bool, horizon: &Horizon, now: Timestamp) -> Fate {
    let is_closed = is_acknowledged || pod.mark.turn.is_some_and(|turn| turn <= horizon.turn_known);
    if pod.mark.role == Role::Helper || !is_closed {
        return Fate::Leave;
    }
    if pod.is_unconfirmed() {
        return match pod.deletion {
            Some(_) => Fate::Leave,
            None => Fate::Delete(Condition::Unconfirmed { uid: pod.uid.clone(), version: pod.version.to_string() }),
        };
    }
    let has_ended = gone::is_reported(pod);
    if pod.is_guarded {
        // The attempt is closed, so it was proven gone; but after a loss of data nobody has proven it.
        let is_over = has_ended || pod.deletion.is_some() || pod.phase.is_final();
        return if is_over { Fate::Release } else { Fate::Leave };
    }
    if !has_ended || pod.deletion.is_some() {
        return Fate::Leave;
    }
    let keep = if pod.phase == Phase::Succeeded { horizon.keep.succeeded } else { horizon.keep.failed };
    let at = ended_at(pod).unwrap_or(now) + keep;
    if at <= now { Fate::Delete(Condition::Uid(pod.uid.clone())) } else { Fate::DeleteAt(at) }
}

fn ended_at(pod: &Pod) -> Option<Timestamp> {
    match &pod.task {
        Container::Ended(end) => end.finished_at,
        Container::Absent | Container::Waiting { .. } | Container::Running { .. } => None,
    }
}

/// A call about a pod that nobody needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sweep {
    pub attempt: AttemptId,
    pub uid: Arc<str>,
    pub site: Site,
    pub name: Arc<str>,
    pub what: SweepCall,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SweepCall {
    Delete(Condition),
    Release,
}

#[derive(Debug)]
pub enum Swept {
    Deleted(Deleted),
    Released(Refused<()>),
}

/// The pods that nobody stands for.
#[derive(Debug, Default)]
pub(super) struct Strays {
    by_attempt: HashMap<AttemptId, Vec<Stray>>,
}

#[derive(Debug)]
struct Stray {
    site: Site,
    pod: Pod,
    generation: u32,
    is_busy: bool,
    is_acknowledged: bool,
    not_before: Option<Timestamp>,
}

/// What a look at the strays found to do, and when to look again.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) sweeps: Vec<Sweep>,
    pub(super) look_again_at: Option<Timestamp>,
}

impl Strays {
    pub(super) fn put(&mut self, site: Site, pod: Pod, generation: u32) {
        let strays = self.by_attempt.entry(pod.mark.attempt).or_default();
        match strays.iter_mut().find(|stray| stray.pod.uid == pod.uid) {
            Some(stray) => {
                stray.generation = generation;
                if !pod.version.is_before(&stray.pod.version) {
                    stray.pod = pod;
                }
            }
            None => {
                strays.push(Stray { site, pod, generation, is_busy: false, is_acknowledged: false, not_before: None })
            }
        }
    }

    /// The attempt is known to be closed, whatever its turn.
    pub(super) fn acknowledge(&mut self, attempt: AttemptId) {
        for stray in self.by_attempt.get_mut(&attempt).into_iter().flatten() {
            stray.is_acknowledged = true;
        }
    }

    pub(super) fn drop_pod(&mut self, attempt: AttemptId, uid: &str) {
        if let Some(strays) = self.by_attempt.get_mut(&attempt) {
            strays.retain(|stray| &*stray.pod.uid != uid);
            if strays.is_empty() {
                self.by_attempt.remove(&attempt);
            }
        }
    }

    /// Those of an attempt that somebody stands for after all.
    pub(super) fn take(&mut self, attempt: AttemptId) -> Vec<(Site, Pod)> {
        let strays = self.by_attempt.remove(&attempt).unwrap_or_default();
        strays.into_iter().map(|stray| (stray.site, stray.pod)).collect()
    }

    /// What a complete list of a site did not show is not there.
    pub(super) fn drop_unlisted(&mut self, site: &Site, generation: u32) {
        self.by_attempt.retain(|_, strays| {
            strays.retain(|stray| stray.site != *site || stray.generation == generation);
            !strays.is_empty()
        });
    }

    pub(super) fn answer(&mut self, attempt: AttemptId, uid: &str, swept: Swept, now: Timestamp) {
        let Some(strays) = self.by_attempt.get_mut(&attempt) else { return };
        let Some(stray) = strays.iter_mut().find(|stray| &*stray.pod.uid == uid) else { return };
        stray.is_busy = false;
        match swept {
            Swept::Deleted(Deleted::Missing | Deleted::Changed(None)) | Swept::Released(Refused::Missing) => {
                self.drop_pod(attempt, uid);
            }
            Swept::Deleted(Deleted::Changed(Some(pod))) if *pod.uid == *uid => stray.pod = *pod,
            Swept::Deleted(Deleted::Changed(Some(_))) => self.drop_pod(attempt, uid),
            Swept::Released(Refused::Done(())) => stray.pod.is_guarded = false,
            // The watch shows that it is gone; if it does not, it is tried again.
            Swept::Deleted(Deleted::Asked | Deleted::Later(_))
            | Swept::Released(Refused::Invalid(_) | Refused::Later(_)) => stray.not_before = Some(now + RETRY_PAUSE),
        }
    }

    pub(super) fn look(
        &mut self,
        attempt: Option<AttemptId>,
        horizon_of: impl Fn(&Site) -> Horizon,
        now: Timestamp,
    ) -> Found {
        let mut found = Found::default();
        match attempt {
            Some(attempt) => {
                let strays = self.by_attempt.get_mut(&attempt).into_iter().flatten();
                strays.for_each(|stray| look_at(stray, &horizon_of(&stray.site), now, &mut found));
            }
            None => {
                let strays = self.by_attempt.values_mut().flatten();
                strays.for_each(|stray| look_at(stray, &horizon_of(&stray.site), now, &mut found));
            }
        }
        found
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_attempt.is_empty()
    }
}

fn look_at(stray: &mut Stray, horizon: &Horizon, now: Timestamp, found: &mut Found) {
    let mut again = |at: Timestamp| {
        found.look_again_at = Some(found.look_again_at.map_or(at, |known: Timestamp| known.min(at)));
    };
    if stray.is_busy {
        return;
    }
    if let Some(at) = stray.not_before.filter(|at| now < *at) {
        return again(at);
    }
    let what = match fate(&stray.pod, stray.is_acknowledged, horizon, now) {
        Fate::Leave => return,
        Fate::DeleteAt(at) => return again(at),
        Fate::Delete(condition) => SweepCall::Delete(condition),
        Fate::Release => SweepCall::Release,
    };
    stray.is_busy = true;
    found.sweeps.push(Sweep {
        attempt: stray.pod.mark.attempt,
        uid: stray.pod.uid.clone(),
        site: stray.site.clone(),
        name: stray.pod.name.clone(),
        what,
    });
}
