//! `core`: how many events a second the core decides on one thread, and whether that depends on how much is
//! unfinished.
//!
//! Plans are built and sealed, nothing is written. An event is an attempt's start or end.

use std::{collections::VecDeque, hint::black_box, num::NonZeroU32, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use gridflow_core::{
    Action, Answer, AttemptOutcome, Dag, DagChanged, DagId, DagParts, DagVersionId, Event, ExecutorKind, LaunchOrder,
    Need, Plan, PoolName, QueuedRun, RunId, RunKey, RunType, Schedule, ScheduleCursor, Task, TaskId, TaskKind, TaskNo,
    Timestamp, Timetable, TriggerRule, Turn, Usage, WeightRule, World, WorldConfig, admit, step,
};
use nix::time::{ClockId, clock_gettime};
use uuid::Uuid;

use crate::{
    bench::Bench,
    line::{Line, Target},
    stats,
};

const TIMES: usize = 5;
/// How much of the rate must be left with ten or a hundred times as much unfinished.
const FLAT: f64 = 0.5;

/// Events that a leader under load takes into one turn.
const EVENTS_PER_TURN: usize = 64;

#[derive(Clone, Copy)]
enum Shape {
    Chain,
    Wide,
    /// Layers of ten, each task behind three of the layer before.
    Layers,
}

pub fn measure(bench: &mut Bench) -> Result<Vec<Line>> {
    let times = bench.few(TIMES);
    let best = |shape, tasks, runs, slots| {
        let rates: Vec<f64> = (0..times).map(|_| rate(shape, tasks, runs, slots)).collect();
        stats::median(&rates).context("nothing measured")
    };
    let line = |what: &str, rate| Line::higher("core", what, rate, "events/s").target(Target::Absolute(500_000.0));
    let mut lines = Vec::new();
    for (name, shape) in [("chain", Shape::Chain), ("wide", Shape::Wide), ("layers", Shape::Layers)] {
        bench.progress(&format!("steps of 100 runs × 1,000 tasks, {name}"));
        lines.push(line(&format!("{name} of 1,000 tasks, 100 runs"), best(shape, 1_000, 100, 1_000)?));
    }
    let small = best(Shape::Wide, 100, 1, 10)?;
    for tasks in [1_000, 10_000] {
        bench.progress(&format!("steps of {tasks} unfinished tasks"));
        // Flat: as fast, however much is unfinished. What is left is for the caches of the processor.
        lines.push(
            Line::higher(
                "core",
                format!("wide of {tasks} tasks, 10 at a time"),
                best(Shape::Wide, tasks, 1, 10)?,
                "events/s",
            )
            .limit("the same with 100 tasks", small)
            .target(Target::Ratio(FLAT)),
        );
    }
    let few = best(Shape::Chain, 100, 10, 1)?;
    bench.progress("steps of 1,000 runs that wait for one slot");
    lines.push(
        Line::higher("core", "1,000 chains of 100, pool of 1", best(Shape::Chain, 100, 1_000, 1)?, "events/s")
            .limit("the same with 10 chains", few)
            .target(Target::Ratio(FLAT)),
    );
    Ok(lines)
}

/// Events a second of CPU time, so that what else runs on the machine does not count.
fn rate(shape: Shape, tasks: usize, runs: u32, slots: u32) -> f64 {
    let now: Timestamp = "2025-01-01T00:00:00Z".parse().expect("a constant");
    let dag = Arc::new(dag(shape, tasks));
    let version = DagVersionId(Uuid::from_u128(1));
    let config = WorldConfig { parallelism: u32::MAX, rows_max: usize::MAX, ..WorldConfig::default() };
    let mut world = World::new(config);
    let mut plan = Plan::begin(Turn(1), 1);
    let pool = PoolName::default_pool();
    step(&mut world, Event::PoolChanged { pool, slots: Some(slots) }, now, &mut plan);
    let cursor = ScheduleCursor::default();
    let changed = DagChanged { version, definition: dag.clone(), is_paused: false, cursor };
    step(&mut world, Event::DagChanged(changed), now, &mut plan);
    for number in 0..runs {
        step(&mut world, Event::RunQueued(run(number, dag.id(), version, now)), now, &mut plan);
    }
    let mut launched = decide(&mut world, plan, now);

    let began = cpu_time();
    let (mut events, mut turns) = (0_u32, 1_i64);
    while !launched.is_empty() {
        turns += 1;
        let mut plan = Plan::begin(Turn(turns), turns as u64);
        for _ in 0..EVENTS_PER_TURN / 2 {
            let Some(order) = launched.pop_front() else { break };
            let (run, attempt) = (order.key.run, order.attempt);
            step(&mut world, Event::AttemptStarted { run, attempt, at: now, pid: None, place: None }, now, &mut plan);
            let (outcome, usage) = (AttemptOutcome::Exited { code: 0 }, Usage::default());
            let finished = Event::AttemptFinished { run, attempt, at: now, outcome, usage, output: None };
            step(&mut world, finished, now, &mut plan);
            events += 2;
        }
        launched.extend(decide(&mut world, plan, now));
    }
    let seconds = (cpu_time() - began).as_secs_f64();
    assert_eq!(events, runs * tasks as u32 * 2, "every task ran");
    f64::from(events) / seconds
}

/// What this thread has used so far.
fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("every thread has this clock").into()
}

fn decide(world: &mut World, mut plan: Plan, now: Timestamp) -> VecDeque<LaunchOrder> {
    loop {
        admit(world, now, &mut plan);
        let needs = plan.take_needs();
        if needs.is_empty() {
            break;
        }
        for need in needs {
            let Need::Prepare(order) = need else { unreachable!("nothing else is needed here") };
            let answer = Answer::Prepared { run: order.key.run, attempt: order.attempt, spec_hash: [0; 32] };
            step(world, Event::Answer(answer), now, &mut plan);
        }
    }
    let turn = plan.turn();
    let sealed = black_box(plan.seal());
    let committed = gridflow_core::Committed { epoch: gridflow_core::Epoch(1), turn };
    let launch = |action| if let Action::Launch(order) = action { Some(order) } else { None };
    sealed.open(committed).into_iter().filter_map(launch).collect()
}

fn run(number: u32, dag: &DagId, version: DagVersionId, now: Timestamp) -> QueuedRun {
    QueuedRun {
        key: RunKey(Uuid::from_u128(0x1000 + u128::from(number))),
        dag: dag.clone(),
        version,
        run_id: RunId::parse(&format!("manual_{number}")).expect("valid"),
        run_type: RunType::Manual,
        logical_date: None,
        data_interval: None,
        run_after: now,
    }
}

fn dag(shape: Shape, count: usize) -> Dag {
    let upstream = |no: usize| -> Vec<TaskNo> {
        match shape {
            Shape::Chain => (no.saturating_sub(1)..no).map(|no| TaskNo(no as u32)).collect(),
            Shape::Wide => vec![],
            Shape::Layers if no < 10 => vec![],
            Shape::Layers => {
                let layer = (no / 10 - 1) * 10;
                (0..3).map(|step| TaskNo((layer + (no + step) % 10) as u32)).collect()
            }
        }
    };
    let most = NonZeroU32::MAX;
    let parts = DagParts {
        id: DagId::parse("bench").expect("valid"),
        tasks: (0..count).map(|no| task(no, upstream(no))).collect(),
        timetable: Timetable {
            schedule: Schedule::Manual,
            timezone: chrono_tz::UTC,
            start_date: None,
            end_date: None,
            catchup: false,
        },
        is_paused_at_creation: false,
        max_active_runs: most,
        max_active_tasks: most,
        max_consecutive_failed_runs: None,
        dagrun_timeout: None,
        fail_fast: false,
    };
    Dag::new(parts).expect("a DAG")
}

fn task(no: usize, upstream: Vec<TaskNo>) -> Task {
    Task {
        id: TaskId::parse(&format!("t{no}")).expect("valid"),
        kind: TaskKind::Attempt(ExecutorKind::Local),
        upstream,
        trigger_rule: TriggerRule::AllSuccess,
        retries: 0,
        retry_delay: Duration::ZERO,
        retry_backoff: None,
        retry_delay_max: None,
        execution_timeout: None,
        pool: PoolName::default_pool(),
        pool_slots: NonZeroU32::MIN,
        priority_weight: 1,
        weight_rule: WeightRule::Downstream,
        max_active_per_dag: None,
        max_active_per_run: None,
        start_date: None,
        end_date: None,
        skip_exit_codes: vec![99],
    }
}
