//! Runs from outside: commands, events, `trigger_dag`, versions, repeats.

mod common;

use common::stage::Stage;
use gridflow_core::{
    Action, AttemptOutcome, ChildRequest, CommandId, Event, EventId, EventOutcome, Reason, RunKey, RunRequest,
    RunState, RunType, TaskState, TriggeredBy, Usage, WorldConfig, explain, explain_run,
};
use uuid::Uuid;

const COMMAND: CommandId = CommandId(Uuid::from_u128(77));

#[test]
fn canceling_a_queued_run_fails_it_and_twice_says_so() {
    let mut stage = Stage::new(WorldConfig::default());
    stage.dag("d", "dag max_active_runs=1\na");
    let runs = stage.run("d", 2);
    let cancel = Event::CancelRun { run: runs[1], command: Some(COMMAND) };
    let writes = stage.turn(vec![cancel.clone(), cancel]);
    assert_eq!(writes.commands, [(COMMAND, Ok(())), (COMMAND, Err("the run is already failed".to_owned()))]);
    assert_eq!(writes.runs[0].reason.as_deref(), Some("canceled"));
    assert_eq!(writes.transitions.len(), 1);
}

#[test]
fn canceling_a_run_that_nobody_knows_is_refused() {
    let mut stage = Stage::new(WorldConfig::default());
    let run = RunKey(Uuid::from_u128(99));
    let writes = stage.turn(vec![Event::CancelRun { run, command: Some(COMMAND) }]);
    assert_eq!(writes.commands, [(COMMAND, Err("the run is neither queued nor running".to_owned()))]);
}

#[test]
fn a_canceled_attempt_holds_its_slot_until_it_is_gone() {
    let mut stage = Stage::new(WorldConfig { parallelism: 1, ..WorldConfig::default() });
    stage.dag("d", "a");
    let runs = stage.run("d", 2);
    stage.turn(vec![Event::CancelRun { run: runs[0], command: None }]);
    assert_eq!(stage.launched.len(), 1, "the second run's task does not start yet");
    let order = stage.launched.remove(0);
    stage.turn(vec![Event::AttemptFinished {
        run: order.key.run,
        attempt: order.attempt,
        at: stage.now,
        outcome: AttemptOutcome::Canceled,
        usage: Usage::default(),
        output: None,
    }]);
    assert_eq!(stage.launched[0].key.run, runs[1]);
    assert!(stage.actions.contains(&Action::RunEnded { run: runs[0] }));
}

#[test]
fn a_repeated_report_changes_nothing_but_is_acknowledged_again() {
    let mut stage = Stage::new(WorldConfig::default());
    stage.dag("d", "a");
    stage.run("d", 1);
    let order = stage.launched[0].clone();
    let report = common::stage::finished(&order, 0, stage.now);
    stage.turn(vec![report.clone()]);
    let writes = stage.turn(vec![report]);
    assert_eq!(writes, Default::default());
    assert!(matches!(stage.actions[..], [Action::Acknowledge { attempt, .. }] if attempt == order.attempt));
    assert_eq!(stage.world.stats().stale_reports, 1);
}

#[test]
fn each_event_of_a_request_belongs_to_its_run() {
    let mut stage = Stage::new(WorldConfig::default());
    stage.dag("d", "a ; empty");
    let events = vec![EventId(Uuid::from_u128(1)), EventId(Uuid::from_u128(2))];
    let writes = stage.turn(vec![request("d", None, events.clone())]);
    let run = writes.new_runs[0].queued.key;
    assert_eq!(writes.new_runs[0].events, events);
    assert!(writes.events.iter().all(|row| row.outcome == EventOutcome::Run(run)));
    assert_eq!((writes.runs.len(), writes.runs[0].from, writes.runs[0].to), (1, None, RunState::Success));
}

#[test]
fn an_event_for_a_dag_that_is_not_there_stays_pending() {
    let mut stage = Stage::new(WorldConfig::default());
    let writes = stage.turn(vec![request("later", None, vec![EventId(Uuid::from_u128(1))])]);
    assert_eq!(writes, Default::default());
}

#[test]
fn an_event_of_a_paused_dag_makes_a_queued_run() {
    let mut stage = Stage::new(WorldConfig::default());
    stage.dag("d", "a");
    let dag = "d".parse().expect("valid");
    stage.turn(vec![Event::DagPaused { dag, is_paused: true, command: None }]);
    let writes = stage.turn(vec![request("d", None, vec![EventId(Uuid::from_u128(1))])]);
    assert_eq!(writes.runs[0].to, RunState::Queued);
    assert_eq!(explain_run(&stage.world, writes.runs[0].key), [Reason::DagPaused]);
}

#[test]
fn a_taken_run_id_leaves_its_events_answered_with_the_reason() {
    let mut stage = Stage::new(WorldConfig::default());
    stage.dag("d", "a");
    let writes = stage.turn(vec![request("d", Some("taken_1"), vec![EventId(Uuid::from_u128(1))])]);
    let reason = "the run id `taken_1` is taken".to_owned();
    assert_eq!(writes.events[0].outcome, EventOutcome::Ignored { reason });
    assert!(writes.new_runs.is_empty());
}

#[test]
fn one_turn_gives_a_run_id_once() {
    let mut stage = Stage::new(WorldConfig::default());
    stage.dag("d", "a");
    let ask = |event| request("d", Some("x"), vec![EventId(Uuid::from_u128(event))]);
    let writes = stage.turn(vec![ask(1), ask(2)]);
    assert_eq!(writes.new_runs.len(), 1);
    assert!(matches!(writes.events[1].outcome, EventOutcome::Ignored { .. }));
}

#[test]
fn a_triggered_run_of_empty_tasks_ends_in_the_same_turn_as_its_waiting_parent() {
    let mut stage = Stage::new(WorldConfig::default());
    stage.dag("parent", "go ; trigger=wait\nafter <- go ; empty");
    stage.dag("child", "a ; empty");
    stage.triggers("parent", "child");
    let run = stage.queued("parent");
    let writes = stage.turn(vec![Event::RunQueued(run)]);
    assert!(writes.runs.iter().all(|row| row.to == RunState::Success), "{:?}", writes.runs);
    assert_eq!(writes.new_runs[0].queued.run_type, RunType::OperatorTriggered);
    assert!(writes.new_runs[0].parent.is_some());
}

#[test]
fn a_parent_waits_deferred_without_a_slot_and_fails_with_its_child() {
    let mut stage = Stage::new(WorldConfig { parallelism: 1, ..WorldConfig::default() });
    stage.dag("parent", "go ; trigger=wait");
    stage.dag("child", "a");
    stage.triggers("parent", "child");
    let parent = stage.run("parent", 1)[0];
    let child = stage.launched[0].key.run;
    assert_eq!(explain(&stage.world, stage.key(parent, "parent", "go")), [Reason::WaitsForRun(child)]);
    let writes = stage.finish_first(1);
    let go = writes.task_instances.iter().find(|row| row.key.run == parent).expect("written");
    assert_eq!((go.from, go.to), (Some(TaskState::Deferred), TaskState::Failed));
    assert_eq!(go.reason.as_deref(), Some("the triggered run failed"));
}

#[test]
fn a_parent_that_does_not_wait_succeeds_at_once() {
    let mut stage = Stage::new(WorldConfig::default());
    stage.dag("parent", "go ; trigger");
    stage.dag("child", "a");
    stage.triggers("parent", "child");
    let run = stage.queued("parent");
    let writes = stage.turn(vec![Event::RunQueued(run.clone())]);
    let row = writes.runs.iter().find(|row| row.key == run.key).expect("written");
    assert_eq!(row.to, RunState::Success);
    assert_eq!(stage.launched(), ["child.a"]);
}

#[test]
fn a_run_whose_version_is_gone_fails_with_the_reason() {
    let mut stage = Stage::new(WorldConfig::default());
    stage.dag("d", "a");
    let mut run = stage.queued("d");
    run.version = gridflow_core::DagVersionId(Uuid::from_u128(999));
    let writes = stage.turn(vec![Event::RunQueued(run)]);
    assert_eq!((writes.runs[0].to, writes.runs[0].reason.as_deref()), (RunState::Failed, Some("its files are gone")));
}

#[test]
fn a_removed_dag_finishes_what_is_active() {
    let mut stage = Stage::new(WorldConfig::default());
    stage.dag("d", "a\nb <- a");
    stage.run("d", 1);
    stage.turn(vec![Event::DagRemoved { dag: "d".parse().expect("valid") }]);
    stage.finish_first(0);
    assert_eq!(stage.launched(), ["d.b"]);
}

#[test]
fn a_run_queued_twice_starts_once() {
    let mut stage = Stage::new(WorldConfig::default());
    stage.dag("d", "a");
    let run = stage.queued("d");
    stage.turn(vec![Event::RunQueued(run.clone()), Event::RunQueued(run.clone())]);
    stage.turn(vec![Event::RunQueued(run)]);
    assert_eq!(stage.launched.len(), 1);
    assert_eq!(stage.world.stats().repeated_runs, 2);
}

#[test]
fn failed_runs_in_a_row_pause_their_dag() {
    let mut stage = Stage::new(WorldConfig::default());
    stage.dag("d", "dag max_consecutive_failed_runs=2\na");
    stage.run("d", 1);
    assert!(stage.finish_first(1).paused.is_empty());
    stage.run("d", 1);
    assert_eq!(stage.finish_first(1).paused, [("d".parse().expect("valid"), true)]);
}

fn request(dag: &str, run_id: Option<&str>, events: Vec<EventId>) -> Event {
    Event::RunRequested(RunRequest {
        dag: dag.parse().expect("valid"),
        run_id: run_id.map(|id| id.parse().expect("valid")),
        run_type: RunType::Manual,
        triggered_by: TriggeredBy::RestApi,
        logical_date: None,
        data_interval: None,
        run_after: None,
        conf: serde_json::json!({}).into(),
        trigger: None,
        events,
        actor: None,
    })
}

impl Stage {
    /// What the parent's `trigger_dag` tasks ask for.
    fn triggers(&mut self, parent: &str, child: &str) {
        let dag: gridflow_core::DagId = child.parse().expect("valid");
        let version = self.dags[&dag].0;
        let conf = serde_json::json!({}).into();
        let request = ChildRequest { dag, version, run_id: None, logical_date: None, conf };
        self.children.insert(parent.parse().expect("valid"), request);
    }
}
