use gridflow_core::{AttemptId, AttemptState, RunState, TaskState, Transition, Writes};

use super::fixture::*;
use crate::doctor::{Extent, examine};

/// A running run of one task instance, whose log is whole.
fn healthy_run(n: u64) -> Writes {
    let attempt = AttemptId(uuid(n + 1_000));
    let run = queued_run(n).key;
    let mut writes = started_run(n);
    writes.task_instances.pop();
    let key = ti_key(n, 0);
    let ti = |from, to| Transition::TaskInstance { key, from, to, try_number: gridflow_core::TryNumber(1) };
    writes.transitions = vec![
        Transition::Run { run, from: None, to: RunState::Queued },
        Transition::Run { run, from: Some(RunState::Queued), to: RunState::Running },
        ti(None, TaskState::NoStatus),
        ti(Some(TaskState::NoStatus), TaskState::Scheduled),
        ti(Some(TaskState::Scheduled), TaskState::Queued),
        Transition::Attempt { run, attempt, from: None, to: AttemptState::Queued },
    ];
    writes
}

async fn installation() -> (Fixture, crate::Leader) {
    let fixture = fixture().await;
    let mut leader = fixture.leader().await;
    let version = published(&mut leader, vec![publish_dag("sales", 1)]).await[0].version;
    let mut writes = healthy_run(1);
    writes.new_runs[0].queued.version = version;
    leader.write_turn(&writes, &[], now()).await.unwrap();
    (fixture, leader)
}

/// What is found, apart from what a test's server is like.
async fn names(fixture: &Fixture, alive: &[AttemptId]) -> Vec<&'static str> {
    let report = examine(&fixture.url, Extent::default(), alive).await.unwrap();
    let of_tests = [
        "fsync-off",
        "standby-missing",
        "months-missing",
        "connections-few",
        "commits-not-durable",
        "autovacuum-off",
        "leader-silent",
        "rows-of-no-month",
    ];
    report.findings.iter().map(|finding| finding.name()).filter(|name| !of_tests.contains(name)).collect()
}

#[tokio::test]
async fn a_healthy_database_has_no_findings() {
    let (fixture, _leader) = installation().await;
    assert_eq!(names(&fixture, &[AttemptId(uuid(1_001))]).await, [""; 0]);
}

#[tokio::test]
async fn an_examined_database_is_not_changed_and_can_not_be() {
    let (fixture, _leader) = installation().await;
    let (_, mut conn) = crate::database::open_to_look(&fixture.url).await.unwrap();
    let refused = sqlx::raw_sql("UPDATE dag_run SET note = 'x'").execute(&mut conn).await.unwrap_err();
    assert!(refused.to_string().contains("read-only transaction"), "{refused}");
}

#[tokio::test]
async fn each_doctored_database_is_diagnosed() {
    let cases: [(&[&str], &str); 18] = [
        (&["run-aside"], "UPDATE dag_run SET reason = 'task number 3 occurs twice'"),
        (&["log-differs", "run-ended-early"], "UPDATE dag_run SET state = 'success', ended_at = now()"),
        (&["log-differs", "run-tasks-missing"], "INSERT INTO task_instance (dag_run_id, task_no, state, try_number, tries_max)
            SELECT id, 9, 'none', 0, 0 FROM dag_run"),
        (&["task-without-attempt"], "UPDATE task_instance SET attempt_id = gen_random_uuid()"),
        (&["log-differs", "task-waits-for-nothing"], "UPDATE task_instance SET state = 'up_for_retry'"),
        (&["log-differs", "task-waits-for-nothing"], "UPDATE task_instance SET state = 'deferred'"),
        (&["log-differs", "task-overdue"], "UPDATE task_instance SET state = 'up_for_retry', retry_at = now() - interval '1 hour'"),
        (&["attempt-of-finished", "log-differs"], "UPDATE task_instance SET state = 'failed'"),
        (&["attempt-twice", "log-differs"], "INSERT INTO attempt (dag_run_id, attempt_id, task_no, map_index, try_number, state, executor, queued_turn, queued_at)
            SELECT dag_run_id, gen_random_uuid(), task_no, map_index, 2, 'queued', executor, 2, now() FROM attempt"),
        (&["attempt-of-nothing", "run-tasks-missing", "log-differs"], "DELETE FROM task_instance"),
        (&["log-differs", "task-without-attempt"], "UPDATE attempt SET state = 'closed'"),
        (&["log-illegal"], "UPDATE transition_log SET changes = replace(changes, 'scheduled queued', 'none queued')"),
        (&["pool-over"], "UPDATE pool SET slots = 0"),
        (&["pool-missing", "log-differs"], "DELETE FROM pool; UPDATE task_instance SET state = 'scheduled'"),
        (&["inbox-waits"], "INSERT INTO inbox (kind, created_at) VALUES ('run_queued', now() - interval '1 hour')"),
        (&["node-ahead"], "INSERT INTO node VALUES (gen_random_uuid(), 'b', 'h', now(), 4711)"),
        (
            &["launches-held"],
            "INSERT INTO hold (node_id, turn_outside, turn_inside, since) VALUES (gen_random_uuid(), 9, 1, now())",
        ),
        (&["import-error"], "INSERT INTO import_error (bundle_id, file, message, at) VALUES (1, 'a.yaml', 'bad', now())"),
    ];
    for (expected, harm) in cases {
        let (fixture, _leader) = installation().await;
        fixture.execute(harm).await;
        let mut expected = expected.to_vec();
        let mut found = names(&fixture, &[]).await;
        expected.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, expected, "{harm}");
    }
}

#[tokio::test]
async fn an_event_that_made_two_runs_and_a_silent_node_are_found() {
    let (fixture, _leader) = installation().await;
    fixture
        .execute(
            "INSERT INTO event (id, bundle_id, dag_id, trigger_name, dedup_key, payload, received_at, outcome, dag_run_id)
             SELECT gen_random_uuid(), 1, 'sales', 'file', 'a.csv', '{}', now(), 'run', run
             FROM (SELECT id FROM dag_run UNION ALL SELECT gen_random_uuid()) AS runs (run);
             INSERT INTO event_dedup SELECT 1, 'sales', 'file', 'a.csv', id FROM event LIMIT 1;
             INSERT INTO node SELECT DISTINCT node_id, boot, 'worker-7', now() - interval '1 hour', 0 FROM attempt;
             INSERT INTO node VALUES (gen_random_uuid(), 'b', 'leader', now(), 0)",
        )
        .await;
    let mut found = names(&fixture, &[]).await;
    found.sort_unstable();
    assert_eq!(found, ["event-twice", "event-without-run", "node-silent"]);
}

#[tokio::test]
async fn a_process_of_a_closed_attempt_is_found() {
    let (fixture, mut leader) = installation().await;
    let run = queued_run(1).key;
    let attempt = AttemptId(uuid(1_001));
    let writes = Writes {
        attempts: vec![attempt_write(1, 1_001, Some(AttemptState::Queued), AttemptState::Closed)],
        transitions: vec![Transition::Attempt {
            run,
            attempt,
            from: Some(AttemptState::Queued),
            to: AttemptState::Closed,
        }],
        ..Writes::default()
    };
    leader.write_turn(&writes, &[], now()).await.unwrap();
    assert!(names(&fixture, &[attempt]).await.contains(&"process-left-over"));
    assert!(!names(&fixture, &[]).await.contains(&"process-left-over"));
}

#[tokio::test]
async fn a_database_without_a_leader_or_a_schema_is_told() {
    let (fixture, leader) = installation().await;
    drop(leader);
    eventually(&fixture, NOBODY_LEADS).await;
    assert_eq!(names(&fixture, &[]).await, ["leader-missing"]);
    fixture.execute("DROP TABLE _sqlx_migrations").await;
    assert_eq!(names(&fixture, &[]).await, ["schema-missing"]);
}
