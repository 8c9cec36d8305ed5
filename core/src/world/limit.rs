//! How many attempts of one task may be open over all runs of its DAG, and who waits for that.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
};

use crate::id::TaskNo;

use super::lane::RunOrder;

/// A ready instance that found its limit full. Lower is better.
pub(super) type Parked = (Reverse<i32>, RunOrder, TaskNo);

#[derive(Debug, Default)]
pub(super) struct TaskLimit {
    /// As the DAG's current version has it; none: each instance goes by its own version's.
    pub max: Option<u32>,
    /// Attempts that are not closed, of instances whose version has the limit.
    pub active: u32,
    /// By their own version's maximum: while that counts, one version may have room and another not.
    parked: BTreeMap<NonZeroU32, BTreeSet<Parked>>,
}

impl TaskLimit {
    pub fn is_full(&self, own_max: NonZeroU32) -> bool {
        self.max.unwrap_or(own_max.get()) <= self.active
    }

    pub fn park(&mut self, own_max: NonZeroU32, who: Parked) {
        self.parked.entry(own_max).or_default().insert(who);
    }

    pub fn unpark(&mut self, own_max: NonZeroU32, who: &Parked) {
        if let Some(parked) = self.parked.get_mut(&own_max) {
            parked.remove(who);
            if parked.is_empty() {
                self.parked.remove(&own_max);
            }
        }
    }

    /// The best of those that have room now.
    pub fn best(&self) -> Option<(NonZeroU32, Parked)> {
        let with_room = self.parked.iter().filter(|(own_max, _)| !self.is_full(**own_max));
        with_room.filter_map(|(own_max, parked)| Some((*parked.first()?, *own_max))).min().map(|(who, max)| (max, who))
    }
}
