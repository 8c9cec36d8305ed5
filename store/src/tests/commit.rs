use gridflow_core::{
    AttemptOutcome, AttemptState, CommandId, CursorWrite, EventId, EventOutcome, EventWrite, InboxId, Output, Plan,
    RunState, ScheduleCursor, TaskState, Transition, Usage, Writes, XcomWrite,
};
use serde_json::json;

use super::fixture::*;
use crate::{Error, recovery, transition_log};

#[tokio::test]
async fn a_turn_writes_every_table_and_recovery_reads_it_back() {
    let fixture = fixture().await;
    let mut leader = fixture.leader().await;
    published(&mut leader, vec![publish_dag("sales", 1)]).await;

    let proof = leader.write_turn(&started_run(1), &[], now()).await.unwrap();
    assert_eq!(proof.turn, leader.turn());

    let rows = recovery::read(&mut leader, recovery::Limits::default()).await.unwrap();
    assert_eq!(rows.quarantined, []);
    let [run] = &rows.runs[..] else { panic!("one run, not {:?}", rows.runs) };
    assert_eq!((&run.run, run.state, run.started_at), (&queued_run(1), RunState::Running, Some(now())));
    assert_eq!(run.task_instances.len(), 2);
    assert_eq!(run.task_instances[0].key, ti_key(1, 0));
    assert_eq!(run.task_instances[0].state, TaskState::Queued);
    assert_eq!(run.task_instances[1].state, TaskState::NoStatus);
    let [attempt] = &run.open_attempts[..] else { panic!("one attempt, not {:?}", run.open_attempts) };
    assert_eq!(attempt.state, AttemptState::Queued);
    assert_eq!(attempt.spec_hash, Some([7; 32]));
    assert_eq!(attempt.pid, Some(42));
    assert_eq!(attempt.binding, attempt_write(1, 1_001, None, AttemptState::Queued).binding);
}

#[tokio::test]
async fn a_stale_transition_rolls_the_whole_turn_back() {
    let fixture = fixture().await;
    let mut leader = fixture.leader().await;
    leader.write_turn(&started_run(1), &[], now()).await.unwrap();

    let writes = Writes {
        runs: vec![run_write(1, Some(RunState::Running), RunState::Success)],
        task_instances: vec![
            ti_write(1, 0, Some(TaskState::Queued), TaskState::Success),
            ti_write(1, 1, Some(TaskState::Running), TaskState::Success),
        ],
        ..Writes::default()
    };
    let error = leader.write_turn(&writes, &[], now()).await.unwrap_err();

    assert!(matches!(error, Error::Stale { table: "task_instance", expected: 2, found: 1 }), "{error}");
    assert_eq!(fixture.value::<String>("SELECT state FROM dag_run").await, "running");
    assert_eq!(fixture.value::<i64>("SELECT count(*) FROM task_instance WHERE state = 'success'").await, 0);
    assert!(matches!(leader.ping().await, Err(Error::Fenced)), "the leader is poisoned");
}

#[tokio::test]
async fn the_same_plan_twice_changes_nothing_the_second_time() {
    let fixture = fixture().await;
    let mut leader = fixture.leader().await;
    leader.write_turn(&started_run(1), &[], now()).await.unwrap();
    let error = leader.write_turn(&started_run(1), &[], now()).await.unwrap_err();
    assert!(matches!(error, Error::Database(_) | Error::RunIdTaken), "{error}");

    drop(leader);
    eventually(&fixture, NOBODY_LEADS).await;
    let mut leader = fixture.leader().await;
    let end = Writes { runs: vec![run_write(1, Some(RunState::Running), RunState::Failed)], ..Writes::default() };
    leader.write_turn(&end, &[], now()).await.unwrap();
    let error = leader.write_turn(&end, &[], now()).await.unwrap_err();
    assert!(matches!(error, Error::Stale { table: "dag_run", expected: 1, found: 0 }), "{error}");
    assert_eq!(fixture.value::<i64>("SELECT count(*) FROM task_instance").await, 2);
}

#[tokio::test]
async fn a_row_that_is_not_as_expected_rolls_the_turn_back_whatever_its_table() {
    let fixture = fixture().await;
    let missing = EventId(uuid(5));
    let ignored = EventOutcome::Ignored { reason: "filtered".into() };
    let cursor = CursorWrite { dag: dag_id("gone"), cursor: ScheduleCursor::default(), next_run_after: None };
    let stale = [
        (
            "dag_run",
            Writes { runs: vec![run_write(9, Some(RunState::Running), RunState::Failed)], ..Writes::default() },
        ),
        (
            "task_instance",
            Writes {
                task_instances: vec![ti_write(9, 0, Some(TaskState::Queued), TaskState::Running)],
                ..Writes::default()
            },
        ),
        (
            "attempt",
            Writes {
                attempts: vec![attempt_write(9, 1, Some(AttemptState::Queued), AttemptState::Running)],
                ..Writes::default()
            },
        ),
        ("event", Writes { events: vec![EventWrite { event: missing, outcome: ignored }], ..Writes::default() }),
        ("dag", Writes { cursors: vec![cursor], ..Writes::default() }),
        ("dag", Writes { paused: vec![(dag_id("gone"), true)], ..Writes::default() }),
        ("command", Writes { commands: vec![(CommandId(uuid(6)), Ok(()))], ..Writes::default() }),
    ];
    for (n, (expected, broken)) in (1..).zip(stale) {
        let mut leader = fixture.leader().await;
        let good = started_run(n);
        let writes = Writes {
            new_runs: good.new_runs,
            runs: [good.runs, broken.runs].concat(),
            task_instances: [good.task_instances, broken.task_instances].concat(),
            attempts: [good.attempts, broken.attempts].concat(),
            transitions: good.transitions,
            ..broken
        };
        let error = leader.write_turn(&writes, &[], now()).await.unwrap_err();
        assert!(matches!(error, Error::Stale { table, expected: 1, found: 0 } if table == expected), "{error}");
        assert!(matches!(leader.ping().await, Err(Error::Fenced)), "the leader is poisoned");
        for table in ["dag_run", "task_instance", "attempt", "transition_log"] {
            let count = format!("SELECT count(*) FROM {table}");
            let count: i64 =
                sqlx::query_scalar(sqlx::AssertSqlSafe(count)).fetch_one(fixture.database.pool()).await.unwrap();
            assert_eq!(count, 0, "{table} after a stale {expected}");
        }
    }
}

#[tokio::test]
async fn a_dropped_turn_poisons_the_leader_and_changes_nothing() {
    let fixture = fixture().await;
    let mut leader = fixture.leader().await;
    {
        let mut fenced = leader.begin().await.unwrap();
        sqlx::query("DELETE FROM pool").execute(&mut *fenced).await.unwrap();
    }
    assert!(matches!(leader.write_turn(&started_run(1), &[], now()).await, Err(Error::Fenced)));
    assert_eq!(fixture.value::<i64>("SELECT count(*) FROM pool").await, 1);
}

#[tokio::test]
async fn a_lost_answer_to_commit_poisons_the_leader_and_the_next_one_reads_the_truth() {
    let fixture = fixture().await;
    let mut leader = fixture.leader().await;
    let pid: i32 = {
        let mut fenced = leader.begin().await.unwrap();
        let pid = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut *fenced).await.unwrap();
        fenced.commit().await.unwrap();
        pid
    };
    // A deferred trigger ends the session inside COMMIT's work: the client never hears what came of it.
    fixture
        .execute(
            "CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(1); RETURN NULL; END $$;
             CREATE CONSTRAINT TRIGGER cut AFTER INSERT ON dag_run DEFERRABLE INITIALLY DEFERRED
                 FOR EACH ROW EXECUTE FUNCTION cut()",
        )
        .await;
    assert!(pid > 0);
    let error = leader.write_turn(&started_run(1), &[], now()).await.unwrap_err();
    assert!(matches!(error, Error::Database(_)), "{error}");
    assert!(matches!(leader.ping().await, Err(Error::Fenced)));

    fixture.execute("DROP TRIGGER cut ON dag_run").await;
    let mut next = fixture.leader().await;
    let rows = recovery::read(&mut next, recovery::Limits::default()).await.unwrap();
    assert!(rows.runs.is_empty(), "it was not committed, and the next leader sees that");
    next.write_turn(&started_run(1), &[], now()).await.unwrap();
}

#[tokio::test]
async fn a_turn_over_its_deadline_is_given_up() {
    let options = crate::Options { turn_timeout: std::time::Duration::from_millis(300), ..crate::Options::default() };
    let fixture = fixture_with(options).await;
    let mut leader = fixture.leader().await;
    let mut conn = fixture.conn().await;
    let mut blocker = sqlx::Connection::begin(&mut conn).await.unwrap();
    sqlx::query("SELECT FROM leader FOR UPDATE").execute(&mut *blocker).await.unwrap();

    assert!(matches!(leader.write_turn(&started_run(1), &[], now()).await, Err(Error::Deadline)));
    blocker.rollback().await.unwrap();
    assert!(matches!(leader.ping().await, Err(Error::Fenced)));
}

#[tokio::test]
async fn an_attempt_keeps_how_it_ended_and_leaves_the_open_ones() {
    let fixture = fixture().await;
    let mut leader = fixture.leader().await;
    leader.write_turn(&started_run(1), &[], now()).await.unwrap();
    let mut end = attempt_write(1, 1_001, Some(AttemptState::Queued), AttemptState::Closed);
    end.outcome = Some(AttemptOutcome::SpawnFailed { message: "no such\0interpreter".into() });
    end.usage = Some(Usage { cpu_user_ms: 5, cpu_system_ms: 6, rss_peak_bytes: u64::MAX });
    let writes = Writes {
        runs: vec![run_write(1, Some(RunState::Running), RunState::Failed)],
        attempts: vec![end],
        ..Writes::default()
    };
    leader.write_turn(&writes, &[], now()).await.unwrap();

    let row = "SELECT concat_ws('|', state, outcome, message, cpu_user_ms, is_open) FROM attempt";
    assert_eq!(fixture.value::<String>(row).await, "closed|spawn_failed|no such\u{fffd}interpreter|5|f");
    let rows = recovery::read(&mut leader, recovery::Limits::default()).await.unwrap();
    assert!(rows.runs.is_empty());
}

#[tokio::test]
async fn a_finished_run_with_an_open_attempt_is_still_read() {
    let fixture = fixture().await;
    let mut leader = fixture.leader().await;
    leader.write_turn(&started_run(1), &[], now()).await.unwrap();
    let writes = Writes {
        runs: vec![run_write(1, Some(RunState::Running), RunState::Failed)],
        attempts: vec![attempt_write(1, 1_001, Some(AttemptState::Queued), AttemptState::Canceling)],
        ..Writes::default()
    };
    leader.write_turn(&writes, &[], now()).await.unwrap();
    let rows = recovery::read(&mut leader, recovery::Limits::default()).await.unwrap();
    assert_eq!(rows.runs[0].state, RunState::Failed);
    assert_eq!(rows.runs[0].open_attempts[0].state, AttemptState::Canceling);
}

#[tokio::test]
async fn outputs_survive_with_key_order_and_escaped_nuls_and_a_retry_replaces_them() {
    let fixture = fixture().await;
    let mut leader = fixture.leader().await;
    for value in [json!({"z": 1, "a": "\0", "deep": [[[]]]}), json!({"second": "try"})] {
        let output = Output { value: value.clone().into(), bytes: 9 };
        let xcoms = vec![XcomWrite { key: ti_key(1, 0), name: "return_value".into(), output }];
        leader.write_turn(&Writes { xcoms, ..Writes::default() }, &[], now()).await.unwrap();
        let read = crate::xcom::of_runs(&mut fixture.conn().await, &[ti_key(1, 0).run]).await.unwrap();
        assert_eq!(read[0].value.as_ref().map(ToString::to_string), Some(value.to_string()));
        assert_eq!(read.len(), 1);
    }
}

#[tokio::test]
async fn the_log_replays_what_turns_did() {
    let fixture = fixture().await;
    let mut leader = fixture.leader().await;
    let first = started_run(1);
    leader.write_turn(&first, &[], now()).await.unwrap();
    let transition = Transition::Run { run: ti_key(1, 0).run, from: Some(RunState::Running), to: RunState::Success };
    let second = Writes {
        runs: vec![run_write(1, Some(RunState::Running), RunState::Success)],
        transitions: vec![transition.clone()],
        ..Writes::default()
    };
    leader.write_turn(&second, &[], now()).await.unwrap();

    let entries = transition_log::of_run(&mut fixture.conn().await, ti_key(1, 0).run).await.unwrap();
    let changes: Vec<_> = entries.iter().flat_map(|entry| entry.changes.clone()).collect();
    assert_eq!(changes, [first.transitions, vec![transition]].concat());
    let later = transition_log::after(&mut fixture.conn().await, entries[0].turn, 10).await.unwrap();
    assert_eq!(later, entries[1..]);
}

#[tokio::test]
async fn an_event_is_decided_once() {
    let fixture = fixture().await;
    let mut leader = fixture.leader().await;
    let trigger = crate::event::TriggerKey { dag: dag_id("sales"), name: "file".into() };
    let event =
        crate::event::NewEvent { dedup_key: "a".into(), payload: json!({}), occurred_at: None, expires_at: None };
    let received = crate::event::receive(&mut fixture.conn().await, &trigger, &[event], None, now()).await.unwrap();
    let event: EventId = received.taken[0];
    let letters = crate::inbox::all(&mut fixture.conn().await, 10).await.unwrap();
    let mut writes = started_run(1);
    writes.events = vec![EventWrite { event, outcome: EventOutcome::Run(ti_key(1, 0).run) }];
    leader.write_turn(&writes, &[letters[0].id], now()).await.unwrap();
    assert!(crate::inbox::all(&mut fixture.conn().await, 10).await.unwrap().is_empty());
    assert_eq!(fixture.value::<String>("SELECT outcome FROM event").await, "run");

    let outcome = EventOutcome::Ignored { reason: "filtered".into() };
    let again = Writes { events: vec![EventWrite { event, outcome }], ..Writes::default() };
    let error = leader.write_turn(&again, &[], now()).await.unwrap_err();
    assert!(matches!(error, Error::Stale { table: "event", .. }), "{error}");
}

#[tokio::test]
async fn a_letter_is_consumed_once() {
    let fixture = fixture().await;
    let mut leader = fixture.leader().await;
    let error = leader.write_turn(&Writes::default(), &[InboxId(7)], now()).await.unwrap_err();
    assert!(matches!(error, Error::Stale { table: "inbox", expected: 1, found: 0 }), "{error}");
}

#[tokio::test]
async fn a_sealed_plan_is_committed_and_opened() {
    let fixture = fixture().await;
    let mut leader = fixture.leader().await;
    let before = leader.turn();
    let (turn, actions) = leader.commit(Plan::default().seal(), &[], now()).await.unwrap();
    assert_eq!((turn.0, actions), (before.0 + 1, Vec::new()));
}
