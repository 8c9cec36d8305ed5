//! What the server says about itself.

use sqlx::PgConnection;

use crate::{Error, Timestamp, leader, partition};

#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub now: Timestamp,
    /// As `server_version_num`: 150008.
    pub version: u32,
    pub encoding: String,
    pub fsync: bool,
    pub full_page_writes: bool,
    pub synchronous_commit: String,
    pub synchronous_standbys: String,
    pub autovacuum: bool,
    pub track_activities: bool,
    pub is_replica: bool,
    /// That ordinary roles may open, and that are open.
    pub connections_max: i64,
    pub connections: i64,
    pub replicas: i64,
    pub oldest_transaction_s: f64,
    pub xid_age: i64,
    pub has_leader: bool,
    /// Since the leader's session sent something; 0 while it works.
    pub leader_silent_s: f64,
    /// Sessions that lead or stand by.
    pub candidates: i64,
    pub inbox: i64,
    pub inbox_oldest_s: f64,
    pub event_oldest_s: f64,
    pub bloated: Vec<String>,
    pub months_missing: Vec<String>,
    pub rows_of_no_month: i64,
}

pub(super) async fn read(conn: &mut PgConnection) -> Result<Facts, Error> {
    let tables = partition::TABLES.map(str::to_owned);
    let row =
        sqlx::query_file!("queries/doctor_server.sql", leader::LOCK_CLASS, leader::LOCK_OBJECT, &tables as &[String])
            .fetch_one(conn)
            .await?;
    Ok(Facts {
        now: row.now,
        version: u32::try_from(row.version).unwrap_or(0),
        encoding: row.encoding,
        fsync: row.fsync,
        full_page_writes: row.full_page_writes,
        synchronous_commit: row.synchronous_commit,
        synchronous_standbys: row.synchronous_standbys,
        autovacuum: row.autovacuum,
        track_activities: row.track_activities,
        is_replica: row.is_replica,
        connections_max: row.connections_max,
        connections: row.connections,
        replicas: row.replicas,
        oldest_transaction_s: row.oldest_transaction_s.unwrap_or(0.0),
        xid_age: row.xid_age,
        has_leader: row.has_leader,
        leader_silent_s: row.leader_silent_s.unwrap_or(0.0),
        candidates: row.candidates,
        inbox: row.inbox,
        inbox_oldest_s: row.inbox_oldest_s.unwrap_or(0.0),
        event_oldest_s: row.event_oldest_s.unwrap_or(0.0),
        bloated: row.bloated.unwrap_or_default(),
        months_missing: row.months_missing.unwrap_or_default(),
        rows_of_no_month: row.rows_of_no_month,
    })
}

pub(super) async fn now(conn: &mut PgConnection) -> Result<Timestamp, Error> {
    Ok(sqlx::query_scalar!(r#"SELECT clock_timestamp() AS "now!""#).fetch_one(conn).await?)
}
