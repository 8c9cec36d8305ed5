use gridflow_testkit::postgres::Postgres;

use super::fixture::now;
use crate::{Durability, Options, connect, migrate, schema_version, schema_version_needed};

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
