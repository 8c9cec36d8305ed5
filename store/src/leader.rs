//! Leadership: one direct connection that carries a session lock and every turn.
//!
//! Being leader is two things: the session's advisory lock says who may try, the epoch in the `leader` row says whose
//! writes count. The lock can be lost without notice; the epoch can't, because every turn locks its row first.
//!
//! ```text
//! Candidate ──lock free, or its holder proven silent──▶ epoch + 1 ──▶ Leader ──any error──▶ poisoned: open a new one
//! ```

mod commit;
mod takeover;

use std::{
    ops::{Deref, DerefMut},
    time::Duration,
};

use sqlx::{Connection, PgConnection};
use uuid::Uuid;

pub use takeover::{Candidate, Election};
pub(crate) use takeover::{LOCK_CLASS, LOCK_OBJECT};

use crate::{Epoch, Error, Turn};

/// The right to write. Lost for good at the first error: memory no longer equals the database then, and only
/// recovery under a new epoch makes it so again.
#[derive(Debug)]
pub struct Leader {
    /// None: poisoned. Taken out while a turn is under way, so that a turn whose future is dropped poisons, too.
    conn: Option<PgConnection>,
    epoch: Epoch,
    holder: Uuid,
    turn: Turn,
    turn_at_takeover: Turn,
    turn_timeout: Duration,
}

impl Leader {
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The last turn that was committed, by this leader or those before it.
    pub fn turn(&self) -> Turn {
        self.turn
    }

    /// The last turn that was committed before this leader took over. Nothing on nodes that it does not lead from can
    /// carry a later one.
    pub fn turn_at_takeover(&self) -> Turn {
        self.turn_at_takeover
    }

    /// The turn that the next plan will be committed as.
    pub fn next_turn(&self) -> Turn {
        Turn(self.turn.0 + 1)
    }

    /// What transactions on other connections of this process show to be fenced; see [`crate::fence::hold`].
    pub fn pass(&self) -> Pass {
        Pass { epoch: self.epoch, holder: self.holder }
    }

    /// The one statement a second that an idle leader owes: a silent one is deposed after three.
    pub async fn ping(&mut self) -> Result<(), Error> {
        let turn_timeout = self.turn_timeout;
        let (epoch, holder) = (self.epoch, self.holder);
        let mut conn = self.conn.take().ok_or(Error::Fenced)?;
        let found = within(turn_timeout, async {
            let query =
                sqlx::query_scalar!("SELECT epoch FROM leader WHERE epoch = $1 AND holder = $2", epoch.0, holder);
            Ok(query.fetch_optional(&mut conn).await?)
        });
        found.await?.ok_or(Error::Fenced)?;
        self.conn = Some(conn);
        Ok(())
    }

    /// Opens a fenced transaction. Dropping it without [`Fenced::commit`] poisons the leader.
    pub async fn begin(&mut self) -> Result<Fenced<'_>, Error> {
        self.begin_as("BEGIN", "FOR NO KEY UPDATE").await
    }

    /// Opens a transaction that only reads, and sees one moment. It has no fence to wait for.
    pub(crate) async fn begin_snapshot(&mut self) -> Result<Fenced<'_>, Error> {
        self.begin_as("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", "").await
    }

    async fn begin_as(&mut self, begin: &str, lock: &str) -> Result<Fenced<'_>, Error> {
        let mut conn = self.conn.take().ok_or(Error::Fenced)?;
        // One round trip for both. Simple protocol, so the values stand in the text: a number and a UUID.
        let sql = format!(
            "{begin}; SELECT epoch FROM leader WHERE epoch = {} AND holder = '{}' {lock}",
            self.epoch, self.holder
        );
        let turn_timeout = self.turn_timeout;
        let fence = within(turn_timeout, async {
            Ok(sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).fetch_optional(&mut conn).await?)
        });
        fence.await?.ok_or(Error::Fenced)?;
        Ok(Fenced { leader: self, conn })
    }

    /// Steps down: the lock is free as soon as the server has closed the session.
    pub async fn resign(mut self) -> Result<(), Error> {
        match self.conn.take() {
            Some(conn) => Ok(conn.close().await?),
            None => Ok(()),
        }
    }
}

/// A leader's open transaction: no other leader can have taken over before it ends.
#[derive(Debug)]
pub struct Fenced<'a> {
    leader: &'a mut Leader,
    conn: PgConnection,
}

impl Fenced<'_> {
    /// Commits and gives the leader its connection back. On an error nobody knows whether it is committed.
    pub async fn commit(mut self) -> Result<(), Error> {
        let turn_timeout = self.leader.turn_timeout;
        within(turn_timeout, async {
            sqlx::raw_sql("COMMIT").execute(&mut self.conn).await?;
            Ok(())
        })
        .await?;
        self.leader.conn = Some(self.conn);
        Ok(())
    }
}

impl Deref for Fenced<'_> {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.conn
    }
}

impl DerefMut for Fenced<'_> {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.conn
    }
}

/// Names a leader to transactions beside its turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pass {
    pub(crate) epoch: Epoch,
    pub(crate) holder: Uuid,
}

async fn within<T>(limit: Duration, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::time::timeout(limit, work).await.unwrap_or(Err(Error::Deadline))
}
