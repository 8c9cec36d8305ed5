//! The schema's steps, embedded in the program.
//!
//! A step works while the program before it still runs: it adds (expand), and only a later release takes away what
//! no program uses any more (contract), raising `installation.program_oldest` so that older ones refuse to start.

use std::{sync::LazyLock, time::Duration};

use sqlx::{
    Connection, PgConnection,
    migrate::{MigrateError, Migrator},
};
use tokio::time::Instant;

use crate::{Error, Timestamp, database::Database, error::Refusal, partition};

static MIGRATOR: LazyLock<Migrator> = LazyLock::new(|| sqlx::migrate!("../migrations"));

/// A step that waits for a table's lock keeps everybody behind it waiting, turns as well. So it gives up soon, lets
/// the others pass, and tries again.
const LOCK_WITHIN: &str = "SET lock_timeout = '500ms'; SET statement_timeout = '10min'";
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(500);
/// For so long others may be migrating, or holding a table.
const PATIENCE: Duration = Duration::from_secs(60);

/// The schema that this program was built for.
pub fn schema_version_needed() -> i64 {
    MIGRATOR.iter().map(|migration| migration.version).max().unwrap_or(0)
}

/// Brings the schema up to this program's and makes the partitions around `now`. Several processes may do so at once:
/// one does it, the others wait. A leader may be at work: its turns go on between the steps.
///
/// [`Error::Refused`] where a newer program has taken away what this one needs.
pub async fn migrate(database: &Database, now: Timestamp) -> Result<(), Error> {
    let mut conn = PgConnection::connect_with(&database.connect).await?;
    refuse_if_too_old(&mut conn).await?;
    apply(&mut conn, &MIGRATOR, PATIENCE).await?;
    conn.close().await?;
    partition::ensure(&mut *database.pool().acquire().await?, now).await.map(drop)
}

/// Each step in a transaction of its own. Leaves the session's timeouts changed.
pub(crate) async fn apply(conn: &mut PgConnection, steps: &Migrator, patience: Duration) -> Result<(), Error> {
    let mut steps = Migrator::with_migrations(steps.iter().cloned().collect());
    // A newer program may have migrated already.
    steps.set_ignore_missing(true);
    sqlx::raw_sql(LOCK_WITHIN).execute(&mut *conn).await?;
    let deadline = Instant::now() + patience;
    loop {
        match steps.run_direct(None, conn, false).await {
            Err(error) if is_lock_timeout(&error) && Instant::now() < deadline => {
                tracing::info!("the schema's next step waits for a table that is in use");
                tokio::time::sleep(TRY_AGAIN_AFTER).await;
            }
            done => return Ok(done?),
        }
    }
}

fn is_lock_timeout(error: &MigrateError) -> bool {
    let source = match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error,
        _ => return false,
    };
    source.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == "55P03")
}

/// Refuses to work on a schema that lacks what this program needs. Any schema may be asked, also one from before
/// there was anything to refuse.
pub(crate) async fn refuse_if_too_old(conn: &mut PgConnection) -> Result<(), Error> {
    if schema_version(conn).await?.is_none() {
        return Ok(());
    }
    let oldest =
        sqlx::query_scalar!(r#"SELECT (to_jsonb(i) ->> 'program_oldest')::bigint AS "oldest" FROM installation AS i"#)
            .fetch_optional(conn)
            .await?
            .flatten();
    match oldest {
        Some(needed) if schema_version_needed() < needed => {
            Err(Error::Refused(Refusal::ProgramTooOld { needed, known: schema_version_needed() }))
        }
        Some(_) | None => Ok(()),
    }
}

/// The schema that the database has; none before the first migration.
pub async fn schema_version(conn: &mut PgConnection) -> Result<Option<i64>, Error> {
    let exists = sqlx::query_scalar!(r#"SELECT to_regclass('_sqlx_migrations') IS NOT NULL AS "exists!""#)
        .fetch_one(&mut *conn)
        .await?;
    if !exists {
        return Ok(None);
    }
    // Unchecked: the migrator's own table is not part of our migrations.
    let version = sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations WHERE success").fetch_one(conn).await?;
    Ok(version)
}
