//! Whether anybody leads.

use gridflow_core::Timestamp;
use sqlx::PgConnection;

use crate::{Error, leader};

/// When the leader last spoke to the database, by the database's clock; none while nobody leads.
pub async fn seen_at(conn: &mut PgConnection) -> Result<Option<Timestamp>, Error> {
    let seen_at = sqlx::query_scalar!(
        r#"SELECT CASE WHEN a.state = 'active' THEN clock_timestamp() ELSE a.state_change END AS "seen_at?"
         FROM pg_locks l
         JOIN pg_stat_activity a ON a.pid = l.pid
         WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2
           AND l.classid = $1::int::oid AND l.objid = $2::int::oid
           AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"#,
        leader::LOCK_CLASS,
        leader::LOCK_OBJECT,
    )
    .fetch_optional(conn)
    .await?;
    Ok(seen_at.flatten())
}
