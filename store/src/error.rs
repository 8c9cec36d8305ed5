//! What can go wrong with the database, told apart by what the caller can do about it.

use std::fmt;

use sqlx::{error::DatabaseError, postgres::PgDatabaseError};

/// Why something could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("a run of this DAG with this run id exists already")]
    RunIdTaken,
    #[error("a run of this DAG with this logical date exists already")]
    LogicalDateTaken,
    #[error("this idempotency key was used for another command")]
    IdempotencyKeyTaken,
    /// Another leader took over, or this one was poisoned before. Nothing was written.
    #[error("this process does not lead any more")]
    Fenced,
    /// The database does not hold what the plan stands on. All of the turn is rolled back.
    #[error("{table}: {expected} rows to write, {found} matched: the turn stands on rows that changed")]
    Stale { table: &'static str, expected: u64, found: u64 },
    /// Whether the turn is committed is unknown to the caller and must be read again.
    #[error("the turn took longer than its deadline")]
    Deadline,
    #[error("a plan creates the run {0} without saying its state")]
    RunWithoutState(gridflow_core::RunKey),
    #[error(transparent)]
    Inconsistency(#[from] Inconsistency),
    #[error("the database is not safe to use: {0}")]
    Refused(Refusal),
    #[error("migrating the database")]
    Migrate(#[source] sqlx::migrate::MigrateError),
    #[error("talking to the database")]
    Database(#[source] sqlx::Error),
}

impl Error {
    /// Whether the database could not be reached or was going away: the same may well succeed in a moment.
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Database(sqlx::Error::Database(error)) => {
                // Connection exceptions, too many connections, and a server that stops or starts.
                error.code().is_some_and(|code| {
                    code.starts_with("08") || ["53300", "57P01", "57P02", "57P03"].contains(&&*code)
                })
            }
            Self::Database(error) => matches!(
                error,
                sqlx::Error::Io(_)
                    | sqlx::Error::PoolTimedOut
                    | sqlx::Error::PoolClosed
                    | sqlx::Error::WorkerCrashed
                    | sqlx::Error::Protocol(_)
            ),
            Self::Deadline => true,
            Self::RunIdTaken
            | Self::LogicalDateTaken
            | Self::IdempotencyKeyTaken
            | Self::Fenced
            | Self::Stale { .. }
            | Self::RunWithoutState(_)
            | Self::Inconsistency(_)
            | Self::Refused(_)
            | Self::Migrate(_) => false,
        }
    }
}

/// Why a server is not used at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    FsyncOff,
    FullPageWritesOff,
    TransactionPooler,
    ReadOnly,
    NotUtf8,
    ActivitiesNotTracked,
    ServerTooOld {
        version: u32,
    },
    /// A newer program has taken away what this one needs.
    ProgramTooOld {
        needed: i64,
        known: i64,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FsyncOff => f.write_str("`fsync` is off, so a crash loses committed events: set `fsync = on`"),
            Self::FullPageWritesOff => {
                f.write_str("`full_page_writes` is off, so a crash can destroy pages: set `full_page_writes = on`")
            }
            Self::TransactionPooler => f.write_str(
                "a pooler hands out another server connection per transaction, which breaks leadership: \
                 connect directly, or through a session pooler",
            ),
            Self::ReadOnly => f.write_str("it only reads: connect to the primary server, not to a replica"),
            Self::NotUtf8 => f.write_str("its encoding is not UTF-8: make it with `ENCODING 'UTF8'`"),
            Self::ActivitiesNotTracked => f.write_str(
                "`track_activities` is off, so a leader that hangs can't be told from one that works: turn it on",
            ),
            Self::ServerTooOld { version } => {
                write!(f, "PostgreSQL {} is too old: 15 or newer is needed", version / 10_000)
            }
            Self::ProgramTooOld { needed, known } => write!(
                f,
                "a newer gridflow has changed the schema: step {needed} must be known, this program knows {known}; \
                 use the newer program"
            ),
        }
    }
}

/// A row that can't become a domain value. Reported, never skipped silently.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{table}.{column} of {row} holds what this version can not read")]
pub struct Inconsistency {
    pub table: &'static str,
    pub column: &'static str,
    /// The key of the row, for people.
    pub row: String,
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        if let Some(stale) = error.as_database_error().and_then(stale) {
            return stale;
        }
        let constraint = error.as_database_error().and_then(|error| error.constraint());
        match constraint {
            Some("dag_run_run_id_taken") => Self::RunIdTaken,
            Some("dag_run_logical_date_taken") => Self::LogicalDateTaken,
            Some("command_idempotency_key_taken") => Self::IdempotencyKeyTaken,
            Some(_) | None => Self::Database(error),
        }
    }
}

impl From<sqlx::migrate::MigrateError> for Error {
    fn from(error: sqlx::migrate::MigrateError) -> Self {
        Self::Migrate(error)
    }
}

/// What the turn function raises when rows are not as the turn expects: see `turn_v1_stale` in the migrations.
fn stale(error: &dyn DatabaseError) -> Option<Error> {
    const TABLES: [&str; 9] =
        ["dag_run", "task_instance", "attempt", "xcom", "event", "dag", "command", "inbox", "transition_log"];
    let error = error.try_downcast_ref::<PgDatabaseError>().filter(|error| error.code() == "T0001")?;
    let table = TABLES.into_iter().find(|table| Some(*table) == error.table())?;
    let (expected, found) = error.detail()?.split_once(' ')?;
    Some(Error::Stale { table, expected: expected.parse().ok()?, found: found.parse().ok()? })
}

/// Compares the rows that a statement touched with those it was given.
pub(crate) fn expect_rows(table: &'static str, expected: usize, found: u64) -> Result<(), Error> {
    let expected = expected as u64;
    if expected == found { Ok(()) } else { Err(Error::Stale { table, expected, found }) }
}
