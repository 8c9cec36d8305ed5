//! The database: tables as maps, a commit that guards every row as SQL does, and the rows of recovery.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use gridflow_core::{
    ActiveRunRow, AttemptId, AttemptRow, AttemptState, AttemptWrite, CommandId, Committed, Dag, DagId, DagRow,
    DagVersionId, Epoch, Event, EventId, EventOutcome, FinishedRunRow, InboxId, PoolName, PoolRow, QueuedRun,
    RecoveryRows, RunId, RunKey, RunState, ScheduleCursor, SealedPlan, TaskInstanceKey, TaskInstanceRow,
    TaskInstanceWrite, TaskNo, TaskState, Timestamp, Transition, Turn, WaitRow, Writes,
};

use crate::Mutation;

#[derive(Default)]
pub struct Db {
    pub epoch: i64,
    pub turn: i64,
    pub dags: BTreeMap<DagId, DagRec>,
    pub versions: BTreeMap<DagVersionId, Arc<Dag>>,
    pub pools: BTreeMap<PoolName, Option<u32>>,
    pub runs: BTreeMap<RunKey, RunRec>,
    pub tis: BTreeMap<(RunKey, TaskNo), TaskInstanceWrite>,
    pub attempts: BTreeMap<AttemptId, AttemptWrite>,
    pub events: BTreeMap<EventId, EventRec>,
    pub inbox: BTreeMap<InboxId, Inbox>,
    pub commands: BTreeMap<CommandId, Option<Result<(), String>>>,
    pub queued_max: usize,
    pub next_id: i64,
    /// What a reader that trusts in the order of ids would remember.
    pub inbox_highest: i64,
}

pub struct DagRec {
    pub current: Option<DagVersionId>,
    pub is_paused: bool,
    pub cursor: ScheduleCursor,
}

pub struct RunRec {
    pub queued: QueuedRun,
    pub state: RunState,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub reason: Option<String>,
    pub events: Vec<EventId>,
}

pub struct EventRec {
    pub dag: DagId,
    pub run_id: Option<RunId>,
    pub outcome: Option<EventOutcome>,
}

#[derive(Clone)]
pub enum Inbox {
    RunQueued(RunKey),
    Pause(CommandId, DagId, bool),
    Cancel(CommandId, RunKey),
    /// What a node without the leader has to say.
    Report(Event),
}

pub enum CommitError {
    /// Another leader took over.
    Fenced,
    /// A unique constraint: somebody's run came first. The turn rolls back and the leader recovers.
    Unique(String),
    /// A guard that no history may hit.
    Broken(String),
}

impl Db {
    pub fn put_inbox(&mut self, row: Inbox) {
        self.next_id += 1;
        self.inbox.insert(InboxId(self.next_id), row);
    }

    /// What a request of the API does in its own transaction.
    pub fn insert_queued(&mut self, run: QueuedRun) -> Result<(), String> {
        self.check_unique(&run)?;
        self.put_inbox(Inbox::RunQueued(run.key));
        let rec = RunRec {
            queued: run,
            state: RunState::Queued,
            started_at: None,
            ended_at: None,
            reason: None,
            events: vec![],
        };
        self.runs.insert(rec.queued.key, rec);
        Ok(())
    }

    pub fn taken(&self, dag: &DagId, dates: &[Timestamp], ids: &[RunId]) -> (Vec<Timestamp>, Vec<RunId>) {
        let runs: Vec<_> = self.runs.values().filter(|run| run.queued.dag == *dag).collect();
        let has_date = |date: &Timestamp| runs.iter().any(|run| run.queued.logical_date == Some(*date));
        let has_id = |id: &RunId| runs.iter().any(|run| run.queued.run_id == *id);
        (
            dates.iter().filter(|date| has_date(date)).copied().collect(),
            ids.iter().filter(|id| has_id(id)).cloned().collect(),
        )
    }

    /// The first queued runs of a DAG behind a key.
    pub fn queued_after(
        &self,
        dag: &DagId,
        after: Option<(Timestamp, RunKey)>,
        limit: usize,
    ) -> (Vec<QueuedRun>, bool) {
        let mut runs: Vec<&QueuedRun> = self
            .runs
            .values()
            .filter(|run| run.queued.dag == *dag && run.state == RunState::Queued)
            .map(|run| &run.queued)
            .filter(|run| after < Some((run.run_after, run.key)))
            .collect();
        runs.sort_by_key(|run| (run.run_after, run.key));
        let has_more = limit < runs.len();
        (runs.into_iter().take(limit).cloned().collect(), has_more)
    }

    fn check_unique(&self, run: &QueuedRun) -> Result<(), String> {
        let (dates, ids) =
            self.taken(&run.dag, &run.logical_date.into_iter().collect::<Vec<_>>(), std::slice::from_ref(&run.run_id));
        if dates.is_empty() && ids.is_empty() { Ok(()) } else { Err(format!("{} {dates:?} {ids:?}", run.dag)) }
    }

    /// One transaction: the fence, every guard, then all rows or none.
    pub fn commit(
        &mut self,
        epoch: i64,
        turn: Turn,
        plan: &SealedPlan,
        consumed: &[InboxId],
        mutation: Mutation,
    ) -> Result<Committed, CommitError> {
        if self.epoch != epoch && mutation != Mutation::NoFence {
            return Err(CommitError::Fenced);
        }
        let writes = plan.writes();
        for new in &writes.new_runs {
            self.check_unique(&new.queued).map_err(CommitError::Unique)?;
        }
        self.check_guards(writes, turn).map_err(CommitError::Broken)?;
        self.check_log(writes).map_err(CommitError::Broken)?;
        self.apply(writes, consumed, mutation);
        self.turn = turn.0;
        Ok(Committed { epoch: Epoch(epoch), turn })
    }

    fn check_guards(&self, writes: &Writes, turn: Turn) -> Result<(), String> {
        if turn.0 <= self.turn {
            return Err(format!("turn {turn} after turn {}", self.turn));
        }
        let mut seen = BTreeSet::new();
        for row in &writes.runs {
            let is_new = writes.new_runs.iter().any(|new| new.queued.key == row.key);
            let known = self.runs.get(&row.key).map(|run| run.state);
            let fits =
                if is_new { known.is_none() && row.from.is_none() } else { known.is_some() && known == row.from };
            if !fits || !seen.insert((row.key, None, None)) {
                return Err(format!("run row {row:?}, the table has {known:?}"));
            }
        }
        for row in &writes.task_instances {
            let known = self.tis.get(&(row.key.run, row.key.task_no)).map(|ti| ti.to);
            if known != row.from || !seen.insert((row.key.run, Some(row.key.task_no), None)) {
                return Err(format!("task instance row {row:?}, the table has {known:?}"));
            }
        }
        for row in &writes.attempts {
            let known = self.attempts.get(&row.attempt).map(|attempt| attempt.to);
            if known != row.from || !seen.insert((row.run, None, Some(row.attempt))) {
                return Err(format!("attempt row {row:?}, the table has {known:?}"));
            }
        }
        for row in &writes.events {
            match self.events.get(&row.event) {
                Some(EventRec { outcome: None, .. }) => {}
                Some(_) => return Err(format!("ONE-RUN: event {} has an outcome already", row.event)),
                None => return Err(format!("event {} does not exist", row.event)),
            }
        }
        for (command, _) in &writes.commands {
            if !matches!(self.commands.get(command), Some(None)) {
                return Err(format!("command {command} is not open"));
            }
        }
        Ok(())
    }

    /// LEGAL: the log leads from the tables' rows to the turn's rows, one allowed step after another.
    fn check_log(&self, writes: &Writes) -> Result<(), String> {
        let mut runs: BTreeMap<RunKey, RunState> = BTreeMap::new();
        let mut tis: BTreeMap<TaskInstanceKey, TaskState> = BTreeMap::new();
        let mut attempts: BTreeMap<AttemptId, AttemptState> = BTreeMap::new();
        for transition in &writes.transitions {
            let (fits, is_legal) = match *transition {
                Transition::Run { run, from, to } => {
                    let known = runs.insert(run, to).or_else(|| self.runs.get(&run).map(|run| run.state));
                    (known == from, from.is_none_or(|from| from.may_become(to)))
                }
                Transition::TaskInstance { key, from, to, .. } => {
                    let table = self.tis.get(&(key.run, key.task_no)).map(|ti| ti.to);
                    let known = tis.insert(key, to).or(table);
                    (known == from, from.is_none_or(|from| from.may_become(to)))
                }
                Transition::Attempt { attempt, from, to, .. } => {
                    let table = self.attempts.get(&attempt).map(|attempt| attempt.to);
                    let known = attempts.insert(attempt, to).or(table);
                    (known == from, from.is_none_or(|from| from.may_become(to)))
                }
            };
            if !fits || !is_legal {
                return Err(format!("LEGAL: {transition:?} does not follow"));
            }
        }
        let lasts_agree = writes.runs.iter().all(|row| runs.get(&row.key).is_none_or(|last| *last == row.to))
            && writes.task_instances.iter().all(|row| tis.get(&row.key) == Some(&row.to))
            && writes.attempts.iter().all(|row| attempts.get(&row.attempt).is_none_or(|last| *last == row.to))
            && tis.len() == writes.task_instances.len()
            && runs.len() == writes.runs.len();
        if lasts_agree { Ok(()) } else { Err("LEGAL: the log does not end at the rows".to_owned()) }
    }

    fn apply(&mut self, writes: &Writes, consumed: &[InboxId], mutation: Mutation) {
        for new in &writes.new_runs {
            let rec = RunRec {
                queued: new.queued.clone(),
                state: RunState::Queued,
                started_at: None,
                ended_at: None,
                reason: None,
                events: new.events.clone(),
            };
            self.runs.insert(new.queued.key, rec);
        }
        for row in &writes.runs {
            let run = self.runs.get_mut(&row.key).expect("guarded");
            run.state = row.to;
            run.started_at = row.started_at;
            run.ended_at = row.ended_at;
            run.reason.clone_from(&row.reason);
        }
        let skip_last = usize::from(mutation == Mutation::LosesRow && 3 < writes.task_instances.len());
        for row in writes.task_instances.iter().rev().skip(skip_last) {
            self.tis.insert((row.key.run, row.key.task_no), row.clone());
        }
        for row in &writes.attempts {
            self.attempts.insert(row.attempt, row.clone());
        }
        for row in &writes.events {
            self.events.get_mut(&row.event).expect("guarded").outcome = Some(row.outcome.clone());
        }
        for row in &writes.cursors {
            self.dags.get_mut(&row.dag).expect("cursors are of known DAGs").cursor = row.cursor;
        }
        for (dag, is_paused) in &writes.paused {
            self.dags.get_mut(dag).expect("known").is_paused = *is_paused;
        }
        for (command, outcome) in &writes.commands {
            self.commands.insert(*command, Some(outcome.clone()));
        }
        for id in consumed {
            self.inbox.remove(id);
        }
    }

    pub fn open_attempts(&self) -> impl Iterator<Item = &AttemptWrite> {
        self.attempts.values().filter(|attempt| attempt.to != AttemptState::Closed)
    }

    /// What a new leader reads.
    pub fn recovery_rows(&self, mutation: Mutation) -> RecoveryRows {
        let mut rows = RecoveryRows::default();
        let mut open: BTreeMap<RunKey, Vec<AttemptRow>> = BTreeMap::new();
        for attempt in self.open_attempts().filter(|_| mutation != Mutation::ForgetsOpenAttempts) {
            open.entry(attempt.run).or_default().push(attempt_row(attempt));
        }
        let is_active = |run: &RunRec| run.state == RunState::Running || open.contains_key(&run.queued.key);
        let active: Vec<&RunRec> = self.runs.values().filter(|run| is_active(run)).collect();
        for run in active {
            let version = run.queued.version;
            rows.versions.push((version, Ok(self.versions[&version].clone())));
            rows.runs.push(ActiveRunRow {
                run: run.queued.clone(),
                state: run.state,
                started_at: run.started_at,
                ended_at: run.ended_at,
                reason: run.reason.clone(),
                task_instances: self.ti_rows(run.queued.key, mutation),
                open_attempts: open.remove(&run.queued.key).unwrap_or_default(),
            });
        }
        for (dag, rec) in &self.dags {
            let (queued, _) = self.queued_after(dag, None, self.queued_max);
            rows.dags.push(DagRow {
                dag: dag.clone(),
                current: rec.current.map(|version| (version, self.versions[&version].clone())),
                is_paused: rec.is_paused,
                cursor: rec.cursor,
                queued_count: self.queued_after(dag, None, usize::MAX).0.len() as u64,
                finished: self.finished(dag, rec),
            });
            rows.queued.extend(queued);
        }
        rows.pools = self.pools.iter().map(|(pool, slots)| PoolRow { pool: pool.clone(), slots: *slots }).collect();
        rows
    }

    fn finished(&self, dag: &DagId, rec: &DagRec) -> Vec<FinishedRunRow> {
        let version = rec.current.map(|version| &self.versions[&version]);
        let max = version.and_then(|version| version.parts().max_consecutive_failed_runs).map_or(0, |max| max.get());
        let mut runs: Vec<_> = self
            .runs
            .values()
            .filter(|run| run.queued.dag == *dag && run.state.is_finished())
            .map(|run| FinishedRunRow { run: run.queued.key, run_after: run.queued.run_after, state: run.state })
            .collect();
        runs.sort_by_key(|run| std::cmp::Reverse((run.run_after, run.run)));
        runs.truncate(max as usize);
        runs
    }

    fn ti_rows(&self, run: RunKey, mutation: Mutation) -> Vec<TaskInstanceRow> {
        let of_run = self.tis.range((run, TaskNo(0))..=(run, TaskNo(u32::MAX)));
        of_run
            .map(|(_, ti)| TaskInstanceRow {
                key: ti.key,
                state: ti.to,
                try_number: ti.try_number,
                tries_max: ti.tries_max,
                attempt: ti.attempt,
                scheduled_at: ti.scheduled_at,
                queued_at: ti.queued_at,
                started_at: ti.started_at,
                ended_at: ti.ended_at,
                retry_at: ti.retry_at.filter(|_| mutation != Mutation::ForgetsRetries),
                wait: ti.waits_for_run.map(|run| WaitRow { run, state: self.runs.get(&run).map(|run| run.state) }),
                reason: ti.reason.clone(),
                losses: ti.losses,
            })
            .collect()
    }

    /// An inbox row as the shell turns it into events.
    pub fn events_of(&self, row: &Inbox) -> Vec<Event> {
        let queued = |run: &RunKey| {
            let run = &self.runs[run];
            (run.state == RunState::Queued).then(|| Event::RunQueued(run.queued.clone()))
        };
        match row {
            Inbox::RunQueued(run) => queued(run).into_iter().collect(),
            Inbox::Pause(command, dag, is_paused) => {
                vec![Event::DagPaused { dag: dag.clone(), is_paused: *is_paused, command: Some(*command) }]
            }
            Inbox::Cancel(command, run) => {
                let cancel = Event::CancelRun { run: *run, command: Some(*command) };
                queued(run).into_iter().chain([cancel]).collect()
            }
            Inbox::Report(report) => vec![report.clone()],
        }
    }
}

fn attempt_row(attempt: &AttemptWrite) -> AttemptRow {
    AttemptRow {
        attempt: attempt.attempt,
        key: TaskInstanceKey { run: attempt.run, task_no: attempt.task_no, map_index: attempt.map_index },
        try_number: attempt.try_number,
        state: attempt.to,
        executor: attempt.executor,
        binding: attempt.binding.clone(),
        claim: attempt.claim.clone(),
        place: attempt.place.clone(),
        queued_turn: attempt.queued_turn,
        spec_hash: attempt.spec_hash,
        queued_at: attempt.queued_at,
        started_at: attempt.started_at,
        pid: attempt.pid,
    }
}
