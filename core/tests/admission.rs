//! Who may start: pools, limits, priorities, fairness, and what bounds memory and turns.

mod common;

use common::stage::{Stage, finished};
use gridflow_core::{Action, Event, Reason, RunState, RunType, WorldConfig, explain, explain_run};

#[test]
fn a_pool_lends_its_slots_and_no_more() {
    let mut stage = Stage::new(WorldConfig::default());
    stage.pool("p", 3);
    stage.dag("d", "a ; pool=p, slots=2, weight=2\nb ; pool=p, slots=2\nc ; pool=p");
    let run = stage.run("d", 1)[0];
    assert_eq!(stage.launched(), ["d.a", "d.c"], "c is smaller and fits beside a");
    let full = Reason::PoolFull { pool: "p".parse().expect("valid"), used: 3, slots: 3, needed: 2 };
    assert_eq!(explain(&stage.world, stage.key(run, "d", "b")), [full]);
    stage.finish_first(0);
    assert_eq!(stage.launched(), ["d.c", "d.b"]);
}

#[test]
fn a_pool_that_nobody_defined_keeps_its_tasks_waiting_until_it_comes() {
    let mut stage = Stage::new(WorldConfig::default());
    stage.dag("d", "a ; pool=late");
    let run = stage.run("d", 1)[0];
    let unknown = Reason::UnknownPool("late".parse().expect("valid"));
    assert_eq!(explain(&stage.world, stage.key(run, "d", "a")), [unknown]);
    stage.pool("late", 1);
    assert_eq!(stage.launched(), ["d.a"]);
}

#[test]
fn a_dag_with_thousands_of_ready_tasks_does_not_starve_another() {
    let mut stage = Stage::new(WorldConfig { parallelism: 4, ..WorldConfig::default() });
    let many: String = (0..2_000).map(|no| format!("t{no}\n")).collect();
    stage.dag("big", &format!("dag max_active_tasks=5000\n{many}"));
    stage.dag("small", "a\nb\nc");
    stage.run("big", 1);
    stage.run("small", 1);
    for _ in 0..6 {
        stage.finish_first(0);
    }
    let small = stage.launched().iter().filter(|name| name.starts_with("small")).count();
    assert!(0 < small, "after six ends the small DAG has had its turns: {:?}", stage.launched());
}

#[test]
fn higher_weight_goes_first_whatever_came_before() {
    let mut stage = Stage::new(WorldConfig { parallelism: 1, ..WorldConfig::default() });
    stage.dag("low", "a\nb");
    stage.dag("high", "a ; weight=9");
    stage.run("low", 1);
    stage.run("high", 1);
    stage.finish_first(0);
    assert_eq!(stage.launched(), ["high.a"]);
}

#[test]
fn the_earlier_run_goes_first_at_equal_weight() {
    let mut stage = Stage::new(WorldConfig { parallelism: 1, ..WorldConfig::default() });
    stage.dag("d", "a");
    let (mut late, mut early) = (stage.queued("d"), stage.queued("d"));
    late.logical_date = Some("2025-02-01T00:00:00Z".parse().expect("a time"));
    early.logical_date = Some("2025-01-01T00:00:00Z".parse().expect("a time"));
    let blocker = stage.queued("d");
    stage.turn(vec![Event::RunQueued(blocker)]);
    stage.turn(vec![Event::RunQueued(late), Event::RunQueued(early.clone())]);
    stage.finish_first(0);
    assert_eq!(stage.launched[0].key.run, early.key);
}

#[test]
fn a_tasks_own_limit_holds_over_all_runs() {
    let mut stage = Stage::new(WorldConfig::default());
    stage.dag("d", "a ; max_active_per_dag=2\nb");
    let runs = stage.run("d", 4);
    assert_eq!(stage.launched().iter().filter(|name| *name == "d.a").count(), 2);
    assert_eq!(stage.launched().iter().filter(|name| *name == "d.b").count(), 4, "the others are not held up");
    let limit = Reason::MaxActivePerDag { task: "a".parse().expect("valid"), open: 2, max: 2 };
    assert_eq!(explain(&stage.world, stage.key(runs[3], "d", "a")), [limit]);
    let first = stage.launched.iter().position(|order| stage.name(order) == "d.a").expect("launched");
    let order = stage.launched.remove(first);
    stage.turn(vec![finished(&order, 0, stage.now)]);
    assert_eq!(stage.launched().iter().filter(|name| *name == "d.a").count(), 2);
}

#[test]
fn whoever_is_full_by_its_own_version_is_in_nobody_elses_way() {
    let mut stage = Stage::new(WorldConfig::default());
    stage.dag("d", "a ; max_active_per_dag=2");
    let loose = stage.run("d", 3);
    stage.dag("d", "a ; max_active_per_dag=1, weight=5");
    let strict = stage.run("d", 1);
    // From now on each goes by its own version, and the strict one comes first.
    stage.dag("d", "a");
    assert_eq!(stage.launched(), ["d.a", "d.a"]);
    stage.finish_first(0);
    assert_eq!(stage.launched.iter().map(|order| order.key.run).collect::<Vec<_>>(), loose[1..]);
    let limit = Reason::MaxActivePerDag { task: "a".parse().expect("valid"), open: 2, max: 1 };
    assert_eq!(explain(&stage.world, stage.key(strict[0], "d", "a")), [limit]);
    stage.finish_first(0);
    stage.finish_first(0);
    assert_eq!(stage.launched.iter().map(|order| order.key.run).collect::<Vec<_>>(), strict);
}

#[test]
fn runs_over_the_limit_wait_and_backfills_have_a_count_of_their_own() {
    let mut stage = Stage::new(WorldConfig::default());
    stage.dag("d", "dag max_active_runs=1\na");
    let runs = stage.run("d", 2);
    let reasons = [Reason::MaxActiveRuns { running: 1, max: 1 }];
    assert_eq!(explain_run(&stage.world, runs[1]), reasons);
    let mut backfill = stage.queued("d");
    backfill.run_type = RunType::Backfill;
    stage.turn(vec![Event::RunQueued(backfill)]);
    assert_eq!(stage.launched().len(), 2);
    stage.finish_first(0);
    assert_eq!(stage.launched.last().expect("the next run").key.run, runs[1]);
}

#[test]
fn a_run_of_the_future_waits_for_its_time() {
    let mut stage = Stage::new(WorldConfig::default());
    stage.dag("d", "a");
    let mut run = stage.queued("d");
    run.run_after = stage.now + chrono::TimeDelta::minutes(5);
    stage.turn(vec![Event::RunQueued(run.clone())]);
    assert_eq!(explain_run(&stage.world, run.key), [Reason::RunAfter(run.run_after)]);
    assert_eq!(stage.world.next_deadline(), Some(run.run_after));
    stage.now = run.run_after;
    stage.turn(vec![Event::TimersDue]);
    assert_eq!(stage.launched(), ["d.a"]);
}

#[test]
fn a_turn_stops_starting_runs_when_its_budget_is_spent_and_the_next_goes_on() {
    let mut stage = Stage::new(WorldConfig { rows_max: 100, parallelism: 1, ..WorldConfig::default() });
    let tasks: String = (0..60).map(|no| format!("t{no}\n")).collect();
    stage.dag("d", &tasks);
    stage.run("d", 6);
    assert_eq!(stage.world.active_runs(), 2);
    assert_eq!(stage.turns(), 3, "two more runs a turn, and a look that finds nothing left");
    assert_eq!(stage.world.active_runs(), 6);
}

#[test]
fn ten_thousand_queued_runs_stay_in_the_database_but_for_the_first() {
    let mut stage = Stage::new(WorldConfig { queued_max: 100, ..WorldConfig::default() });
    stage.dag("d", "dag max_active_runs=1\na");
    let table: Vec<_> = (0..10_000).map(|_| stage.queued("d")).collect();
    stage.turn(table.iter().cloned().map(Event::RunQueued).collect());
    let dag = "d".parse().expect("valid");
    assert_eq!(stage.world.queued_runs(&dag).0.len(), 100);
    let mut ended = 0;
    while !stage.launched.is_empty() {
        let actions = stage.actions.clone();
        let fetch = |action: &Action| match action {
            Action::FetchQueued { dag, after, limit } => Some((dag.clone(), *after, *limit as usize)),
            _ => None,
        };
        let answers = actions.iter().filter_map(fetch).map(|(dag, after, limit)| {
            let behind: Vec<_> = table.iter().filter(|run| after < Some((run.run_after, run.key))).cloned().collect();
            let has_more = limit < behind.len();
            Event::QueuedFetched { dag, after, runs: behind.into_iter().take(limit).collect(), has_more }
        });
        let mut events: Vec<Event> = answers.collect();
        let order = stage.launched.remove(0);
        events.push(finished(&order, 0, stage.now));
        let writes = stage.turn(events);
        ended += writes.runs.iter().filter(|row| row.to == RunState::Success).count();
    }
    assert_eq!(ended, 10_000);
}

#[test]
fn a_run_that_was_canceled_while_it_was_being_fetched_stays_canceled() {
    let mut stage = Stage::new(WorldConfig { queued_max: 4, ..WorldConfig::default() });
    stage.dag("d", "dag max_active_runs=1\na");
    let table: Vec<_> = (0..20).map(|_| stage.queued("d")).collect();
    stage.turn(table.iter().cloned().map(Event::RunQueued).collect());
    let fetch = loop {
        stage.finish_first(0);
        let fetch = stage.actions.iter().find_map(|action| match action {
            Action::FetchQueued { after, .. } => Some(*after),
            _ => None,
        });
        if let Some(after) = fetch {
            break after;
        }
    };
    // The answer was read before the cancel, and comes after it.
    let behind: Vec<_> = table.iter().filter(|run| fetch < Some((run.run_after, run.key))).cloned().collect();
    let canceled = behind[1].clone();
    let cancel = Event::CancelRun { run: canceled.key, command: None };
    let writes = stage.turn(vec![Event::RunQueued(canceled.clone()), cancel]);
    assert_eq!(writes.runs[0].to, RunState::Failed);
    let dag: gridflow_core::DagId = "d".parse().expect("valid");
    stage.turn(vec![Event::QueuedFetched { dag: dag.clone(), after: fetch, runs: behind, has_more: false }]);
    let (queued, _) = stage.world.queued_runs(&dag);
    assert!(queued.len() == 4 && !queued.contains(&canceled.key));
}

#[test]
fn ten_thousand_runs_behind_a_pool_of_one_slot_are_taken_one_by_one() {
    let mut stage = Stage::new(WorldConfig { rows_max: usize::MAX, queued_max: 20_000, ..WorldConfig::default() });
    stage.pool("one", 1);
    stage.dag("d", "dag max_active_runs=20000\na ; pool=one");
    stage.run("d", 10_000);
    for _ in 0..10_000 {
        assert_eq!(stage.launched.len(), 1);
        stage.finish_first(0);
    }
    assert_eq!(stage.world.active_runs(), 0);
}

#[test]
fn a_dag_of_ten_thousand_tasks_runs_to_its_end() {
    let mut stage = Stage::new(WorldConfig::default());
    let chain: String = (0..5_000).map(|no| format!("c{no} {} ; empty\n", upstream(no))).collect();
    let wide: String = (0..5_000).map(|no| format!("w{no}\n")).collect();
    stage.dag("d", &format!("dag max_active_tasks=10000\n{wide}{chain}"));
    stage.run("d", 1);
    stage.turns();
    let mut ends = 0;
    while !stage.launched.is_empty() {
        let events = stage.launched.drain(..).map(|order| finished(&order, 0, common::now())).collect::<Vec<_>>();
        ends += events.len();
        stage.turn(events);
    }
    assert_eq!((ends, stage.world.active_runs()), (5_000, 0));
}

fn upstream(no: u32) -> String {
    no.checked_sub(1).map_or(String::new(), |before| format!("<- c{before}"))
}
