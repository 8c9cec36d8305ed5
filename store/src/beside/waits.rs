//! Why attempts do not begin, or do not end.

use std::{borrow::Cow, sync::Arc};

use gridflow_core::{AttemptId, RunKey};
use sqlx::PgConnection;

use super::Word;
use crate::{Error, leader::Pass, text::clean};

/// A reason is cut there. What Kubernetes says of a hundred nodes is longer than people read.
const REASON_CHARS_MAX: usize = 500;

/// What an attempt waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waits {
    pub run: RunKey,
    pub attempt: AttemptId,
    /// Why it does not end. Otherwise why it has not begun, which is forgotten once it has.
    pub has_started: bool,
    /// None: nothing is in its way any more.
    pub reason: Option<Arc<str>>,
}

impl Word for Waits {
    fn attempt(&self) -> AttemptId {
        self.attempt
    }

    async fn write(conn: &mut PgConnection, pass: Pass, waits: &[Self]) -> Result<Vec<AttemptId>, Error> {
        let reasons = waits.iter().map(|one| one.reason.as_deref().map(|reason| bounded(reason).into_owned()));
        let again = sqlx::query_file_scalar!(
            "queries/attempt_waits_write.sql",
            pass.epoch.0,
            pass.holder,
            &waits.iter().map(|one| one.run.0).collect::<Vec<_>>(),
            &waits.iter().map(|one| one.attempt.0).collect::<Vec<_>>(),
            &waits.iter().map(|one| one.has_started).collect::<Vec<_>>(),
            &reasons.collect::<Vec<_>>() as &[Option<String>],
        )
        .fetch_all(conn)
        .await?;
        Ok(again.into_iter().map(AttemptId).collect())
    }

    async fn forget(conn: &mut PgConnection, pass: Pass) -> Result<bool, Error> {
        sqlx::query!(
            "WITH pass AS (SELECT epoch FROM leader WHERE epoch = $1 AND holder = $2 FOR KEY SHARE),
             free AS (
                 SELECT a.dag_run_id, a.attempt_id FROM attempt AS a
                 WHERE a.is_open AND a.waits IS NOT NULL AND EXISTS (SELECT FROM pass)
                 FOR NO KEY UPDATE OF a SKIP LOCKED
             )
             UPDATE attempt AS a SET waits = NULL FROM free
             WHERE a.dag_run_id = free.dag_run_id AND a.attempt_id = free.attempt_id",
            pass.epoch.0,
            pass.holder,
        )
        .execute(&mut *conn)
        .await?;
        let is_left = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT FROM attempt WHERE is_open AND waits IS NOT NULL) AS "is_left!""#
        );
        Ok(!is_left.fetch_one(conn).await?)
    }
}

/// At most so many characters; what is cut off is marked.
fn bounded(text: &str) -> Cow<'_, str> {
    let text = clean(text);
    if text.chars().nth(REASON_CHARS_MAX).is_none() {
        return text;
    }
    Cow::Owned(text.chars().take(REASON_CHARS_MAX - 1).chain(['…']).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_reason_is_cut_between_two_characters() {
        assert_eq!(bounded("short"), "short");
        let full = "ü".repeat(REASON_CHARS_MAX);
        assert_eq!(bounded(&full), full);
        let cut = bounded(&format!("{full}!")).into_owned();
        assert_eq!((cut.chars().count(), cut.ends_with("ü…")), (REASON_CHARS_MAX, true));
        assert_eq!(bounded("a\0b"), "a\u{fffd}b");
    }
}
