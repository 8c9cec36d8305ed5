//! One helper touches the API: a run in some state and events go in, the plan comes out as text.
//!
//! ```text
//! dag fail_fast, max_active_tasks=2       options of the DAG (may be left out)
//! extract            : running            a task and the state of its instance (default none)
//! load <- extract    ; one_failed, retries=2, pool=warehouse, slots=2
//! gate <- load       ; empty
//! ```

#![expect(dead_code, reason = "every test file uses its own part of this")]

pub mod stage;

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use gridflow_core::{
    ActiveRunRow, Answer, AttemptId, AttemptOutcome, AttemptRow, AttemptState, Dag, DagId, DagParts, DagRow,
    DagVersionId, Event, ExecutorKind, MapIndex, Need, Plan, PoolName, PoolRow, QueuedRun, RecoveryRows, RunId, RunKey,
    RunState, RunType, Schedule, ScheduleCursor, Task, TaskId, TaskInstanceKey, TaskInstanceRow, TaskKind, TaskNo,
    TaskState, Timestamp, Timetable, TriggerRule, TryNumber, Turn, Usage, WeightRule, World, WorldConfig, admit,
    recover, step,
};
use uuid::Uuid;

pub const NOW: &str = "2025-06-01T12:00:00Z";

pub fn now() -> Timestamp {
    NOW.parse().expect("a constant")
}

/// A DAG, one run of it, and the text of what each event makes.
pub struct Fixture {
    pub world: World,
    pub dag: Arc<Dag>,
    pub now: Timestamp,
    turn: i64,
}

/// What one event makes of a run in this state.
pub fn plan_of(tasks: &str, event: &str) -> String {
    Fixture::new(tasks).turn(event)
}

impl Fixture {
    pub fn new(tasks: &str) -> Self {
        Self::with_config(tasks, WorldConfig::default())
    }

    pub fn with_config(tasks: &str, config: WorldConfig) -> Self {
        let (dag, states) = parse_dag(tasks);
        let dag = Arc::new(dag);
        let rows = rows_of(&dag, &states);
        let (mut world, plan) = recover(rows, config, now());
        assert_eq!(plan.seal().writes().task_instances, vec![]);
        // What was ready already in the fixture is admitted before the event that is looked at.
        let mut fixture = Plan::begin(Turn(1), 1);
        admit(&mut world, now(), &mut fixture);
        answer_all(&mut world, now(), &mut fixture);
        Self { world, dag, now: now(), turn: 1 }
    }

    pub fn turn(&mut self, event: &str) -> String {
        self.turn += 1;
        let mut plan = Plan::begin(Turn(self.turn), self.turn as u64);
        let event = self.parse_event(event);
        step(&mut self.world, event, self.now, &mut plan);
        admit(&mut self.world, self.now, &mut plan);
        answer_all(&mut self.world, self.now, &mut plan);
        self.render(plan)
    }

    pub fn key(&self, task: &str) -> TaskInstanceKey {
        let task_no = self.dag.task_no(task).expect("a task of the fixture");
        TaskInstanceKey { run: run_key(), task_no, map_index: MapIndex::UNMAPPED }
    }

    fn parse_event(&mut self, text: &str) -> Event {
        let (subject, what) = text.split_once(' ').unwrap_or((text, ""));
        if subject == "cancel" {
            return Event::CancelRun { run: run_key(), command: None };
        }
        if subject == "after" {
            self.now += chrono::TimeDelta::seconds(what.parse().expect("seconds"));
            return Event::TimersDue;
        }
        let attempt = self.attempt_of(subject);
        let outcome = match what {
            "started" => {
                return Event::AttemptStarted { run: run_key(), attempt, at: self.now, pid: Some(7), place: None };
            }
            "succeeded" => AttemptOutcome::Exited { code: 0 },
            "failed" => AttemptOutcome::Exited { code: 1 },
            "skipped" => AttemptOutcome::Exited { code: 99 },
            "lost" => AttemptOutcome::Lost { reason: "its host died".to_owned() },
            "timed out" => AttemptOutcome::TimedOut,
            "canceled" => AttemptOutcome::Canceled,
            "never started" => AttemptOutcome::NeverStarted,
            other => panic!("unknown event `{other}`"),
        };
        let usage = Usage::default();
        Event::AttemptFinished { run: run_key(), attempt, at: self.now, outcome, usage, output: None }
    }

    fn attempt_of(&self, task: &str) -> AttemptId {
        self.world.attempt_of(self.key(task)).unwrap_or_else(|| panic!("`{task}` has no open attempt"))
    }

    fn render(&self, plan: Plan) -> String {
        let sealed = plan.seal();
        let mut out = Vec::new();
        for row in &sealed.writes().task_instances {
            let from = row.from.map_or("new", TaskState::as_str);
            let mut line = format!("{}: {from} -> {}", self.dag.task(row.key.task_no).id, row.to.as_str());
            if let Some(at) = row.retry_at {
                line += &format!(" (retry in {} s)", (at - self.now).num_seconds());
            }
            if let (TaskState::Failed, Some(reason)) = (row.to, &row.reason) {
                line += &format!(" ({reason})");
            }
            out.push(line);
        }
        for row in &sealed.writes().attempts {
            let from = row.from.map_or("new", AttemptState::as_str);
            let task = &self.dag.task(row.task_no).id;
            out.push(format!("attempt {task} {}: {from} -> {}", row.try_number, row.to.as_str()));
        }
        for row in &sealed.writes().runs {
            let from = row.from.map_or("new", RunState::as_str);
            let reason = row.reason.as_ref().map_or(String::new(), |reason| format!(" ({reason})"));
            out.push(format!("run: {from} -> {}{reason}", row.to.as_str()));
        }
        if out.is_empty() { "nothing".to_owned() } else { out.join("\n") }
    }
}

/// Answers every need as a shell does whose templates always render.
pub fn answer_all(world: &mut World, now: Timestamp, plan: &mut Plan) {
    loop {
        let needs = plan.take_needs();
        if needs.is_empty() {
            return;
        }
        for need in needs {
            let answer = match need {
                Need::Prepare(order) => {
                    Answer::Prepared { run: order.key.run, attempt: order.attempt, spec_hash: [1; 32] }
                }
                Need::Taken { dag, .. } => Answer::Taken { dag, logical_dates: vec![], run_ids: vec![] },
                Need::Version { version } => {
                    Answer::Version { version, definition: Err("its files are gone".to_owned()) }
                }
                Need::Child { parent, .. } => Answer::Child { parent, request: Err("no such DAG".to_owned()) },
            };
            step(world, Event::Answer(answer), now, plan);
        }
        admit(world, now, plan);
    }
}

pub fn run_key() -> RunKey {
    RunKey(Uuid::from_u128(0x100))
}

pub fn version() -> DagVersionId {
    DagVersionId(Uuid::from_u128(0x200))
}

pub fn queued_run(dag: &Dag) -> QueuedRun {
    QueuedRun {
        key: run_key(),
        dag: dag.id().clone(),
        version: version(),
        run_id: RunId::parse("manual__1").expect("valid"),
        run_type: RunType::Manual,
        logical_date: None,
        data_interval: None,
        run_after: now(),
    }
}

pub fn rows_of(dag: &Arc<Dag>, states: &[TaskState]) -> RecoveryRows {
    let attempt_id = |task_no: TaskNo| AttemptId(Uuid::from_u128(0x300 + u128::from(task_no.0)));
    let key = |task_no: TaskNo| TaskInstanceKey { run: run_key(), task_no, map_index: MapIndex::UNMAPPED };
    let is_open = |state: TaskState| matches!(state, TaskState::Queued | TaskState::Running);
    let mut task_instances = Vec::new();
    let mut open_attempts = Vec::new();
    for ((task_no, task), &state) in dag.tasks().zip(states) {
        let tries = u32::from(!matches!(state, TaskState::NoStatus));
        task_instances.push(TaskInstanceRow {
            key: key(task_no),
            state,
            try_number: TryNumber(tries),
            tries_max: task.retries,
            attempt: is_open(state).then(|| attempt_id(task_no)),
            scheduled_at: None,
            queued_at: None,
            started_at: None,
            ended_at: None,
            retry_at: (state == TaskState::UpForRetry).then(|| now() + chrono::TimeDelta::seconds(60)),
            wait: None,
            reason: None,
            losses: 0,
        });
        if is_open(state) {
            open_attempts.push(AttemptRow {
                attempt: attempt_id(task_no),
                key: key(task_no),
                try_number: TryNumber(tries),
                state: if state == TaskState::Queued { AttemptState::Queued } else { AttemptState::Running },
                executor: ExecutorKind::Local,
                binding: None,
                claim: None,
                place: None,
                queued_turn: Turn(0),
                spec_hash: Some([0; 32]),
                queued_at: now(),
                started_at: (state == TaskState::Running).then(now),
                pid: None,
            });
        }
    }
    let run = ActiveRunRow {
        run: queued_run(dag),
        state: RunState::Running,
        started_at: Some(now()),
        ended_at: None,
        reason: None,
        task_instances,
        open_attempts,
    };
    RecoveryRows {
        dags: vec![DagRow {
            dag: dag.id().clone(),
            current: Some((version(), dag.clone())),
            is_paused: false,
            cursor: ScheduleCursor::default(),
            queued_count: 0,
            finished: vec![],
        }],
        versions: vec![],
        pools: vec![PoolRow { pool: PoolName::default_pool(), slots: Some(128) }],
        runs: vec![run],
        queued: vec![],
        aside: vec![],
    }
}

pub fn parse_dag(text: &str) -> (Dag, Vec<TaskState>) {
    let mut parts = DagParts {
        id: DagId::parse("d").expect("valid"),
        tasks: vec![],
        timetable: manual(),
        is_paused_at_creation: false,
        max_active_runs: NonZeroU32::new(16).expect("not 0"),
        max_active_tasks: NonZeroU32::new(16).expect("not 0"),
        max_consecutive_failed_runs: None,
        dagrun_timeout: None,
        fail_fast: false,
    };
    let mut states = Vec::new();
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let names: Vec<String> = lines.iter().filter(|line| !line.starts_with("dag ")).map(|line| name_of(line)).collect();
    for line in lines {
        if let Some(options) = line.strip_prefix("dag ") {
            options.split(',').for_each(|option| dag_option(&mut parts, option.trim()));
            continue;
        }
        let (line, options) = line.split_once(';').unwrap_or((line, ""));
        let (line, state) = line.split_once(':').unwrap_or((line, "none"));
        let (name, needs) = line.split_once("<-").unwrap_or((line, ""));
        let upstream = needs.split(',').map(str::trim).filter(|need| !need.is_empty());
        let number = |need: &str| names.iter().position(|name| name == need).expect("a known upstream");
        let mut task = task(name.trim(), upstream.map(|need| TaskNo(number(need) as u32)).collect());
        options.split(',').map(str::trim).filter(|o| !o.is_empty()).for_each(|o| task_option(&mut task, o));
        parts.tasks.push(task);
        states.push(TaskState::parse(state.trim()).expect("a state"));
    }
    (Dag::new(parts).expect("a DAG"), states)
}

pub fn manual() -> Timetable {
    Timetable { schedule: Schedule::Manual, timezone: chrono_tz::UTC, start_date: None, end_date: None, catchup: false }
}

pub fn task(name: &str, upstream: Vec<TaskNo>) -> Task {
    Task {
        id: TaskId::parse(name).expect("a task id"),
        kind: TaskKind::Attempt(ExecutorKind::Local),
        upstream,
        trigger_rule: TriggerRule::AllSuccess,
        retries: 0,
        retry_delay: Duration::from_secs(300),
        retry_backoff: None,
        retry_delay_max: None,
        execution_timeout: None,
        pool: PoolName::default_pool(),
        pool_slots: NonZeroU32::MIN,
        priority_weight: 1,
        weight_rule: WeightRule::Absolute,
        max_active_per_dag: None,
        max_active_per_run: None,
        start_date: None,
        end_date: None,
        skip_exit_codes: vec![99],
    }
}

fn name_of(line: &str) -> String {
    let end = line.find([':', ';', '<']).unwrap_or(line.len());
    line[..end].trim().to_owned()
}

fn dag_option(parts: &mut DagParts, option: &str) {
    let (name, value) = option.split_once('=').unwrap_or((option, ""));
    match name {
        "fail_fast" => parts.fail_fast = true,
        "max_active_tasks" => parts.max_active_tasks = value.parse().expect("a number"),
        "max_active_runs" => parts.max_active_runs = value.parse().expect("a number"),
        "dagrun_timeout" => parts.dagrun_timeout = Some(Duration::from_secs(value.parse().expect("seconds"))),
        "max_consecutive_failed_runs" => {
            parts.max_consecutive_failed_runs = Some(value.parse().expect("a number"));
        }
        other => panic!("unknown option `{other}`"),
    }
}

fn task_option(task: &mut Task, option: &str) {
    let (name, value) = option.split_once('=').unwrap_or((option, ""));
    match name {
        "empty" => task.kind = TaskKind::Empty,
        "trigger" => task.kind = TaskKind::TriggerDag { wait_for_completion: value == "wait" },
        "retries" => task.retries = value.parse().expect("a number"),
        "delay" => task.retry_delay = Duration::from_secs(value.parse().expect("seconds")),
        "backoff" => task.retry_backoff = Some(value.parse().expect("a number")),
        "pool" => task.pool = PoolName::parse(value).expect("a pool"),
        "slots" => task.pool_slots = value.parse().expect("a number"),
        "weight" => task.priority_weight = value.parse().expect("a number"),
        "max_active_per_dag" => task.max_active_per_dag = Some(value.parse().expect("a number")),
        rule => task.trigger_rule = TriggerRule::parse(rule).unwrap_or_else(|| panic!("unknown option `{rule}`")),
    }
}
