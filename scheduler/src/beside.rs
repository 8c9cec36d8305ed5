//! What executors say of attempts for people: from them to the database, beside the turns.
//!
//! Nothing is decided from it: the core never hears of it, no turn waits for it, and what can't be written now is
//! written later.

use std::{
    collections::HashMap,
    fmt::Debug,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use gridflow_core::AttemptId;
use gridflow_store::{
    Database,
    beside::{Links, Waits, Word},
    leader::Pass,
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

/// All that is told.
#[derive(Debug, Default)]
pub(crate) struct Beside {
    /// Why attempts do not begin, or do not end.
    pub waits: News<Waits>,
    /// Where else people can look at them.
    pub links: News<Links>,
}

impl Beside {
    /// Writes what is told in a term, as long as it is polled.
    pub async fn keep_written(&self, database: &Database, pass: Pass) {
        tokio::join!(self.waits.keep_written(database, pass), self.links.keep_written(database, pass));
    }
}

/// The last word on each attempt that is not written yet. Bounded by the attempts that are open.
#[derive(Debug)]
pub(crate) struct News<T> {
    unwritten: Mutex<HashMap<AttemptId, T>>,
    told: Notify,
}

impl<T> Default for News<T> {
    fn default() -> Self {
        Self { unwritten: Mutex::default(), told: Notify::new() }
    }
}

impl<T: Word> News<T> {
    pub fn tell(&self, word: T) {
        self.unwritten().insert(word.attempt(), word);
        self.told.notify_one();
    }

    /// Some of it, for one statement.
    pub fn take(&self) -> Vec<T> {
        let mut unwritten = self.unwritten();
        let some: Vec<AttemptId> = unwritten.keys().take(AT_ONCE_MAX).copied().collect();
        some.iter().filter_map(|attempt| unwritten.remove(attempt)).collect()
    }

    /// What was told meanwhile is newer.
    fn put_back(&self, words: impl IntoIterator<Item = T>) {
        let mut unwritten = self.unwritten();
        for word in words {
            unwritten.entry(word.attempt()).or_insert(word);
        }
    }

    fn is_empty(&self) -> bool {
        self.unwritten().is_empty()
    }

    fn unwritten(&self) -> MutexGuard<'_, HashMap<AttemptId, T>> {
        self.unwritten.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// First it forgets what earlier terms were told.
    async fn keep_written(&self, database: &Database, pass: Pass) {
        while !done(forget::<T>(database, pass).await) {
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
                Ok(again) => later.extend(some.into_iter().filter(|word| again.contains(&word.attempt()))),
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

async fn forget<T: Word>(database: &Database, pass: Pass) -> Result<bool, Error> {
    let forget = async { T::forget(&mut *database.reader().await?, pass).await };
    answered("forgetting what was said of attempts", WRITE_MAX, forget).await
}

async fn write<T: Word>(database: &Database, pass: Pass, some: &[T]) -> Result<Vec<AttemptId>, Error> {
    let write = async { T::write(&mut *database.reader().await?, pass, some).await };
    answered("writing down what is said of attempts", WRITE_MAX, write).await
}

fn done(ended: Result<bool, Error>) -> bool {
    ended.unwrap_or_else(|error| {
        tracing::warn!("what executors say of attempts can't be shown now: {}", chain(&error));
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
        let news = News::default();
        news.tell(waits(1, "quota"));
        news.tell(waits(1, "no node"));
        assert_eq!(news.take(), [waits(1, "no node")]);
        news.tell(waits(1, "no image"));
        news.put_back([waits(1, "no node"), waits(2, "quota")]);
        let mut left = news.take();
        left.sort_by_key(|waits| waits.attempt);
        assert_eq!(left, [waits(1, "no image"), waits(2, "quota")]);
        assert!(news.is_empty());
    }

    #[test]
    fn one_statement_has_so_many_rows_and_no_more() {
        let news = News::default();
        (0..=AT_ONCE_MAX as u128).for_each(|no| news.tell(waits(no, "quota")));
        assert_eq!((news.take().len(), news.take().len()), (AT_ONCE_MAX, 1));
    }
}
