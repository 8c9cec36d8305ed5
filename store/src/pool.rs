//! Pools: how many slots tasks that name one may hold together.

use gridflow_core::{PoolName, PoolRow, Timestamp};
use sqlx::PgConnection;

use crate::{Error, decode::Row};

/// Every pool.
pub async fn all(conn: &mut PgConnection) -> Result<Vec<PoolRow>, Error> {
    let rows =
        sqlx::query!("SELECT name, slots FROM pool WHERE workspace_id = 1 ORDER BY name").fetch_all(conn).await?;
    let decode = |name: String, slots: i32| {
        let at = Row { table: "pool", key: &name };
        Ok(PoolRow { pool: at.known("name", PoolName::parse(&name).ok())?, slots: limit(slots) })
    };
    rows.into_iter().map(|row| decode(row.name, row.slots)).collect()
}

/// Makes or changes a pool and tells the leader, at once or not at all.
pub async fn set(conn: &mut PgConnection, pool: &PoolRow, description: &str, at: Timestamp) -> Result<(), Error> {
    let slots = pool.slots.map_or(-1, |slots| i32::try_from(slots).unwrap_or(i32::MAX));
    sqlx::query!(
        "WITH changed AS (
            INSERT INTO pool (name, slots, description) VALUES ($1, $2, $3)
            ON CONFLICT (name, workspace_id) DO UPDATE SET slots = $2, description = $3
        )
        INSERT INTO inbox (kind, payload, created_at) VALUES ('pool_changed', json_build_object('pool', $1::text), $4)",
        pool.pool.as_str(),
        slots,
        description,
        at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// −1 is unlimited, as in Airflow.
pub(crate) fn limit(slots: i32) -> Option<u32> {
    u32::try_from(slots).ok()
}
