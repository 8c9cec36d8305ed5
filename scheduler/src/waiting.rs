//! Why attempts do not begin, or do not end: from the executors to the database, beside the turns.
//!
//! It is for people, and nothing is decided from it: the core never hears of it, no turn waits for it, and what can't be
//! written now is written later.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use gridflow_core::AttemptId;
use gridflow_store::{
    Database,
    leader::Pass,
    waits::{self, Waits},
};
use tokio::{sync::Notify, time::sleep};

use crate::{Error, chain, parts::answered};

/// So long more is waited for, so that it goes into one statement, and what passes at once is never written.
const GATHER: Duration = Duration::from_millis(500);
/// Rows of one statement, which turns may have to wait for.
const AT_ONCE_MAX: usize = 500;
/// After an error, or for rows that a turn had in its hands.
const AGAIN: Duration = Duration::from_secs(2);
const WRITE_MAX: Duration = Duration::from_secs(30);

/// The last word on each attempt that is not written yet. Bounded by the attempts that are open.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    news: Mutex<HashMap<AttemptId, Waits>>,
    told: Notify,
}

impl Waiting {
    pub fn tell(&self, waits: Waits) {
        self.news().insert(waits.attempt, waits);
        self.told.notify_one();
    }

    /// Some of them, for one statement.
    pub fn take(&self) -> Vec<Waits> {
        let mut news = self.news();
        let some: Vec<AttemptId> = news.keys().take(AT_ONCE_MAX).copied().collect();
        some.iter().filter_map(|attempt| news.remove(attempt)).collect()
    }

    /// What was told meanwhile is newer.
    fn put_back(&self, unwritten: impl IntoIterator<Item = Waits>) {
        let mut news = self.news();
        for waits in unwritten {
            news.entry(waits.attempt).or_insert(waits);
        }
    }

    fn is_empty(&self) -> bool {
        self.news().is_empty()
    }

    fn news(&self) -> MutexGuard<'_, HashMap<AttemptId, Waits>> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what is told in a term, as long as it is polled. First it forgets what earlier terms were told.
    pub async fn keep_written(&self, database: &Database, pass: Pass) {
        while !done(forget(database, pass).await) {
            sleep(AGAIN).await;
        }
        loop {
            if self.is_empty() {
                self.told.notified().await;
            }
            sleep(GATHER).await;
            if !done(self.write_all(database, pass).await) {
                sleep(AGAIN).await;
            }
        }
    }

    /// False: some could not be written now.
    async fn write_all(&self, database: &Database, pass: Pass) -> Result<bool, Error> {
        let mut later = Vec::new();
        let ended = loop {
            let some = self.take();
            if some.is_empty() {
                break Ok(later.is_empty());
            }
            match write(database, pass, &some).await {
                Ok(again) => later.extend(some.into_iter().filter(|waits| again.contains(&waits.attempt))),
                Err(error) => {
                    self.put_back(some);
                    break Err(error);
                }
            }
        };
        self.put_back(later);
        ended
    }
}

async fn forget(database: &Database, pass: Pass) -> Result<bool, Error> {
    let forget = async { waits::forget(&mut *database.reader().await?, pass).await };
    answered("forgetting what attempts waited for", WRITE_MAX, forget).await
}

async fn write(database: &Database, pass: Pass, some: &[Waits]) -> Result<Vec<AttemptId>, Error> {
    let write = async { waits::write(&mut *database.reader().await?, pass, some).await };
    answered("writing down what attempts wait for", WRITE_MAX, write).await
}

fn done(ended: Result<bool, Error>) -> bool {
    ended.unwrap_or_else(|error| {
        tracing::warn!("what attempts wait for can't be shown now: {}", chain(&error));
        false
    })
}

#[cfg(test)]
mod tests {
    use gridflow_core::RunKey;
    use uuid::Uuid;

    use super::*;

    fn waits(no: u128, reason: &str) -> Waits {
        let (run, attempt) = (RunKey(Uuid::nil()), AttemptId(Uuid::from_u128(no)));
        Waits { run, attempt, has_started: false, reason: Some(reason.into()) }
    }

    #[test]
    fn the_last_word_on_an_attempt_is_kept_also_when_an_earlier_one_could_not_be_written() {
        let waiting = Waiting::default();
        waiting.tell(waits(1, "quota"));
        waiting.tell(waits(1, "no node"));
        assert_eq!(waiting.take(), [waits(1, "no node")]);
        waiting.tell(waits(1, "no image"));
        waiting.put_back([waits(1, "no node"), waits(2, "quota")]);
        let mut left = waiting.take();
        left.sort_by_key(|waits| waits.attempt);
        assert_eq!(left, [waits(1, "no image"), waits(2, "quota")]);
        assert!(waiting.is_empty());
    }

    #[test]
    fn one_statement_has_so_many_rows_and_no_more() {
        let waiting = Waiting::default();
        (0..=AT_ONCE_MAX as u128).for_each(|no| waiting.tell(waits(no, "quota")));
        assert_eq!((waiting.take().len(), waiting.take().len()), (AT_ONCE_MAX, 1));
    }
}
