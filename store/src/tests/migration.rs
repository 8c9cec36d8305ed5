use std::time::Duration;

use gridflow_testkit::postgres::Postgres;
use sqlx::{Connection, PgConnection, migrate::Migrator};

use super::fixture::*;
use crate::{
    Candidate, Durability, Epoch, Error, Options, Refusal, connect, migrate, migration, recovery, schema_version,
    schema_version_needed,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_processes_may_migrate_at_once_and_a_newer_schema_is_left_alone() {
    let url = Postgres::shared().create_database().unwrap();
    let options = Options { durability: Durability::NotNeeded, ..Options::default() };
    let database = connect(&url, options).await.unwrap();
    let mut conn = database.reader().await.unwrap();
    assert_eq!(schema_version(&mut conn).await.unwrap(), None);

    let migrating = (0..3).map(|_| {
        let database = database.clone();
        tokio::spawn(async move { migrate(&database, now()).await })
    });
    for done in migrating.collect::<Vec<_>>() {
        done.await.unwrap().unwrap();
    }
    assert_eq!(schema_version(&mut conn).await.unwrap(), Some(schema_version_needed()));

    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (29990101000000, 'of a later release', true, 'x', 1)",
    )
    .execute(&mut *conn)
    .await
    .unwrap();
    migrate(&database, now()).await.unwrap();
    assert_eq!(schema_version(&mut conn).await.unwrap(), Some(29_990_101_000_000));
}

/// Steps as a later release might bring them: `(number, SQL)`.
async fn steps(sql: &[(i64, &str)]) -> Migrator {
    let folder = tempfile::tempdir().unwrap();
    for (number, text) in sql {
        std::fs::write(folder.path().join(format!("{number}_step.sql")), text).unwrap();
    }
    Migrator::new(folder.path()).await.unwrap()
}

const EXPAND: [(i64, &str); 3] = [
    (29990101000000, "ALTER TABLE task_instance ADD COLUMN tenant text NOT NULL DEFAULT 'a'"),
    (29990101000100, "ALTER TABLE dag_run ADD COLUMN tenant text; CREATE INDEX dag_run_tenant ON dag_run (tenant)"),
    (29990101000200, "CREATE TABLE tenant (name text PRIMARY KEY); ALTER TABLE attempt ADD COLUMN tenant text"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn turns_of_the_program_before_go_on_while_the_schema_grows() {
    let fixture = fixture().await;
    let mut leader = fixture.leader().await;
    let (grown, mut is_grown) = tokio::sync::oneshot::channel();
    let url = fixture.url.clone();
    let growing = tokio::spawn(async move {
        let mut conn = PgConnection::connect(&url).await.unwrap();
        let done = migration::apply(&mut conn, &steps(&EXPAND).await, Duration::from_secs(60)).await;
        grown.send(()).unwrap();
        done
    });
    let mut runs = 0;
    // Some before, some beside, some after.
    let mut left = 20;
    while 0 < left {
        runs += 1;
        leader.write_turn(&started_run(runs), &[], now()).await.unwrap();
        if is_grown.try_recv() != Err(tokio::sync::oneshot::error::TryRecvError::Empty) {
            left -= 1;
        }
    }
    growing.await.unwrap().unwrap();
    let rows = recovery::read(&mut leader, recovery::Limits::default()).await.unwrap();
    assert_eq!(rows.runs.len() as u64, runs);
    // The program before may also take over, and start anew.
    drop(leader);
    eventually(&fixture, NOBODY_LEADS).await;
    let mut leader = fixture.leader().await;
    leader.write_turn(&started_run(runs + 1), &[], now()).await.unwrap();
    migrate(&fixture.database, now()).await.unwrap();
}

#[tokio::test]
async fn a_program_from_before_something_was_taken_away_refuses_to_start_and_to_lead() {
    let fixture = fixture().await;
    let standby = Candidate::open(&fixture.database).await.unwrap();
    let contract = steps(&[(29990201000000, "UPDATE installation SET program_oldest = 29990101000000")]).await;
    migration::apply(&mut fixture.conn().await, &contract, Duration::from_secs(60)).await.unwrap();
    let too_old = |error: &Error| matches!(error, Error::Refused(Refusal::ProgramTooOld { .. }));
    let started = migrate(&fixture.database, now()).await.unwrap_err();
    assert!(too_old(&started), "{started}");
    let led = standby.try_lead(Epoch(0), now()).await.unwrap_err();
    assert!(too_old(&led), "{led}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_that_waits_for_a_table_does_not_hold_up_turns_and_gives_up_in_the_end() {
    let fixture = fixture().await;
    let mut leader = fixture.leader().await;
    // Somebody's long transaction.
    let mut reader = fixture.conn().await;
    sqlx::raw_sql("SET idle_in_transaction_session_timeout = 0; BEGIN; SELECT count(*) FROM task_instance")
        .execute(&mut reader)
        .await
        .unwrap();
    let (url, patience) = (fixture.url.clone(), Duration::from_secs(3));
    let growing = tokio::spawn(async move {
        let mut conn = PgConnection::connect(&url).await.unwrap();
        migration::apply(&mut conn, &steps(&EXPAND).await, patience).await
    });
    let mut runs = 0;
    while !growing.is_finished() {
        runs += 1;
        leader.write_turn(&started_run(runs), &[], now()).await.unwrap();
    }
    let error = growing.await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Migrate(_)), "{error}");
    drop(reader);
    migration::apply(&mut fixture.conn().await, &steps(&EXPAND).await, Duration::from_secs(60)).await.unwrap();
    leader.write_turn(&started_run(runs + 1), &[], now()).await.unwrap();
}
