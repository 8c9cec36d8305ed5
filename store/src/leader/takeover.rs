//! How a standby becomes leader.

use std::time::Duration;

use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};
use uuid::Uuid;

use super::Leader;
use crate::{
    Epoch, Error, Timestamp, Turn,
    database::{self, Database},
    migration,
};

/// Names our lock among the database's advisory locks.
pub(crate) const LOCK_CLASS: i32 = 0x4752_4944;
pub(crate) const LOCK_OBJECT: i32 = 1;
/// A holder that sent nothing for so long is stopped or cut off. A leader sends something every second.
const SILENCE_MAX: Duration = Duration::from_secs(3);
/// How long to wait for a terminated session to be gone.
const TERMINATE_WAIT_MS: i64 = 2_000;

/// A standby with its connection open already, so that a full `max_connections` can't stop a takeover.
#[derive(Debug)]
pub struct Candidate {
    conn: PgConnection,
    holder: Uuid,
    turn_timeout: Duration,
}

/// What came of an attempt to lead.
#[derive(Debug)]
pub enum Election {
    Won(Leader),
    /// Another one leads. Try again within a second.
    Standby(Candidate),
}

impl Candidate {
    /// Opens a direct connection for a candidate of this process.
    pub async fn open(database: &Database) -> Result<Self, Error> {
        let mut conn = PgConnection::connect_with(&session(database)).await?;
        database::make_commits_durable(&mut conn).await?;
        Ok(Self { conn, holder: Uuid::now_v7(), turn_timeout: database.options.turn_timeout })
    }

    /// Takes over if nobody leads, or if the one who does has been silent too long: then its session is ended first.
    /// `seen` is the highest epoch seen anywhere outside; the new one is above it.
    ///
    /// On an error the candidate is gone: open a new one.
    pub async fn try_lead(mut self, seen: Epoch, at: Timestamp) -> Result<Election, Error> {
        if !self.lock().await? {
            self.end_silent_holder().await?;
            if !self.lock().await? {
                return Ok(Election::Standby(self));
            }
        }
        // A newer program may have migrated while this one stood by.
        migration::refuse_if_too_old(&mut self.conn).await?;
        let (epoch, turn) = self.raise_epoch(seen, at).await?;
        Ok(Election::Won(Leader {
            conn: Some(self.conn),
            epoch,
            holder: self.holder,
            turn,
            turn_at_takeover: turn,
            turn_timeout: self.turn_timeout,
        }))
    }

    async fn lock(&mut self) -> Result<bool, Error> {
        let locked =
            sqlx::query_scalar!(r#"SELECT pg_try_advisory_lock($1, $2) AS "locked!""#, LOCK_CLASS, LOCK_OBJECT)
                .fetch_one(&mut self.conn)
                .await?;
        Ok(locked)
    }

    /// Judged by the database alone, in one statement: who holds the lock, whether it is silent, and its end.
    /// An active session is never ended, however long it takes: a slow database is nobody's death.
    async fn end_silent_holder(&mut self) -> Result<(), Error> {
        let ended = sqlx::query_scalar!(
            r#"SELECT pg_terminate_backend(a.pid, $3) AS "is_gone!"
            FROM pg_locks AS l
            JOIN pg_stat_activity AS a ON a.pid = l.pid
            WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2
              AND l.classid = $1::int::oid AND l.objid = $2::int::oid
              AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
              AND a.state IN ('idle', 'idle in transaction', 'idle in transaction (aborted)')
              AND a.state_change < clock_timestamp() - make_interval(secs => $4)"#,
            LOCK_CLASS,
            LOCK_OBJECT,
            TERMINATE_WAIT_MS,
            SILENCE_MAX.as_secs_f64(),
        )
        .fetch_all(&mut self.conn)
        .await?;
        if !ended.is_empty() {
            tracing::warn!("ended the session of a leader that was silent for {SILENCE_MAX:?}");
        }
        Ok(())
    }

    /// Waits for a turn in flight and for transactions beside it (`fence::hold`), then locks all of them out.
    async fn raise_epoch(&mut self, seen: Epoch, at: Timestamp) -> Result<(Epoch, Turn), Error> {
        let mut transaction = self.conn.begin().await?;
        sqlx::query!("SELECT epoch FROM leader FOR UPDATE").fetch_one(&mut *transaction).await?;
        let row = sqlx::query!(
            r#"UPDATE leader
            SET epoch = greatest(epoch, $1) + 1, holder = $2, since = $3,
                turn = greatest(turn, (SELECT max(turn) FROM transition_log))
            RETURNING epoch, turn"#,
            seen.0,
            self.holder,
            at,
        )
        .fetch_one(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok((Epoch(row.epoch), Turn(row.turn)))
    }
}

/// The settings of a leader's session: it must notice a lost peer, and its plans must not depend on the data at hand.
fn session(database: &Database) -> PgConnectOptions {
    let options = &database.options;
    database.connect.clone().application_name("gridflow leader").statement_cache_capacity(200).options([
        ("statement_timeout", database::millis(options.statement_timeout)),
        ("idle_in_transaction_session_timeout", "10000".to_owned()),
        ("client_connection_check_interval", "1000".to_owned()),
        ("tcp_user_timeout", "5000".to_owned()),
        ("plan_cache_mode", "force_generic_plan".to_owned()),
        // Off: compiling a plan takes longer than any of our statements.
        ("jit", "off".to_owned()),
    ])
}
