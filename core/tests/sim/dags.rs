//! Random DAGs: shapes, trigger rules, retries, pools, limits, schedules.

use std::{num::NonZeroU32, str::FromStr, time::Duration};

use gridflow_core::{
    CronExpression, Dag, DagId, DagParts, ExecutorKind, PoolName, Schedule, Task, TaskId, TaskKind, TaskNo, Timestamp,
    Timetable, TriggerRule, WeightRule,
};

use crate::rng::Rng;

pub const DAGS: usize = 4;
pub const POOLS: [&str; 3] = ["default_pool", "small", "late"];

pub fn dag_id(index: usize) -> DagId {
    DagId::parse(&format!("dag{index}")).expect("valid")
}

/// `trigger_dag` only leads to DAGs of a higher number, so that runs end.
pub fn random_dag(index: usize, start: Timestamp, rng: &mut Rng) -> Dag {
    let count = rng.between(1, 9) as usize;
    let tasks = (0..count).map(|no| random_task(index, no, rng)).collect();
    let parts = DagParts {
        id: dag_id(index),
        tasks,
        timetable: random_timetable(start, rng),
        is_paused_at_creation: false,
        max_active_runs: number(rng.between(1, 3)),
        max_active_tasks: number(rng.between(1, 4)),
        max_consecutive_failed_runs: rng.percent(15).then(|| number(rng.between(1, 3))),
        dagrun_timeout: rng.percent(20).then(|| Duration::from_secs(rng.between(1, 900))),
        fail_fast: rng.percent(15),
    };
    Dag::new(parts).expect("upstreams have lower numbers")
}

/// The same DAG with nothing that makes runs by itself.
pub fn without_schedule(dag: &Dag) -> Dag {
    let mut parts = dag.parts().clone();
    parts.timetable.schedule = Schedule::Manual;
    parts.max_consecutive_failed_runs = None;
    Dag::new(parts).expect("it was a DAG before")
}

fn random_task(dag: usize, no: usize, rng: &mut Rng) -> Task {
    let kind = match rng.below(100) {
        0..15 => TaskKind::Empty,
        15..27 if dag + 1 < DAGS => TaskKind::TriggerDag { wait_for_completion: rng.percent(60) },
        27..47 => TaskKind::Attempt(*rng.pick(&[ExecutorKind::Kubernetes, ExecutorKind::Spark])),
        _ => TaskKind::Attempt(ExecutorKind::Local),
    };
    let density = rng.between(0, 60);
    Task {
        id: TaskId::parse(&format!("t{no}")).expect("valid"),
        kind,
        upstream: (0..no as u32).filter(|_| rng.percent(density)).map(TaskNo).collect(),
        trigger_rule: if rng.percent(50) { TriggerRule::AllSuccess } else { *rng.pick(&TriggerRule::ALL) },
        retries: if rng.percent(50) { 0 } else { rng.between(1, 3) as u32 },
        retry_delay: Duration::from_secs(rng.between(0, 120)),
        retry_backoff: rng.percent(30).then_some(2.0),
        retry_delay_max: rng.percent(30).then_some(Duration::from_secs(200)),
        execution_timeout: None,
        pool: PoolName::parse(rng.pick::<&str>(&POOLS)).expect("valid"),
        pool_slots: number(rng.between(1, 2)),
        priority_weight: rng.between(0, 4) as i32,
        weight_rule: *rng.pick(&[WeightRule::Absolute, WeightRule::Downstream, WeightRule::Upstream]),
        max_active_per_dag: rng.percent(15).then(|| number(rng.between(1, 2))),
        max_active_per_run: None,
        start_date: None,
        end_date: None,
        skip_exit_codes: vec![99],
    }
}

fn random_timetable(start: Timestamp, rng: &mut Rng) -> Timetable {
    let minutes = |rng: &mut Rng, low, high| chrono::TimeDelta::minutes(rng.between(low, high) as i64);
    let schedule = match rng.below(10) {
        0..4 => Schedule::Manual,
        4 => Schedule::Once,
        5 => Schedule::Cron(vec![cron(rng.pick::<&str>(&["*/10 * * * *", "7 * * * *", "*/3 10-12 * * *"]))]),
        6 => Schedule::Interval(Duration::from_secs(rng.between(200, 2_000))),
        7 => {
            let mut dates: Vec<_> = (0..4).map(|_| start + minutes(rng, 0, 60)).collect();
            dates.sort_unstable();
            dates.dedup();
            Schedule::Dates(dates)
        }
        8 => Schedule::Continuous,
        _ => Schedule::Cron(vec![cron("*/30 * * * *"), cron("15 * * * *")]),
    };
    Timetable {
        schedule,
        timezone: *rng.pick(&[chrono_tz::UTC, chrono_tz::Europe::Berlin]),
        start_date: rng.percent(50).then(|| start - minutes(rng, 0, 90)),
        end_date: rng.percent(20).then(|| start + minutes(rng, 0, 60)),
        catchup: rng.percent(40),
    }
}

fn cron(text: &str) -> CronExpression {
    CronExpression { text: text.to_owned(), pattern: croner::Cron::from_str(text).expect("a constant") }
}

fn number(n: u64) -> NonZeroU32 {
    NonZeroU32::new(n as u32).expect("not 0")
}
