//! Why attempts do not begin, or do not end: what executors say of it, for people.
//!
//! It goes past the core, since nothing is decided from it, and is written beside the turns, fenced as all that is
//! ([`crate::fence`]). What a turn has in its hands is passed over and told again, so that neither waits for the other.

use std::{borrow::Cow, sync::Arc};

use gridflow_core::{AttemptId, RunKey};
use sqlx::PgConnection;

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

/// Writes down what is told of attempts; of each only once in a call. Closed ones are left alone, and a leader that was
/// deposed writes nothing. Returns those that are to be told again.
pub async fn write(conn: &mut PgConnection, pass: Pass, waits: &[Waits]) -> Result<Vec<AttemptId>, Error> {
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

/// Forgets what earlier leaders were told: a new term hears it all anew. False: some are in the hands of a turn, and it
/// has to be asked again.
pub async fn forget(conn: &mut PgConnection, pass: Pass) -> Result<bool, Error> {
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
    let is_left =
        sqlx::query_scalar!(r#"SELECT EXISTS (SELECT FROM attempt WHERE is_open AND waits IS NOT NULL) AS "is_left!""#);
    Ok(!is_left.fetch_one(conn).await?)
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
