use chrono::TimeDelta;
use gridflow_core::{DagVersionId, RunState, ScheduleCursor, TaskInstanceWrite, TaskState, WaitRow, Writes};

use super::fixture::*;
use crate::{
    recovery::{self, Limits},
    run,
};

#[tokio::test]
async fn a_row_that_can_not_be_read_quarantines_its_run_and_no_other() {
    let fixture = fixture().await;
    let mut leader = fixture.leader().await;
    for n in 1..=3 {
        leader.write_turn(&started_run(n), &[], now()).await.unwrap();
    }
    fixture
        .execute(
            "ALTER TABLE task_instance DROP CONSTRAINT task_instance_state;
             UPDATE task_instance SET state = 'levitating'
             WHERE task_no = 1 AND dag_run_id = (SELECT id FROM dag_run WHERE run_id = 'manual__2')",
        )
        .await;
    let rows = recovery::read(&mut leader, Limits::default()).await.unwrap();
    let keys: Vec<_> = rows.runs.iter().map(|run| run.run.key).collect();
    assert_eq!(keys, [queued_run(1).key, queued_run(3).key]);
    let [(key, wrong)] = &rows.quarantined[..] else { panic!("one, not {:?}", rows.quarantined) };
    assert_eq!(*key, queued_run(2).key);
    assert_eq!((wrong.table, wrong.column), ("task_instance", "state"));
    leader.ping().await.unwrap();
}

#[tokio::test]
async fn a_wait_knows_what_became_of_the_other_run() {
    let fixture = fixture().await;
    let mut leader = fixture.leader().await;
    let gone = queued_run(9).key;
    let mut writes = started_run(1);
    writes.new_runs.push(new_run(2));
    writes.runs.push(run_write(2, None, RunState::Failed));
    let deferred = ti_write(1, 0, None, TaskState::Deferred);
    writes.task_instances = vec![
        TaskInstanceWrite { waits_for_run: Some(queued_run(2).key), ..deferred.clone() },
        TaskInstanceWrite { key: ti_key(1, 1), waits_for_run: Some(gone), ..deferred },
    ];
    leader.write_turn(&writes, &[], now()).await.unwrap();
    let rows = recovery::read(&mut leader, Limits::default()).await.unwrap();
    let waits: Vec<_> = rows.runs[0].task_instances.iter().map(|row| row.wait).collect();
    assert_eq!(
        waits,
        [
            Some(WaitRow { run: queued_run(2).key, state: Some(RunState::Failed) }),
            Some(WaitRow { run: gone, state: None }),
        ]
    );
}

#[tokio::test]
async fn the_first_queued_runs_of_each_dag_and_their_counts_are_read() {
    let fixture = fixture().await;
    let mut leader = fixture.leader().await;
    let dags = published(&mut leader, vec![publish_dag("sales", 1), publish_dag("idle", 1)]).await;
    let mut conn = fixture.conn().await;
    for n in 1..=5 {
        let mut run = new_run(n);
        run.queued.version = DagVersionId(uuid(77));
        run::create(&mut conn, &run).await.unwrap();
    }
    let cursor = ScheduleCursor { last: Some(now() - TimeDelta::days(1)) };
    let moved = gridflow_core::CursorWrite { dag: dag_id("idle"), cursor, next_run_after: Some(now()) };
    leader.write_turn(&Writes { cursors: vec![moved], ..Writes::default() }, &[], now()).await.unwrap();

    let rows = recovery::read(&mut leader, Limits { queued_per_dag: 2, ..Limits::default() }).await.unwrap();
    let keys: Vec<_> = rows.queued.iter().map(|run| run.key).collect();
    assert_eq!(keys, [queued_run(1).key, queued_run(2).key]);
    let counts: Vec<_> = rows.dags.iter().map(|dag| (dag.dag.as_str(), dag.queued_count)).collect();
    assert_eq!(counts, [("idle", 0), ("sales", 5)]);
    assert_eq!(rows.dags[0].cursor, cursor);
    assert!(rows.versions.contains(&dags[0].version) && rows.versions.contains(&DagVersionId(uuid(77))));
    assert_eq!(rows.pools.len(), 1);
}

#[tokio::test]
async fn an_event_that_can_not_be_read_is_told_and_left_out() {
    let fixture = fixture().await;
    let mut leader = fixture.leader().await;
    fixture
        .execute(
            "INSERT INTO event (id, bundle_id, dag_id, trigger_name, dedup_key, payload, received_at)
             SELECT gen_random_uuid(), 1, name, 'file', 'key', '{}', now()
             FROM unnest(ARRAY['sales', 'not a dag!']) AS name",
        )
        .await;
    let rows = recovery::read(&mut leader, Limits::default()).await.unwrap();
    assert_eq!(rows.events.len(), 1);
    assert_eq!((rows.unreadable[0].table, rows.unreadable[0].column), ("event", "dag_id"));
}
