//! Tasks that run beside others and must not end before them.
//!
//! **Architecture Invariant:** nothing ends in silence. A task that is gone while its work is still wanted is an
//! error, which ends the term or the program.

use std::time::Duration;

use tokio::{
    sync::watch,
    task::{JoinError, JoinSet},
};

use crate::{Error, turn::panic_text};

/// Named tasks; aborted when dropped.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    tasks: JoinSet<&'static str>,
    names: std::collections::HashMap<tokio::task::Id, &'static str>,
}

impl Parts {
    pub fn spawn(&mut self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let task = self.tasks.spawn(async move {
            work.await;
            name
        });
        self.names.insert(task.id(), name);
    }

    /// Waits until one of them ends, which none should. May be dropped while it waits.
    pub async fn one_ended(&mut self) -> Error {
        match self.tasks.join_next().await {
            Some(ended) => self.unexpected(ended),
            None => std::future::pending().await,
        }
    }

    /// Waits for all of them, when they have been told to end.
    pub async fn all_ended(mut self) {
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                let error = self.unexpected(Err(error));
                tracing::error!("{error}");
            }
        }
    }

    fn unexpected(&self, ended: Result<&'static str, JoinError>) -> Error {
        match ended {
            Ok(part) => Error::PartEnded { part, panic: None },
            Err(error) => {
                let part = self.names.get(&error.id()).copied().unwrap_or("a part");
                let panic = error.try_into_panic().ok().map(|panic| panic_text(&*panic));
                Error::PartEnded { part, panic }
            }
        }
    }
}

/// Waits for another value; for ever, where nobody is there any more who could give one.
pub(crate) async fn changed<T>(watched: &mut watch::Receiver<T>) {
    if watched.changed().await.is_err() {
        std::future::pending().await
    }
}

/// Work that needs an answer from elsewhere. A connection can be cut so that nobody ever hears of it.
pub(crate) async fn answered<T, E: Into<Error>>(
    doing: &'static str,
    limit: Duration,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, Error> {
    match tokio::time::timeout(limit, work).await {
        Ok(ended) => ended.map_err(Into::into),
        Err(_) => Err(Error::Silence { doing, limit }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_part_that_ends_or_panics_is_named() {
        let mut parts = Parts::default();
        parts.spawn("the clock", std::future::pending());
        parts.spawn("the bell", async { panic!("no clapper") });
        let error = parts.one_ended().await;
        assert_eq!(error.to_string(), "the bell ended unexpectedly: it panicked: no clapper");
        parts.spawn("the hand", async {});
        assert_eq!(parts.one_ended().await.to_string(), "the hand ended unexpectedly");
    }

    #[tokio::test]
    async fn who_never_answers_is_given_up() {
        let silent = std::future::pending::<Result<(), Error>>();
        let error = answered("asking", Duration::from_millis(7), silent).await.expect_err("nobody answers");
        assert_eq!(error.to_string(), "no answer within 7ms while asking");
    }
}
