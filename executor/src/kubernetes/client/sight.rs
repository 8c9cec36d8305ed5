//! Whether a watch sees its namespace. Pure.

use std::time::Duration;

use tokio::time::Instant;

/// What passes sooner is not worth a word.
const WORTH_A_WORD: Duration = Duration::from_secs(3);

#[derive(Debug, Default)]
pub(super) struct Sight {
    lost_at: Option<Instant>,
    is_told: bool,
}

impl Sight {
    /// Another failure. True, once, when people are to be told.
    pub(super) fn lose(&mut self, now: Instant) -> bool {
        let lost_at = *self.lost_at.get_or_insert(now);
        let is_news = !self.is_told && WORTH_A_WORD <= now - lost_at;
        self.is_told |= is_news;
        is_news
    }

    /// True if people were told that it was lost.
    pub(super) fn regain(&mut self) -> bool {
        std::mem::take(self).is_told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sight_that_is_lost_for_a_while_is_told_once_and_so_is_its_return() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut sight = Sight::default();
        assert!(!sight.lose(at(0)));
        assert!(!sight.regain(), "a hiccup");
        assert!(!sight.lose(at(10)));
        assert!(!sight.lose(at(12)));
        assert!(sight.lose(at(13)));
        assert!(!sight.lose(at(100)));
        assert!(sight.regain());
        assert!(!sight.regain());
    }
}
