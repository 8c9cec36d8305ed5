//! The database against a map: any sequence of writes leaves both with the same rows, every column of them.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use gridflow_core::{
    ActiveRunRow, AttemptId, AttemptRow, AttemptState, AttemptWrite, ExecutorKind, MapIndex, NewRun, NodeBinding,
    NodeId, RunKey, RunState, RunWrite, TaskInstanceKey, TaskInstanceRow, TaskInstanceWrite, TaskNo, TaskState,
    Timestamp, TryNumber, Turn, Writes,
};

use super::fixture::*;
use crate::recovery::{self, Limits};

const TURNS: u64 = 60;
const SEEDS: [u64; 3] = [1, 2, 3];

/// What the tables hold, as the writes say.
#[derive(Default)]
struct Model {
    runs: BTreeMap<RunKey, (NewRun, RunWrite)>,
    task_instances: BTreeMap<TaskInstanceKey, TaskInstanceWrite>,
    attempts: BTreeMap<(RunKey, AttemptId), AttemptWrite>,
}

impl Model {
    fn apply(&mut self, writes: &Writes) {
        for run in &writes.new_runs {
            let write = writes.runs.iter().find(|write| write.key == run.queued.key).unwrap();
            self.runs.insert(run.queued.key, (run.clone(), write.clone()));
        }
        for write in &writes.runs {
            self.runs.get_mut(&write.key).unwrap().1 = write.clone();
        }
        self.task_instances.extend(writes.task_instances.iter().map(|write| (write.key, write.clone())));
        self.attempts.extend(writes.attempts.iter().map(|write| ((write.run, write.attempt), write.clone())));
    }

    /// What recovery must find.
    fn active(&self) -> Vec<ActiveRunRow> {
        let rows = self.runs.values().map(|(run, write)| ActiveRunRow {
            run: run.queued.clone(),
            state: write.to,
            started_at: write.started_at,
            ended_at: write.ended_at,
            reason: write.reason.clone(),
            task_instances: self.task_instances_of(write.key),
            open_attempts: self.open_attempts_of(write.key),
        });
        rows.filter(|row| row.state == RunState::Running || !row.open_attempts.is_empty()).collect()
    }

    fn task_instances_of(&self, run: RunKey) -> Vec<TaskInstanceRow> {
        let rows = self.task_instances.values().filter(|write| write.key.run == run).map(|write| TaskInstanceRow {
            key: write.key,
            state: write.to,
            try_number: write.try_number,
            tries_max: write.tries_max,
            attempt: write.attempt,
            scheduled_at: write.scheduled_at,
            queued_at: write.queued_at,
            started_at: write.started_at,
            ended_at: write.ended_at,
            retry_at: write.retry_at,
            wait: write
                .waits_for_run
                .map(|run| gridflow_core::WaitRow { run, state: self.runs.get(&run).map(|(_, write)| write.to) }),
            reason: write.reason.clone(),
            losses: write.losses,
        });
        rows.collect()
    }

    fn open_attempts_of(&self, run: RunKey) -> Vec<AttemptRow> {
        let open = self.attempts.values().filter(|write| write.run == run && write.to != AttemptState::Closed);
        let rows = open.map(|write| AttemptRow {
            attempt: write.attempt,
            key: TaskInstanceKey { run, task_no: write.task_no, map_index: write.map_index },
            try_number: write.try_number,
            state: write.to,
            executor: write.executor,
            binding: write.binding.clone(),
            claim: write.claim.clone(),
            place: write.place.clone(),
            queued_turn: write.queued_turn,
            spec_hash: write.spec_hash,
            queued_at: write.queued_at,
            started_at: write.started_at,
            pid: write.pid,
        });
        rows.collect()
    }
}

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) % sides
    }

    fn maybe<T>(&mut self, value: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (self.roll(3) != 0).then(|| value(self))
    }

    fn pick<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.roll(values.len() as u64) as usize]
    }

    fn instant(&mut self) -> Timestamp {
        now() + TimeDelta::microseconds(self.roll(1 << 40) as i64)
    }

    fn text(&mut self) -> String {
        format!("{{\"x\", NULL}} \\ 'ü' {}", self.roll(1_000))
    }
}

fn turn(dice: &mut Dice, model: &Model, n: u64) -> Writes {
    let mut writes = Writes::default();
    for place in 0..dice.roll(3) {
        let run = new_run(n * 10 + place);
        writes.runs.push(random_run(dice, run.queued.key, None));
        writes.new_runs.push(run);
    }
    for (_, before) in model.runs.values() {
        if dice.roll(4) == 0 {
            writes.runs.push(random_run(dice, before.key, Some(before.to)));
        }
    }
    let runs: Vec<RunKey> = writes.runs.iter().map(|write| write.key).chain(model.runs.keys().copied()).collect();
    for run in runs {
        random_task_instances(dice, model, &mut writes, run);
        random_attempts(dice, model, &mut writes, run);
    }
    writes
}

fn random_run(dice: &mut Dice, key: RunKey, from: Option<RunState>) -> RunWrite {
    RunWrite {
        key,
        from,
        to: dice.pick(&RunState::ALL),
        started_at: dice.maybe(Dice::instant),
        ended_at: dice.maybe(Dice::instant),
        reason: dice.maybe(Dice::text),
    }
}

fn random_task_instances(dice: &mut Dice, model: &Model, writes: &mut Writes, run: RunKey) {
    for _ in 0..dice.roll(3) {
        let map_index = MapIndex(dice.roll(3) as i32 - 1);
        let key = TaskInstanceKey { run, task_no: TaskNo(dice.roll(4) as u32), map_index };
        if writes.task_instances.iter().any(|write| write.key == key) {
            continue;
        }
        let write = TaskInstanceWrite {
            key,
            from: model.task_instances.get(&key).map(|before| before.to),
            to: dice.pick(&TaskState::ALL),
            try_number: TryNumber(dice.roll(9) as u32),
            tries_max: dice.roll(9) as u32,
            attempt: dice.maybe(|dice| AttemptId(uuid(dice.roll(1 << 30)))),
            scheduled_at: dice.maybe(Dice::instant),
            queued_at: dice.maybe(Dice::instant),
            started_at: dice.maybe(Dice::instant),
            ended_at: dice.maybe(Dice::instant),
            retry_at: dice.maybe(Dice::instant),
            waits_for_run: dice.maybe(|dice| RunKey(uuid(dice.roll(40)))),
            reason: dice.maybe(Dice::text),
            losses: dice.roll(5) as u32,
        };
        writes.task_instances.push(write);
    }
}

fn random_attempts(dice: &mut Dice, model: &Model, writes: &mut Writes, run: RunKey) {
    for _ in 0..dice.roll(2) {
        let attempt = AttemptId(uuid(dice.roll(3)));
        if writes.attempts.iter().any(|write| (write.run, write.attempt) == (run, attempt)) {
            continue;
        }
        let before = model.attempts.get(&(run, attempt));
        // What identifies an attempt never changes; the rest may.
        let identity = before.cloned().unwrap_or_else(|| AttemptWrite {
            run,
            attempt,
            task_no: TaskNo(dice.roll(5) as u32),
            map_index: MapIndex(dice.roll(5) as i32 - 1),
            try_number: TryNumber(dice.roll(5) as u32),
            executor: ExecutorKind::Local,
            claim: None,
            place: None,
            queued_turn: Turn(dice.roll(1 << 40) as i64),
            queued_at: dice.instant(),
            ..attempt_write(0, 0, None, AttemptState::Queued)
        });
        writes.attempts.push(AttemptWrite {
            from: before.map(|before| before.to),
            to: dice.pick(&AttemptState::ALL),
            binding: dice.maybe(|dice| NodeBinding { node: NodeId(uuid(dice.roll(9))), boot: dice.text().into() }),
            spec_hash: dice.maybe(|dice| [dice.roll(256) as u8; 32]),
            started_at: dice.maybe(Dice::instant),
            ended_at: dice.maybe(Dice::instant),
            pid: dice.maybe(|dice| dice.roll(u64::from(u32::MAX)) as u32),
            ..identity
        });
    }
}

#[tokio::test]
async fn any_sequence_of_turns_leaves_the_database_as_the_model() {
    for seed in SEEDS {
        let fixture = fixture().await;
        let mut leader = fixture.leader().await;
        let (mut dice, mut model) = (Dice(seed), Model::default());
        for n in 1..=TURNS {
            let writes = turn(&mut dice, &model, n);
            leader
                .write_turn(&writes, &[], now())
                .await
                .unwrap_or_else(|error| panic!("seed {seed}, turn {n}: {error}"));
            model.apply(&writes);
            if n % 20 == 0 {
                let rows = recovery::read(&mut leader, Limits::default()).await.unwrap();
                assert_eq!(rows.quarantined, [], "seed {seed}, turn {n}");
                assert_same(&rows.runs, &model.active(), seed, n);
            }
        }
    }
}

fn assert_same(found: &[ActiveRunRow], expected: &[ActiveRunRow], seed: u64, turn: u64) {
    assert!(!expected.is_empty());
    assert_eq!(found.len(), expected.len(), "seed {seed}, turn {turn}");
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(format!("{found:#?}"), format!("{expected:#?}"), "seed {seed}, turn {turn}");
    }
}
