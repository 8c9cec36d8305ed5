//! What a new leader makes of the database's rows.

mod common;

use std::sync::Arc;

use common::{now, parse_dag, rows_of, run_key};
use gridflow_core::{
    Action, AttemptState, Committed, Dag, Epoch, Event, NodeBinding, NodeId, Plan, Reason, RecoveryRows, RunState,
    TaskState, Turn, WaitRow, World, WorldConfig, admit, explain, explain_run, recover, step,
};
use uuid::Uuid;

#[test]
fn a_queued_attempt_of_this_boot_is_launched_again_and_one_of_another_is_not() {
    let here = |boot: &str| NodeBinding { node: NodeId(Uuid::from_u128(1)), boot: boot.into() };
    let rows = |boot: &str| {
        let (_, mut rows) = rows("a : queued");
        rows.runs[0].open_attempts[0].binding = Some(here(boot));
        rows
    };
    let config = WorldConfig { binding: Some(here("now")), ..WorldConfig::default() };
    assert!(matches!(actions(rows("now"), config.clone())[..], [Action::Launch(_)]));
    assert_eq!(actions(rows("before"), config), []);
}

#[test]
fn a_canceling_attempt_is_canceled_again() {
    let (_, mut rows) = rows("a : failed");
    let (_, running) = self::rows("a : running");
    rows.runs[0].state = RunState::Failed;
    rows.runs[0].open_attempts = running.runs[0].open_attempts.clone();
    rows.runs[0].open_attempts[0].state = AttemptState::Canceling;
    assert!(matches!(actions(rows, WorldConfig::default())[..], [Action::Cancel { .. }]));
}

#[test]
fn limits_count_what_is_open_already() {
    let (_, rows) = rows("dag max_active_tasks=2\na : running\nb : running\nc : scheduled");
    let (mut world, _) = recover(rows, WorldConfig::default(), now());
    assert_eq!(turn(&mut world, vec![]).writes().attempts, []);
}

#[test]
fn a_waiter_whose_run_ended_or_was_deleted_meanwhile_goes_on_at_the_first_turn() {
    for (state, expected) in [
        (Some(RunState::Success), TaskState::Success),
        (Some(RunState::Failed), TaskState::Failed),
        (None, TaskState::Failed),
    ] {
        let (_, mut rows) = rows("a : deferred ; trigger=wait");
        rows.runs[0].task_instances[0].wait = Some(WaitRow { run: gridflow_core::RunKey(Uuid::from_u128(5)), state });
        let (mut world, _) = recover(rows, WorldConfig::default(), now());
        assert!(world.has_more());
        let plan = turn(&mut world, vec![]);
        assert_eq!(plan.writes().task_instances[0].to, expected);
        assert!(!world.has_more());
    }
}

#[test]
fn a_timer_that_passed_meanwhile_is_due_at_once() {
    let (_, rows) = rows("a : up_for_retry ; retries=1");
    let (mut world, _) = recover(rows, WorldConfig::default(), now());
    let due = world.next_deadline().expect("the retry");
    let mut plan = Plan::begin(Turn(1), 1);
    step(&mut world, Event::TimersDue, due + chrono::TimeDelta::days(9), &mut plan);
    assert_eq!(plan.seal().writes().task_instances[0].to, TaskState::Scheduled);
}

#[test]
fn a_run_that_does_not_fit_its_version_is_set_aside_and_the_others_go_on() {
    let (_, mut rows) = rows("a : running\nb <- a");
    let mut broken = rows.runs[0].clone();
    broken.run.key = gridflow_core::RunKey(Uuid::from_u128(0x999));
    broken.task_instances.pop();
    rows.runs.push(broken.clone());
    let (mut world, _) = recover(rows, WorldConfig::default(), now());
    let reason = "it has 1 task instances, its DAG version has 2 tasks".to_owned();
    assert_eq!(explain_run(&world, broken.run.key), [Reason::Quarantined(reason)]);
    assert_eq!(explain_run(&world, run_key()), [Reason::Running]);
    // A report about it is not acknowledged: it must be told again to who can read the run.
    let report = Event::AttemptFinished {
        run: broken.run.key,
        attempt: broken.open_attempts[0].attempt,
        at: now(),
        outcome: gridflow_core::AttemptOutcome::Exited { code: 0 },
        usage: Default::default(),
        output: None,
    };
    let plan = turn(&mut world, vec![report]);
    assert_eq!(plan.open(Committed { epoch: Epoch(1), turn: Turn(2) }), []);
}

#[test]
fn a_task_instance_that_nothing_would_move_on_is_set_aside_with_the_reason() {
    for (task, reason) in [
        ("a : running", "task number 0 is running and has no open attempt"),
        ("a : up_for_retry", "task number 0 is up_for_retry and has no time of its retry"),
        ("a : deferred ; trigger=wait", "task number 0 is deferred and waits for nothing"),
    ] {
        let (_, mut rows) = rows(task);
        rows.runs[0].open_attempts.clear();
        rows.runs[0].task_instances[0].retry_at = None;
        let (world, _) = recover(rows, WorldConfig::default(), now());
        assert_eq!(explain_run(&world, run_key()), [Reason::Quarantined(reason.to_owned())]);
    }
}

#[test]
fn a_run_whose_version_is_missing_is_set_aside() {
    let (_, mut rows) = rows("a : running");
    rows.dags[0].current = None;
    let (world, _) = recover(rows, WorldConfig::default(), now());
    assert_eq!(world.quarantined().count(), 1);
    assert_eq!(world.active_runs(), 0);
}

#[test]
fn an_attempt_of_another_node_is_waited_for_there_until_the_node_is_given_up() {
    let node = |number| NodeBinding { node: NodeId(Uuid::from_u128(number)), boot: "now".into() };
    let (_, mut rows) = rows("a : running");
    rows.runs[0].open_attempts[0].binding = Some(node(2));
    let attempt = rows.runs[0].open_attempts[0].attempt;
    // It is not tried again, which would have to be answered first.
    let config = WorldConfig { binding: Some(node(1)), losses_max: 0, ..WorldConfig::default() };
    let (mut world, _) = recover(rows, config, now());
    let key = world.task_instance_of(run_key(), attempt).expect("it is open");
    assert_eq!(explain(&world, key), [Reason::Running, Reason::OnNode(node(2).node)]);
    assert_eq!(world.other_nodes().into_iter().collect::<Vec<_>>(), [node(2).node]);

    let lost = |number| Event::NodeLost { node: node(number).node, at: now(), reason: "silent".into() };
    assert_eq!(turn(&mut world, vec![lost(3)]).writes(), &Default::default(), "nothing is on that one");
    let plan = turn(&mut world, vec![lost(2)]);
    let closed = plan.writes().attempts.iter().find(|row| row.attempt == attempt).expect("it is closed");
    assert_eq!(
        (closed.to, closed.outcome.as_ref().map(|outcome| outcome.kind())),
        (AttemptState::Closed, Some("lost"))
    );
    assert_eq!(plan.writes().task_instances[0].losses, 1);
    assert!(world.other_nodes().is_empty());
    let acted = plan.open(Committed { epoch: Epoch(1), turn: Turn(2) });
    assert!(!acted.iter().any(|action| matches!(action, Action::Acknowledge { .. })), "nobody here knows of it");
}

#[test]
fn a_cancel_of_another_nodes_attempt_is_left_to_that_node_which_is_woken() {
    let node = |number| NodeBinding { node: NodeId(Uuid::from_u128(number)), boot: "now".into() };
    let (_, mut rows) = rows("a : running");
    rows.runs[0].open_attempts[0].binding = Some(node(2));
    let config = WorldConfig { binding: Some(node(1)), ..WorldConfig::default() };
    let (mut world, _) = recover(rows, config, now());
    let plan = turn(&mut world, vec![Event::CancelRun { run: run_key(), command: None }]);
    assert_eq!(plan.writes().attempts[0].to, AttemptState::Canceling);
    assert_eq!(plan.open(Committed { epoch: Epoch(1), turn: Turn(2) }), [Action::CancelElsewhere]);
}

fn rows(text: &str) -> (Arc<Dag>, RecoveryRows) {
    let (dag, states) = parse_dag(text);
    let dag = Arc::new(dag);
    let rows = rows_of(&dag, &states);
    (dag, rows)
}

fn actions(rows: RecoveryRows, config: WorldConfig) -> Vec<Action> {
    let (_, plan) = recover(rows, config, now());
    let sealed = plan.seal();
    assert_eq!(sealed.writes(), &Default::default(), "recovery writes nothing");
    sealed.open(Committed { epoch: Epoch(1), turn: Turn(1) })
}

fn turn(world: &mut World, events: Vec<Event>) -> gridflow_core::SealedPlan {
    let mut plan = Plan::begin(Turn(2), 1);
    events.into_iter().for_each(|event| step(world, event, now(), &mut plan));
    admit(world, now(), &mut plan);
    plan.seal()
}

#[test]
fn a_run_that_is_set_aside_keeps_its_slots_and_refuses_commands_with_the_reason() {
    let (_, mut rows) = rows("a : running");
    let run = rows.runs[0].run.clone();
    let other = gridflow_core::QueuedRun {
        key: gridflow_core::RunKey(Uuid::from_u128(77)),
        run_id: "other".parse().expect("valid"),
        ..run.clone()
    };
    rows.pools[0].slots = Some(1);
    rows.aside = vec![(run.key, "it panicked".into())];
    rows.queued = vec![other.clone()];
    let (mut world, _) = recover(rows, WorldConfig::default(), now());
    let command = gridflow_core::CommandId(Uuid::from_u128(5));
    let plan = turn(&mut world, vec![Event::CancelRun { run: run.key, command: Some(command) }]);
    let refusal = "the run is set aside until the scheduler is started again: it panicked";
    assert_eq!(plan.writes().commands, [(command, Err(refusal.to_owned()))]);
    assert_eq!(plan.writes().runs.iter().map(|row| row.key).collect::<Vec<_>>(), [other.key]);
    assert_eq!(plan.writes().attempts, [], "the pool's only slot is taken");
    assert_eq!(explain_run(&world, run.key), [Reason::Quarantined("it panicked".into())]);
}
