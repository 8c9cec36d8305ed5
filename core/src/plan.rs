//! What a turn decided: rows to write, then things to do. Sealed until it is written.

mod rows;

pub(crate) use rows::RowHint;

use std::{collections::HashSet, sync::Arc};

use rand_core::SeedableRng;
use rand_pcg::Pcg64Mcg;

use crate::{
    attempt::{AttemptOutcome, AttemptState, ExecutorKind, NodeBinding, Output, Usage},
    hash::{FastMap, FastSet},
    id::{
        AttemptId, CommandId, DagId, DagVersionId, Epoch, EventId, MapIndex, RunId, RunKey, TaskInstanceKey, TaskNo,
        Timestamp, TryNumber, Turn,
    },
    run::NewRun,
    state::{RunState, TaskState},
    timetable::ScheduleCursor,
};

/// Everything that one turn writes, each row of each table at most once, with its net state.
/// Rows are whole after-images guarded by the state they had before the turn.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Writes {
    /// Runs that the core creates, in the state that their [`RunWrite`] names (`from` = none).
    pub new_runs: Vec<NewRun>,
    pub runs: Vec<RunWrite>,
    pub task_instances: Vec<TaskInstanceWrite>,
    pub attempts: Vec<AttemptWrite>,
    pub xcoms: Vec<XcomWrite>,
    pub events: Vec<EventWrite>,
    pub cursors: Vec<CursorWrite>,
    /// DAGs that the core itself paused (too many failed runs), or a person through a command.
    pub paused: Vec<(DagId, bool)>,
    /// Outcomes of commands: an error text means that it was refused.
    pub commands: Vec<(CommandId, Result<(), String>)>,
    /// Every transition in the order it was made, for the log that replays.
    pub transitions: Vec<Transition>,
}

/// The row of a run after the turn. `from` is none for a run that this turn creates.
#[derive(Debug, Clone, PartialEq)]
pub struct RunWrite {
    pub key: RunKey,
    pub from: Option<RunState>,
    pub to: RunState,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    /// Why it failed, if not by a task: `timed_out`, `canceled`, `deadlocked`, or a quarantine's text.
    pub reason: Option<String>,
}

/// The row of a task instance after the turn. `from` is none for one that this turn inserts.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskInstanceWrite {
    pub key: TaskInstanceKey,
    pub from: Option<TaskState>,
    pub to: TaskState,
    pub try_number: TryNumber,
    pub tries_max: u32,
    /// The attempt of the present try.
    pub attempt: Option<AttemptId>,
    pub scheduled_at: Option<Timestamp>,
    pub queued_at: Option<Timestamp>,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    /// When an `up_for_retry` instance may be tried again.
    pub retry_at: Option<Timestamp>,
    /// The run that a `deferred` `trigger_dag` waits for.
    pub waits_for_run: Option<RunKey>,
    /// Why it is in this state, for people.
    pub reason: Option<String>,
    /// Infrastructure losses so far: retried from a budget that is not the user's.
    pub losses: u32,
}

/// The row of an attempt after the turn. `from` is none for one that this turn inserts.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptWrite {
    pub run: RunKey,
    pub attempt: AttemptId,
    pub from: Option<AttemptState>,
    pub to: AttemptState,
    pub task_no: TaskNo,
    pub map_index: MapIndex,
    pub try_number: TryNumber,
    pub executor: ExecutorKind,
    pub binding: Option<NodeBinding>,
    /// The one thing outside that may run for it, by the name that its executor knows it by; none until it is made.
    pub claim: Option<Arc<str>>,
    /// Where it was seen running, if it is not bound to a node.
    pub place: Option<Arc<str>>,
    pub queued_turn: Turn,
    pub spec_hash: Option<[u8; 32]>,
    pub queued_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub pid: Option<u32>,
    pub outcome: Option<AttemptOutcome>,
    pub usage: Option<Usage>,
}

/// A task's output, Airflow's XCom `return_value`.
#[derive(Debug, Clone, PartialEq)]
pub struct XcomWrite {
    pub key: TaskInstanceKey,
    pub name: Arc<str>,
    pub output: Output,
}

/// What became of an outside event.
#[derive(Debug, Clone, PartialEq)]
pub struct EventWrite {
    pub event: EventId,
    pub outcome: EventOutcome,
}

#[derive(Debug, Clone, PartialEq)]
pub enum EventOutcome {
    /// It belongs to this run and no other.
    Run(RunKey),
    /// Filtered out, or dropped by the trigger's own rule, for this reason.
    Ignored { reason: String },
}

#[derive(Debug, Clone, PartialEq)]
pub struct CursorWrite {
    pub dag: DagId,
    pub cursor: ScheduleCursor,
    /// For people: when the next scheduled run is due.
    pub next_run_after: Option<Timestamp>,
}

/// One change of state. Runs have no task number.
#[derive(Debug, Clone, PartialEq)]
pub enum Transition {
    Run { run: RunKey, from: Option<RunState>, to: RunState },
    TaskInstance { key: TaskInstanceKey, from: Option<TaskState>, to: TaskState, try_number: TryNumber },
    Attempt { run: RunKey, attempt: AttemptId, from: Option<AttemptState>, to: AttemptState },
}

/// What the shell must find out before the turn can be committed; each is answered by
/// [`crate::Answer`] through `step`.
#[derive(Debug, Clone, PartialEq)]
pub enum Need {
    Version {
        version: DagVersionId,
    },
    /// Render an attempt's spec.
    Prepare(LaunchOrder),
    /// Render what a `trigger_dag` task instance asks for.
    Child {
        parent: TaskInstanceKey,
        dag: DagId,
        version: DagVersionId,
        try_number: TryNumber,
    },
    /// Which of these are taken by runs of the DAG? Several of one DAG are answered in their order.
    Taken {
        dag: DagId,
        logical_dates: Vec<Timestamp>,
        run_ids: Vec<RunId>,
    },
}

/// What may be done once the turn is committed.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    Launch(LaunchOrder),
    /// The attempt's claim is committed: what bears that name may run, and nothing else.
    Confirm {
        run: RunKey,
        attempt: AttemptId,
        executor: ExecutorKind,
        claim: Arc<str>,
    },
    /// Of attempts that are bound to a node: only for attempts of this leader's own node. Those of another are `canceling` in the database, where
    /// that node's scheduler reads it.
    Cancel {
        run: RunKey,
        attempt: AttemptId,
        executor: ExecutorKind,
    },
    /// Attempts of other nodes are `canceling` now: their schedulers may be woken.
    CancelElsewhere,
    /// The attempt's end is committed: its executor may tidy up. Not for open attempts of another node, whose
    /// scheduler reads that they are closed.
    Acknowledge {
        run: RunKey,
        attempt: AttemptId,
        /// None: nothing is known of the attempt any more; whoever reported it is meant.
        executor: Option<ExecutorKind>,
    },
    /// Room for more runs than memory holds: read the next queued ones of this DAG after that key.
    FetchQueued {
        dag: DagId,
        after: Option<(Timestamp, RunKey)>,
        limit: u32,
    },
    /// The run left memory; caches about it can go.
    RunEnded {
        run: RunKey,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub struct LaunchOrder {
    pub key: TaskInstanceKey,
    pub attempt: AttemptId,
    pub try_number: TryNumber,
    pub executor: ExecutorKind,
    pub dag: DagId,
    pub version: DagVersionId,
}

/// A turn under way. `step` and `admit` write into it; the shell answers its needs, then seals it.
#[derive(Debug, Clone)]
pub struct Plan {
    // Open parts: net rows by key, needs and actions. Built up by `step` and `admit` only.
    pub(crate) writes: Writes,
    pub(crate) needs: Vec<Need>,
    pub(crate) actions: Vec<Action>,
    pub(crate) turn: Turn,
    /// Makes the keys of this turn's runs and attempts.
    pub(crate) ids: Pcg64Mcg,
    /// The rows that the turn's events made, before admission: those are not admission's to save.
    pub(crate) event_rows: Option<usize>,
    /// Where the row of a run is.
    pub(crate) run_rows: FastMap<RunKey, usize>,
    /// Run ids and logical dates given away in this turn: the database does not know them yet.
    pub(crate) run_ids: HashSet<(DagId, RunId)>,
    pub(crate) logical_dates: HashSet<(DagId, Timestamp)>,
}

impl Default for Plan {
    fn default() -> Self {
        Self::begin(Turn::default(), 0)
    }
}

impl Plan {
    /// Begins a turn. The seed must be random: run keys and attempt ids are made from it.
    pub fn begin(turn: Turn, seed: u64) -> Self {
        Self {
            writes: Writes::default(),
            needs: Vec::new(),
            actions: Vec::new(),
            turn,
            ids: Pcg64Mcg::seed_from_u64(seed),
            event_rows: None,
            run_rows: FastMap::default(),
            run_ids: HashSet::new(),
            logical_dates: HashSet::new(),
        }
    }

    pub fn turn(&self) -> Turn {
        self.turn
    }

    /// Takes over what [`crate::recover`] wants done, so that the first turn does it.
    pub fn absorb(&mut self, recovered: Plan) {
        assert!(recovered.writes == Writes::default(), "recovery decides nothing that must be written");
        self.actions.splice(0..0, recovered.actions);
    }

    /// What must be answered before this turn can be committed; empties the list.
    pub fn take_needs(&mut self) -> Vec<Need> {
        std::mem::take(&mut self.needs)
    }

    /// Runs that this turn creates: the database does not know them yet.
    pub fn new_runs(&self) -> &[NewRun] {
        &self.writes.new_runs
    }

    /// Outputs that count from this turn on.
    pub fn outputs(&self) -> &[XcomWrite] {
        &self.writes.xcoms
    }

    /// Nothing to write and nothing to do.
    pub fn is_empty(&self) -> bool {
        self.writes == Writes::default() && self.actions.is_empty()
    }

    /// Ends the turn's decisions: rows can be read and written, actions can't be read.
    /// Launches and confirmations of attempts that the same turn gave up again are left out.
    ///
    /// # Panics
    /// If needs are unanswered: that would commit a half-made decision.
    pub fn seal(self) -> SealedPlan {
        assert!(self.needs.is_empty(), "a plan with unanswered needs can't be sealed");
        let Self { writes, mut actions, .. } = self;
        let withdrawn: FastSet<AttemptId> =
            writes.attempts.iter().filter(|row| row.to != AttemptState::Queued).map(|row| row.attempt).collect();
        if !withdrawn.is_empty() {
            actions.retain(|action| match action {
                Action::Launch(order) => !withdrawn.contains(&order.attempt),
                Action::Confirm { attempt, .. } => !withdrawn.contains(attempt),
                Action::Cancel { .. }
                | Action::CancelElsewhere
                | Action::Acknowledge { .. }
                | Action::FetchQueued { .. }
                | Action::RunEnded { .. } => true,
            });
        }
        SealedPlan { writes, actions }
    }
}

/// A plan whose actions can't be seen before its rows are committed.
#[derive(Debug, Clone)]
pub struct SealedPlan {
    writes: Writes,
    actions: Vec<Action>,
}

impl SealedPlan {
    pub fn writes(&self) -> &Writes {
        &self.writes
    }

    /// Hands out what may be done now.
    pub fn open(self, _proof: Committed) -> Vec<Action> {
        self.actions
    }
}

/// Proof that a turn's rows are durable. Only a store makes one, after its COMMIT was answered.
#[derive(Debug)]
pub struct Committed {
    pub epoch: Epoch,
    pub turn: Turn,
}
