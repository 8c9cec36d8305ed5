//! What is not about one pod but tells why it does not go on: a namespace that can't be watched, and what nodes warn of.
//! Pure.
//!
//! Warnings are asked for a namespace at a time, however many of its pods wait for them.

use std::{collections::HashMap, sync::Arc, time::Duration};

use gridflow_core::{AttemptId, Timestamp};

use super::{
    super::attempt::{Input, Kind},
    Fleet, Site, Todo,
};

/// What was answered is good for that long.
const FRESH: Duration = Duration::from_secs(10);

/// What nodes warned of last, by the uid of the pod.
pub type ByUid = HashMap<Arc<str>, Arc<str>>;

/// What nodes warn of in a namespace.
#[derive(Debug, Default)]
pub(super) struct Warnings {
    is_asked: bool,
    answered: Option<(Timestamp, ByUid)>,
}

impl Fleet {
    pub(super) fn ask_for_warnings(&mut self, id: AttemptId, site: Site, now: Timestamp, todo: &mut Vec<Todo>) {
        let Some(warnings) = self.sites.get_mut(&site).map(|listing| &mut listing.warnings) else { return };
        if warnings.answered.as_ref().is_some_and(|(at, _)| now < *at + FRESH) {
            return self.tell_warning(id, &site, now, todo);
        }
        if !warnings.is_asked {
            warnings.is_asked = true;
            todo.push(Todo::FindWarnings(site));
        }
    }

    pub(super) fn take_warnings(&mut self, site: &Site, by_uid: ByUid, now: Timestamp, todo: &mut Vec<Todo>) {
        let Some(listing) = self.sites.get_mut(site) else { return };
        listing.warnings = Warnings { is_asked: false, answered: Some((now, by_uid)) };
        let waits = self.attempts.iter().filter(|(_, slot)| slot.attempt.wants_warnings());
        let waits: Vec<AttemptId> =
            waits.filter(|(_, slot)| slot.attempt.site() == Some(site)).map(|(id, _)| *id).collect();
        for id in waits {
            self.tell_warning(id, site, now, todo);
        }
    }

    fn tell_warning(&mut self, id: AttemptId, site: &Site, now: Timestamp, todo: &mut Vec<Todo>) {
        let uid = self.attempts.get(&id).and_then(|slot| slot.attempt.pod()).map(|pod| pod.uid.clone());
        let answered = self.sites.get(site).and_then(|listing| listing.warnings.answered.as_ref());
        let warning = answered.zip(uid).and_then(|((_, by_uid), uid)| by_uid.get(&uid).cloned());
        self.feed(id, Input::Warned(warning), now, todo);
    }

    pub(super) fn take_unseen(
        &mut self,
        site: &Site,
        kind: Kind,
        reason: Option<&Arc<str>>,
        now: Timestamp,
        todo: &mut Vec<Todo>,
    ) {
        let Some(listing) = self.sites.get_mut(site) else { return };
        match reason {
            Some(reason) => listing.unseen.insert(kind, reason.clone()),
            None => listing.unseen.remove(&kind),
        };
        let there = self.attempts.iter().filter(|(_, slot)| slot.attempt.site() == Some(site));
        for id in there.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.feed(id, Input::Unseen(kind, reason.cloned()), now, todo);
        }
    }

    /// To one that has come to a place that can't be seen.
    pub(super) fn tell_unseen(&mut self, id: AttemptId, now: Timestamp, todo: &mut Vec<Todo>) {
        let site = self.attempts.get(&id).and_then(|slot| slot.attempt.site());
        let Some(listing) = site.and_then(|site| self.sites.get(site)) else { return };
        for (kind, reason) in listing.unseen.clone() {
            self.feed(id, Input::Unseen(kind, Some(reason)), now, todo);
        }
    }
}
