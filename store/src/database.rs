//! How the database is reached, and which ones are refused.

use std::{str::FromStr, time::Duration};

use sqlx::{
    Connection, PgConnection, PgPool, Postgres, Row,
    pool::PoolConnection,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use crate::{Error, error::Refusal};

/// The oldest server that the tests run on.
const SERVER_VERSION_MIN: u32 = 150_000;

/// A connection that was used so recently is handed out as it is: asking the server first would cost every request a
/// round trip. One that broke meanwhile costs one request an error.
const TRUSTED_FOR: Duration = Duration::from_secs(1);

/// What a connection asks of the server.
#[derive(Debug, Clone)]
pub struct Options {
    /// Connections of the pool that handlers and triggers share.
    pub connections_max: u32,
    /// How long a handler waits for one of them.
    pub acquire_timeout: Duration,
    /// How long one statement may take.
    pub statement_timeout: Duration,
    /// The leader's own deadline for a whole turn.
    pub turn_timeout: Duration,
    pub durability: Durability,
}

/// Whether a server may forget commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    Required,
    /// For tests alone.
    NotNeeded,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connections_max: 16,
            acquire_timeout: Duration::from_secs(10),
            statement_timeout: Duration::from_secs(30),
            turn_timeout: Duration::from_secs(40),
            durability: Durability::Required,
        }
    }
}

/// A database that was looked at and found fit.
#[derive(Debug, Clone)]
pub struct Database {
    pub(crate) options: Options,
    pub(crate) connect: PgConnectOptions,
    pool: PgPool,
}

/// A connection for reads beside the leader's turns, kept for a whole term.
pub type Reader = PoolConnection<Postgres>;

impl Database {
    /// A connection of the pool, until it is dropped.
    pub async fn reader(&self) -> Result<Reader, Error> {
        Ok(self.pool.acquire().await?)
    }

    /// The connections that handlers, triggers and readers share.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }
}

/// Connects, and refuses servers that can't keep Gridflow's promises.
pub async fn connect(url: &str, options: Options) -> Result<Database, Error> {
    let connect = PgConnectOptions::from_str(url)?.application_name("gridflow").options([
        ("statement_timeout", millis(options.statement_timeout)),
        // A frozen process must not hold locks that a new leader waits for.
        ("idle_in_transaction_session_timeout", "3000".to_owned()),
        ("client_connection_check_interval", "1000".to_owned()),
        ("TimeZone", "UTC".to_owned()),
    ]);
    examine(&connect, options.durability).await?;
    let pool = PgPoolOptions::new()
        .max_connections(options.connections_max)
        .acquire_timeout(options.acquire_timeout)
        .test_before_acquire(false)
        .before_acquire(|conn, meta| {
            Box::pin(async move {
                if TRUSTED_FOR < meta.idle_for {
                    conn.ping().await?;
                }
                Ok(true)
            })
        })
        .after_connect(|conn, _| Box::pin(async move { make_commits_durable(conn).await.map(drop) }))
        .after_release(|conn, _| Box::pin(is_outside_transactions(conn)))
        .connect_with(connect.clone())
        .await?;
    Ok(Database { options, connect, pool })
}

/// A connection for somebody who only looks: it can't write, and waits for nothing long.
pub(crate) async fn open_to_look(url: &str) -> Result<(PgConnectOptions, PgConnection), Error> {
    let connect = PgConnectOptions::from_str(url)?.application_name("gridflow doctor").options([
        ("default_transaction_read_only", "on"),
        ("statement_timeout", "15000"),
        ("lock_timeout", "2000"),
        ("idle_in_transaction_session_timeout", "30000"),
        ("TimeZone", "UTC"),
    ]);
    let conn = PgConnection::connect_with(&connect).await?;
    Ok((connect, conn))
}

pub(crate) fn millis(duration: Duration) -> String {
    duration.as_millis().to_string()
}

/// A role or database may have turned `synchronous_commit` off; ours are on. Stronger settings stay.
pub(crate) async fn make_commits_durable(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "SELECT set_config('synchronous_commit', 'on', false)
         WHERE current_setting('synchronous_commit') = 'off' AND current_setting('fsync') = 'on'"
    )
    .fetch_optional(conn)
    .await
    .map(drop)
}

/// Whether a connection that comes back may be used again. A `BEGIN` whose future was dropped before its answer (a
/// client that hung up, a term that ended) leaves a transaction that the connection does not know of: whatever the next
/// user writes, without a transaction of its own, would be answered and never be committed.
async fn is_outside_transactions(conn: &mut PgConnection) -> Result<bool, sqlx::Error> {
    // By the simple protocol: a statement outside of a transaction begins one at its own instant.
    sqlx::raw_sql("SELECT now() = statement_timestamp()").fetch_one(conn).await?.try_get(0)
}

async fn examine(connect: &PgConnectOptions, durability: Durability) -> Result<(), Error> {
    let mut conn = PgConnection::connect_with(connect).await?;
    refuse_transaction_pooler(connect, &mut conn).await?;
    let server = sqlx::query!(
        r#"SELECT current_setting('server_version_num')::int AS "version!", current_setting('fsync') = 'on' AS "fsync!",
                  current_setting('full_page_writes') = 'on' AS "full_page_writes!",
                  current_setting('track_activities') = 'on' AS "track_activities!",
                  current_setting('server_encoding') = 'UTF8' AS "is_utf8!",
                  pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on' AS "is_read_only!""#
    )
    .fetch_one(&mut conn)
    .await?;
    conn.close().await?;
    let version = u32::try_from(server.version).unwrap_or(0);
    let is_strict = durability == Durability::Required;
    let reasons = [
        (version < SERVER_VERSION_MIN, Refusal::ServerTooOld { version }),
        (is_strict && !server.fsync, Refusal::FsyncOff),
        (is_strict && !server.full_page_writes, Refusal::FullPageWritesOff),
        (server.is_read_only, Refusal::ReadOnly),
        (!server.is_utf8, Refusal::NotUtf8),
        (!server.track_activities, Refusal::ActivitiesNotTracked),
    ];
    match reasons.into_iter().find(|(applies, _)| *applies) {
        Some((_, refusal)) => Err(Error::Refused(refusal)),
        None => Ok(()),
    }
}

/// While a second client's transaction occupies the server connection that the first one used last, a transaction
/// pooler must give the first another one.
pub(crate) async fn refuse_transaction_pooler(
    connect: &PgConnectOptions,
    first: &mut PgConnection,
) -> Result<(), Error> {
    let pid = backend_pid(first).await?;
    let mut second = PgConnection::connect_with(connect).await?;
    sqlx::raw_sql("BEGIN").execute(&mut second).await?;
    let pid_second = backend_pid(&mut second).await?;
    let pid_now = backend_pid(first).await?;
    sqlx::raw_sql("ROLLBACK").execute(&mut second).await?;
    second.close().await?;
    if pid_second == pid || pid_now != pid {
        return Err(Error::Refused(Refusal::TransactionPooler));
    }
    Ok(())
}

/// By the simple protocol: behind a pooler, prepared statements fail in their own ways.
async fn backend_pid(conn: &mut PgConnection) -> Result<i32, sqlx::Error> {
    sqlx::raw_sql("SELECT pg_backend_pid()").fetch_one(conn).await?.try_get(0)
}
