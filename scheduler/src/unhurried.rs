//! Events that need no turn of their own for a moment.
//!
//! That a command has started is worth knowing, but nothing waits for it, and a turn of its own would hold up the
//! end of a short command, which comes right behind. So it joins the next turn there is, and makes one by itself
//! only when none has come for [`PATIENCE`]. Nothing is lost by that: an executor tells again what is not committed.

use std::time::Duration;

use gridflow_core::Event;
use tokio::time::Instant;

/// People see a command run that much later at most. Longer than a turn and a short command, so that a chain of
/// short ones takes one turn each.
const PATIENCE: Duration = Duration::from_millis(8);
/// As many make a turn at once, so that memory and the turn stay bounded.
const WAITING_MAX: usize = 1_024;

#[derive(Debug, Default)]
pub(crate) struct Unhurried {
    events: Vec<Event>,
    /// When the first of them has waited long enough.
    due: Option<Instant>,
}

impl Unhurried {
    pub fn push(&mut self, event: Event, now: Instant) {
        self.events.push(event);
        self.due.get_or_insert(now + PATIENCE);
    }

    pub fn is_due(&self, now: Instant) -> bool {
        self.due.is_some_and(|due| due <= now) || WAITING_MAX <= self.events.len()
    }

    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// For a turn that is made anyway.
    pub fn take(&mut self) -> Vec<Event> {
        self.due = None;
        std::mem::take(&mut self.events)
    }
}

#[cfg(test)]
mod tests {
    use gridflow_core::{AttemptId, RunKey, Timestamp};
    use uuid::Uuid;

    use super::*;

    fn started() -> Event {
        let (run, attempt) = (RunKey(Uuid::nil()), AttemptId(Uuid::nil()));
        Event::AttemptStarted { run, attempt, at: Timestamp::default(), pid: None, place: None }
    }

    #[test]
    fn the_first_event_decides_when_all_are_due() {
        let now = Instant::now();
        let mut unhurried = Unhurried::default();
        assert!(!unhurried.is_due(now));
        unhurried.push(started(), now);
        unhurried.push(started(), now + PATIENCE / 2);
        assert!(!unhurried.is_due(now + PATIENCE / 2));
        assert!(unhurried.is_due(now + PATIENCE));
        assert_eq!(unhurried.take().len(), 2);
        assert!(!unhurried.is_due(now + PATIENCE * 9) && unhurried.due().is_none());
    }

    #[test]
    fn many_are_due_at_once() {
        let now = Instant::now();
        let mut unhurried = Unhurried::default();
        (0..WAITING_MAX).for_each(|_| unhurried.push(started(), now));
        assert!(unhurried.is_due(now));
    }
}
