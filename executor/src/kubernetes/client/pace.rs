//! How fast pods are made in a namespace that refuses them: quota, 429, a server that is away. Pure.
//!
//! One creation tries, the others wait behind it; and a pod that goes makes room at once.

use std::time::Duration;

use gridflow_core::Timestamp;

const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pace {
    failures: u32,
    not_before: Option<Timestamp>,
}

impl Pace {
    /// How many may be under way.
    pub(super) fn room(&self, now: Timestamp) -> usize {
        match self.not_before {
            None => usize::MAX,
            Some(at) if at <= now => 1,
            Some(_) => 0,
        }
    }

    pub(super) fn wake_at(&self) -> Option<Timestamp> {
        self.not_before
    }

    /// True if it is worth a word.
    pub(super) fn refuse(&mut self, now: Timestamp) -> bool {
        let pause = (PAUSE_MIN * 2u32.pow(self.failures.min(10))).min(PAUSE_MAX);
        self.failures += 1;
        self.not_before = Some(now + pause);
        self.failures.is_power_of_two()
    }

    /// More than once in a row.
    pub(super) fn is_refused_again(&self) -> bool {
        1 < self.failures
    }

    pub(super) fn succeed(&mut self) {
        *self = Self::default();
    }

    /// Something has gone that may have been in the way.
    pub(super) fn make_room(&mut self, now: Timestamp) {
        if self.not_before.is_some() {
            self.not_before = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_timestamp_millis(ms).unwrap()
    }

    #[test]
    fn a_refusal_lets_one_through_after_a_pause_that_grows() {
        let mut pace = Pace::default();
        assert_eq!(pace.room(at(0)), usize::MAX);
        pace.refuse(at(0));
        assert_eq!((pace.room(at(499)), pace.room(at(500))), (0, 1));
        assert!(!pace.is_refused_again());
        pace.refuse(at(500));
        assert!(pace.is_refused_again());
        assert_eq!((pace.room(at(1499)), pace.room(at(1500))), (0, 1));
        for _ in 0..40 {
            pace.refuse(at(2000));
        }
        assert_eq!((pace.room(at(31_999)), pace.room(at(32_000))), (0, 1));
        pace.succeed();
        assert!(!pace.is_refused_again());
        assert_eq!(pace.room(at(2000)), usize::MAX);
    }

    #[test]
    fn a_pod_that_goes_makes_room_at_once() {
        let mut pace = Pace::default();
        pace.make_room(at(0));
        assert_eq!(pace.room(at(0)), usize::MAX);
        pace.refuse(at(0));
        pace.make_room(at(10));
        assert_eq!(pace.room(at(10)), 1);
    }
}
