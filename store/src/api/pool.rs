//! Pools and what fills them.

use sqlx::{FromRow, PgConnection};

use super::list::{self, Order, Page, Pattern, Source};
use crate::Error;

/// A pool with the slots that are taken now.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct PoolRow {
    pub name: String,
    /// −1: unlimited.
    pub slots: i32,
    pub description: String,
    pub include_deferred: bool,
    /// Held by attempts whose command has started, also those being stopped.
    pub running_slots: i64,
    /// Held by attempts on their way.
    pub queued_slots: i64,
    /// Wanted by task instances that wait for slots.
    pub scheduled_slots: i64,
    pub deferred_slots: i64,
}

/// Open attempts hold slots, whatever their task's state is; waiting and deferred ones are found through running runs.
const FROM: &str = "FROM (
    SELECT p.*, coalesce(o.running, 0) AS running_slots, coalesce(o.queued, 0) AS queued_slots,
        coalesce(w.scheduled, 0) AS scheduled_slots, coalesce(w.deferred, 0) AS deferred_slots
    FROM pool p
    LEFT JOIN (
        SELECT t.pool, sum(t.pool_slots) FILTER (WHERE a.state <> 'queued') AS running,
            sum(t.pool_slots) FILTER (WHERE a.state = 'queued') AS queued
        FROM attempt a
        JOIN dag_run r ON r.id = a.dag_run_id
        JOIN dag_version_task t ON t.dag_version_id = r.dag_version_id AND t.task_no = a.task_no
        WHERE a.is_open
        GROUP BY t.pool
    ) o ON o.pool = p.name
    LEFT JOIN (
        SELECT t.pool, sum(t.pool_slots) FILTER (WHERE ti.state = 'scheduled') AS scheduled,
            sum(t.pool_slots) FILTER (WHERE ti.state = 'deferred') AS deferred
        FROM dag_run r
        JOIN task_instance ti ON ti.dag_run_id = r.id AND ti.state IN ('scheduled', 'deferred')
        JOIN dag_version_task t ON t.dag_version_id = r.dag_version_id AND t.task_no = ti.task_no
        WHERE r.state = 'running'
        GROUP BY t.pool
    ) w ON w.pool = p.name
    WHERE p.workspace_id = 1) p";
const COLUMNS: &str = "p.name, p.slots, p.description, p.include_deferred, p.running_slots, p.queued_slots, \
    p.scheduled_slots, p.deferred_slots";

/// A page of pools, and how many there are. Order columns: of `pool p`.
pub async fn list(
    conn: &mut PgConnection,
    name_like: &[Pattern],
    order: &[Order],
    page: Page,
) -> Result<(Vec<PoolRow>, i64), Error> {
    let source = Source { columns: COLUMNS, from: FROM, tie_breaker: &["p.name"] };
    list::page(conn, source, |mut it| it.like("p.name", name_like), order, page).await
}

/// One pool.
pub async fn by_name(conn: &mut PgConnection, name: &str) -> Result<Option<PoolRow>, Error> {
    let statement = format!("SELECT {COLUMNS} {FROM} WHERE p.name = $1");
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(statement)).bind(name).fetch_optional(conn).await?)
}
