//! The schema's steps, embedded in the program.

use std::sync::LazyLock;

use sqlx::{PgConnection, migrate::Migrator};

use crate::{Error, Timestamp, database::Database, partition};

static MIGRATOR: LazyLock<Migrator> = LazyLock::new(|| {
    let mut migrator = sqlx::migrate!("../migrations");
    // A newer program may have migrated already; migrations work while the release before them still runs.
    migrator.set_ignore_missing(true);
    migrator
});

/// The schema that this program was built for.
pub fn schema_version_needed() -> i64 {
    MIGRATOR.iter().map(|migration| migration.version).max().unwrap_or(0)
}

/// Brings the schema up to this program's and makes the partitions around `now`. Several processes may do so at once:
/// one does it, the others wait.
pub async fn migrate(database: &Database, now: Timestamp) -> Result<(), Error> {
    let mut conn = database.pool().acquire().await?;
    MIGRATOR.run_direct(None, &mut *conn, false).await?;
    partition::ensure(&mut conn, now).await?;
    Ok(())
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
