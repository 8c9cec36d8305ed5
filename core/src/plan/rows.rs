//! How decisions get into a plan: one net row per key, and every transition in order.

use rand_core::Rng;

use super::{Action, AttemptWrite, LaunchOrder, Need, Plan, RunWrite, TaskInstanceWrite, Transition, XcomWrite};
use crate::{
    attempt::{ExecutorKind, Output},
    id::{AttemptId, CommandId, RunKey, TaskInstanceKey, Timestamp},
    run::NewRun,
    state::{RunState, TaskState},
};

/// Where a row was put last; checked against the key before it is believed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RowHint(u32);

impl Plan {
    /// How many rows this turn writes so far.
    pub(crate) fn rows(&self) -> usize {
        let writes = &self.writes;
        writes.runs.len() + writes.new_runs.len() + writes.task_instances.len() + writes.attempts.len()
    }

    /// How many rows admission has added to those of the turn's events.
    pub(crate) fn admitted_rows(&self) -> usize {
        self.rows() - self.event_rows.unwrap_or(0)
    }

    pub(crate) fn new_run_key(&mut self, now: Timestamp) -> RunKey {
        RunKey(self.uuid(now))
    }

    pub(crate) fn new_attempt_id(&mut self, now: Timestamp) -> AttemptId {
        AttemptId(self.uuid(now))
    }

    /// Letters and digits, as Airflow's suffix of run ids without a logical date.
    pub(crate) fn random_suffix(&mut self) -> String {
        const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        (0..8).map(|_| char::from(LETTERS[self.ids.next_u32() as usize % LETTERS.len()])).collect()
    }

    /// A UUIDv7 of this instant; before 1970 counts as 1970.
    fn uuid(&mut self, now: Timestamp) -> uuid::Uuid {
        let mut random = [0; 10];
        self.ids.fill_bytes(&mut random);
        let millis = u64::try_from(now.timestamp_millis()).unwrap_or(0);
        uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
    }

    pub(crate) fn create_run(&mut self, new: NewRun) {
        let queued = &new.queued;
        self.run_ids.insert((queued.dag.clone(), queued.run_id.clone()));
        if let Some(date) = queued.logical_date {
            self.logical_dates.insert((queued.dag.clone(), date));
        }
        let row = RunWrite {
            key: queued.key,
            from: None,
            to: RunState::Queued,
            started_at: None,
            ended_at: None,
            reason: None,
        };
        self.run_rows.insert(queued.key, self.writes.runs.len());
        self.writes.transitions.push(Transition::Run { run: queued.key, from: None, to: RunState::Queued });
        self.writes.runs.push(row);
        self.writes.new_runs.push(new);
    }

    /// What this turn made of a run, if it did anything about it.
    pub(crate) fn run_state(&self, run: RunKey) -> Option<RunState> {
        self.run_rows.get(&run).map(|index| self.writes.runs[*index].to)
    }

    /// The row's `from` is the state just before this change; an earlier change in this turn keeps its own.
    pub(crate) fn put_run(&mut self, mut row: RunWrite) {
        let from = row.from.expect("a run is created by `create_run`");
        assert!(
            from.may_become(row.to),
            "run {}: illegal transition {} -> {}",
            row.key,
            from.as_str(),
            row.to.as_str()
        );
        self.writes.transitions.push(Transition::Run { run: row.key, from: row.from, to: row.to });
        match self.run_rows.get(&row.key) {
            Some(&index) => {
                row.from = self.writes.runs[index].from;
                self.writes.runs[index] = row;
            }
            None => {
                self.run_rows.insert(row.key, self.writes.runs.len());
                self.writes.runs.push(row);
            }
        }
    }

    pub(crate) fn put_task_instance(&mut self, hint: &mut RowHint, mut row: TaskInstanceWrite) {
        match row.from {
            Some(from) => assert!(
                from.may_become(row.to),
                "task instance {:?}: illegal transition {} -> {}",
                row.key,
                from.as_str(),
                row.to.as_str()
            ),
            None => assert!(
                matches!(row.to, TaskState::NoStatus | TaskState::Removed),
                "task instance {:?}: created as {}",
                row.key,
                row.to.as_str()
            ),
        }
        let transition =
            Transition::TaskInstance { key: row.key, from: row.from, to: row.to, try_number: row.try_number };
        self.writes.transitions.push(transition);
        let rows = &mut self.writes.task_instances;
        match rows.get_mut(hint.0 as usize).filter(|known| known.key == row.key) {
            Some(known) => {
                row.from = known.from;
                *known = row;
            }
            None => {
                *hint = RowHint(rows.len() as u32);
                rows.push(row);
            }
        }
    }

    /// A row whose state stays (a spec hash, a late start) is no transition.
    pub(crate) fn put_attempt(&mut self, hint: &mut RowHint, mut row: AttemptWrite) {
        if row.from != Some(row.to) {
            let legal = row.from.map_or(row.to == crate::AttemptState::Queued, |from| from.may_become(row.to));
            assert!(legal, "attempt {}: illegal transition {:?} -> {:?}", row.attempt, row.from, row.to);
            let transition = Transition::Attempt { run: row.run, attempt: row.attempt, from: row.from, to: row.to };
            self.writes.transitions.push(transition);
        }
        let rows = &mut self.writes.attempts;
        match rows.get_mut(hint.0 as usize).filter(|known| known.attempt == row.attempt) {
            Some(known) => {
                row.from = known.from;
                *known = row;
            }
            None => {
                *hint = RowHint(rows.len() as u32);
                rows.push(row);
            }
        }
    }

    pub(crate) fn put_return_value(&mut self, key: TaskInstanceKey, output: Output) {
        self.writes.xcoms.push(XcomWrite { key, name: "return_value".into(), output });
    }

    pub(crate) fn settle_command(&mut self, command: Option<CommandId>, outcome: Result<(), String>) {
        if let Some(command) = command {
            self.writes.commands.push((command, outcome));
        }
    }

    pub(crate) fn prepare(&mut self, order: LaunchOrder) {
        self.needs.push(Need::Prepare(order));
    }

    pub(crate) fn acknowledge(&mut self, run: RunKey, attempt: AttemptId, executor: Option<ExecutorKind>) {
        self.actions.push(Action::Acknowledge { run, attempt, executor });
    }
}
