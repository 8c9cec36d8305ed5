//! Which servers are used, and what is asked of them.

use gridflow_testkit::postgres::{Durability as ServerDurability, Postgres};

use futures_util::FutureExt;
use sqlx::Connection;

use super::fixture::*;
use crate::{Durability, Error, Options, Refusal, connect};

#[tokio::test]
async fn a_server_that_forgets_commits_is_refused() {
    let url = Postgres::shared().create_database().unwrap();
    let refused = connect(&url, Options::default()).await.unwrap_err();
    assert!(matches!(refused, Error::Refused(Refusal::FsyncOff)), "{refused}");
}

#[tokio::test]
async fn commits_are_durable_whatever_the_role_says() {
    let server = Postgres::start(ServerDurability::Full).unwrap();
    let url = server.create_database().unwrap();
    server.psql("postgres", "ALTER ROLE postgres SET synchronous_commit = off").unwrap();
    let options = Options { durability: Durability::Required, ..Options::default() };
    let database = connect(&url, options).await.unwrap();
    let setting: String = sqlx::query_scalar("SHOW synchronous_commit").fetch_one(database.pool()).await.unwrap();
    assert_eq!(setting, "on");
    crate::migrate(&database, now()).await.unwrap();
    let mut conn = database.pool().acquire().await.unwrap();
    let version = crate::schema_version(&mut conn).await.unwrap();
    assert_eq!(version, Some(crate::schema_version_needed()));
}

async fn refusal(prepare: &[&str]) -> Refusal {
    let server = Postgres::shared();
    let url = server.create_database().unwrap();
    let name = url.rsplit('/').next().unwrap();
    for sql in prepare {
        server.psql("postgres", &sql.replace("NAME", name)).unwrap();
    }
    match connect(&url, Options { durability: Durability::NotNeeded, ..Options::default() }).await {
        Err(Error::Refused(refusal)) => refusal,
        other => panic!("refused, not {other:?}"),
    }
}

#[tokio::test]
async fn databases_that_can_not_keep_the_promises_are_refused() {
    let latin = ["DROP DATABASE NAME", "CREATE DATABASE NAME ENCODING 'LATIN1' TEMPLATE template0"];
    assert_eq!(refusal(&latin).await, Refusal::NotUtf8);
    let read_only = ["ALTER DATABASE NAME SET default_transaction_read_only = on"];
    assert_eq!(refusal(&read_only).await, Refusal::ReadOnly);
    let untracked = ["ALTER DATABASE NAME SET track_activities = off"];
    assert_eq!(refusal(&untracked).await, Refusal::ActivitiesNotTracked);
}

/// Who began a transaction and gave up before the answer leaves a connection that is in one, unknown to its client: what
/// the next one writes, without a transaction of its own, would be told to be done and be gone.
#[tokio::test]
async fn a_connection_whose_begin_was_given_up_is_not_used_again() {
    let f = fixture_with(Options { connections_max: 1, ..Options::default() }).await;
    f.execute("CREATE TABLE written (it int)").await;
    let mut conn = f.database.pool().acquire().await.unwrap();
    // The question is sent, nobody waits for the answer; a server that answers at once is asked again.
    while conn.begin().now_or_never().is_some() {}
    drop(conn);
    f.execute("INSERT INTO written VALUES (1)").await;
    let mut other = f.conn().await;
    let seen: i64 = sqlx::query_scalar("SELECT count(*) FROM written").fetch_one(&mut other).await.unwrap();
    assert_eq!(seen, 1, "what was answered is committed");
}
