use chrono::{Months, TimeDelta};
use gridflow_core::RunState;

use super::fixture::*;
use crate::{partition, run};

#[tokio::test]
async fn months_are_made_ahead_and_only_once() {
    let fixture = fixture().await;
    let mut conn = fixture.conn().await;
    assert_eq!(partition::ensure(&mut conn, now()).await.unwrap(), 0, "the migration made them");
    assert_eq!(partition::ensure(&mut conn, now() + Months::new(1)).await.unwrap(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_who_make_the_same_months_at_once_do_not_collide() {
    let fixture = fixture().await;
    let later = now() + Months::new(12);
    let (mut first, mut second) = (fixture.conn().await, fixture.conn().await);
    let (made_first, made_second) = tokio::join!(
        tokio::spawn(async move { partition::ensure(&mut first, later).await.unwrap() }),
        tokio::spawn(async move { partition::ensure(&mut second, later).await.unwrap() }),
    );
    assert_eq!(made_first.unwrap() + made_second.unwrap(), 20);
}

#[tokio::test]
async fn rows_that_came_before_their_month_move_into_it() {
    let fixture = fixture().await;
    let mut leader = fixture.leader().await;
    let future = now() + Months::new(20);
    let mut writes = started_run(1);
    let key = gridflow_core::RunKey(uuid_at(future.timestamp_millis() as u64, 1));
    writes.new_runs[0].queued.key = key;
    writes.runs[0].key = key;
    writes.attempts[0].run = key;
    writes.transitions.clear();
    for task_instance in &mut writes.task_instances {
        task_instance.key.run = key;
    }
    leader.write_turn(&writes, &[], now()).await.unwrap();
    assert_eq!(fixture.value::<i64>("SELECT count(*) FROM task_instance_default").await, 2);
    partition::ensure(&mut fixture.conn().await, future).await.unwrap();
    assert_eq!(fixture.value::<i64>("SELECT count(*) FROM task_instance_default").await, 0);
    assert_eq!(fixture.value::<i64>("SELECT count(*) FROM task_instance").await, 2);
    assert!(fixture.value::<bool>("SELECT is_open FROM attempt").await);
    let read = run::get(&mut fixture.conn().await, key).await.unwrap().unwrap();
    assert_eq!(read.state, RunState::Running);
}

#[tokio::test]
async fn a_month_begins_at_midnight_utc_whatever_the_session_thinks() {
    let fixture = fixture().await;
    let mut conn = fixture.conn().await;
    sqlx::query("SET TIME ZONE 'Pacific/Auckland'").execute(&mut conn).await.unwrap();
    partition::ensure(&mut conn, now() + Months::new(10) + TimeDelta::hours(3)).await.unwrap();
    let bounds = "SELECT count(*) FROM pg_class AS c WHERE c.relname = 'attempt_203103' AND
        pg_get_expr(relpartbound, oid) = format('FOR VALUES FROM (%L) TO (%L)',
            partition_bound('2031-03-01T00:00:00Z'), partition_bound('2031-04-01T00:00:00Z'))";
    assert_eq!(fixture.value::<i64>(bounds).await, 1);
}
