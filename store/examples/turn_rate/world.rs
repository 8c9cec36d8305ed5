//! A world of one DAG, and what the shell answers.

use std::{num::NonZeroU32, sync::Arc};

use chrono::Utc;
use gridflow_core::{
    Action, Answer, Dag, DagChanged, DagId, DagParts, DagVersionId, Event, LaunchOrder, Need, NewRun, Plan, PoolName,
    QueuedRun, RunId, RunKey, RunType, Schedule, ScheduleCursor, Task, TaskId, TaskKind, TaskNo, Timestamp, Timetable,
    TriggerRule, TriggeredBy, Turn, WeightRule, World, WorldConfig, admit, step,
};
use uuid::Uuid;

#[derive(Debug, Clone, Copy)]
pub enum Shape {
    Chain,
    Wide,
}

const VERSION: DagVersionId = DagVersionId(Uuid::from_u128(1));

pub fn of_one_dag(shape: Shape, tasks: usize, kind: TaskKind) -> World {
    let now = Utc::now();
    let mut world = World::new(WorldConfig::default());
    let mut plan = Plan::begin(Turn(0), 1);
    let (pool, slots) = (PoolName::default_pool(), Some(128));
    step(&mut world, Event::PoolChanged { pool, slots }, now, &mut plan);
    let definition = Arc::new(dag(shape, tasks, kind));
    let cursor = ScheduleCursor::default();
    let changed = DagChanged { version: VERSION, definition, is_paused: false, cursor };
    step(&mut world, Event::DagChanged(changed), now, &mut plan);
    world
}

/// Admits, and renders what is to be launched, until nothing more is needed.
pub fn settle(world: &mut World, plan: &mut Plan, now: Timestamp) {
    loop {
        admit(world, now, plan);
        let needs = plan.take_needs();
        if needs.is_empty() {
            return;
        }
        for need in needs {
            let Need::Prepare(order) = need else { unreachable!("nothing else is needed here") };
            let answer = Answer::Prepared { run: order.key.run, attempt: order.attempt, spec_hash: [0; 32] };
            step(world, Event::Answer(answer), now, plan);
        }
    }
}

pub fn launch(action: Action) -> Option<LaunchOrder> {
    if let Action::Launch(order) = action { Some(order) } else { None }
}

pub fn new_run(number: u32) -> NewRun {
    let now = Utc::now();
    let key = RunKey(Uuid::now_v7());
    NewRun {
        queued: QueuedRun {
            key,
            dag: DagId::parse("bench").expect("valid"),
            version: VERSION,
            run_id: RunId::parse(&format!("manual_{number}_{key}")).expect("valid"),
            run_type: RunType::Manual,
            logical_date: None,
            data_interval: None,
            run_after: now,
        },
        queued_at: now,
        triggered_by: TriggeredBy::RestApi,
        actor: None,
        conf: Arc::new(serde_json::json!({})),
        trigger: None,
        events: Vec::new(),
        parent: None,
        note: None,
        traceparent: None,
    }
}

fn dag(shape: Shape, count: usize, kind: TaskKind) -> Dag {
    let upstream = |no: usize| match shape {
        Shape::Chain => (no.saturating_sub(1)..no).map(|no| TaskNo(no as u32)).collect(),
        Shape::Wide => vec![],
    };
    let parts = DagParts {
        id: DagId::parse("bench").expect("valid"),
        tasks: (0..count).map(|no| task(no, upstream(no), kind)).collect(),
        timetable: Timetable {
            schedule: Schedule::Manual,
            timezone: chrono_tz::UTC,
            start_date: None,
            end_date: None,
            catchup: false,
        },
        is_paused_at_creation: false,
        max_active_runs: NonZeroU32::MIN.saturating_add(15),
        max_active_tasks: NonZeroU32::MIN.saturating_add(15),
        max_consecutive_failed_runs: None,
        dagrun_timeout: None,
        fail_fast: false,
    };
    Dag::new(parts).expect("a DAG")
}

fn task(no: usize, upstream: Vec<TaskNo>, kind: TaskKind) -> Task {
    Task {
        id: TaskId::parse(&format!("t{no}")).expect("valid"),
        kind,
        upstream,
        trigger_rule: TriggerRule::AllSuccess,
        retries: 0,
        retry_delay: std::time::Duration::ZERO,
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
