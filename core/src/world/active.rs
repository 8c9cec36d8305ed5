//! A running DAG run as memory keeps it.

use std::{cmp::Reverse, collections::BTreeSet, sync::Arc};

use crate::{
    attempt::{AttemptOutcome, AttemptState, ExecutorKind, NodeBinding, Usage},
    dag::Dag,
    hash::FastMap,
    id::{AttemptId, MapIndex, RunKey, TaskInstanceKey, TaskNo, Timestamp, TryNumber, Turn},
    plan::{AttemptWrite, LaunchOrder, Plan, RowHint, RunWrite, TaskInstanceWrite},
    run::QueuedRun,
    state::{RunState, TaskState},
    trigger_rule::UpstreamCounts,
};

use super::{
    DagIx, LimitIx,
    lane::{LaneIx, Lanes, RunOrder},
};

/// What admission has worked out for the tasks of a version, by task number.
#[derive(Debug)]
pub(super) struct Routes {
    pub lanes: Vec<LaneIx>,
    /// Where a task's `max_active_per_dag` is counted.
    pub limits: Vec<Option<LimitIx>>,
}

#[derive(Debug)]
pub(super) struct ActiveRun {
    pub queued: QueuedRun,
    pub dag_ix: DagIx,
    pub dag: Arc<Dag>,
    pub routes: Arc<Routes>,
    pub state: RunState,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub reason: Option<String>,
    /// By task number.
    pub tis: Vec<TaskInstance>,
    /// Attempts that are not closed.
    pub open: FastMap<AttemptId, TaskNo>,
    /// Task instances that are not finished.
    pub unfinished: u32,
    /// Leaf instances that are failed or upstream_failed.
    pub failed_leaves: u32,
    pub ready: Vec<ReadyLane>,
}

/// The ready instances of a run that need the same slots of the same pool.
#[derive(Debug)]
pub(super) struct ReadyLane {
    pub lane: LaneIx,
    pub tasks: BTreeSet<(Reverse<i32>, TaskNo)>,
    /// The priority that the run offers in this lane now.
    offered: Option<i32>,
}

#[derive(Debug)]
pub(super) struct TaskInstance {
    pub state: TaskState,
    pub place: Place,
    pub try_number: TryNumber,
    pub tries_max: u32,
    pub losses: u32,
    pub upstream: UpstreamCounts,
    pub attempt: Option<AttemptId>,
    pub scheduled_at: Option<Timestamp>,
    pub queued_at: Option<Timestamp>,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub retry_at: Option<Timestamp>,
    pub waits_for_run: Option<RunKey>,
    pub reason: Option<String>,
    /// The attempt whose processes are not known to be gone; at most one at a time.
    pub open: Option<Box<OpenAttempt>>,
    pub row: RowHint,
}

/// Where a scheduled instance waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Nowhere,
    /// Among its run's ready ones.
    Ready,
    /// For a slot of its task's own limit.
    Parked,
}

#[derive(Debug)]
pub(super) struct OpenAttempt {
    pub id: AttemptId,
    pub state: AttemptState,
    pub try_number: TryNumber,
    pub executor: ExecutorKind,
    pub binding: Option<NodeBinding>,
    pub claim: Option<Arc<str>>,
    pub place: Option<Arc<str>>,
    pub queued_turn: Turn,
    pub spec_hash: Option<[u8; 32]>,
    pub queued_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub pid: Option<u32>,
    pub row: RowHint,
}

impl OpenAttempt {
    /// Whether a leader with this binding can launch and cancel it.
    pub fn is_in_reach(&self, here: Option<&NodeBinding>) -> bool {
        !self.executor.is_bound_to_node() || self.is_of(here)
    }

    /// Whether it is bound to the node of this binding, in whatever boot.
    fn is_of(&self, here: Option<&NodeBinding>) -> bool {
        self.binding.as_ref().map(|binding| binding.node) == here.map(|binding| binding.node)
    }
}

/// How an attempt ended, and when.
#[derive(Debug)]
pub(super) struct Ending {
    pub at: Timestamp,
    pub outcome: AttemptOutcome,
    pub usage: Option<Usage>,
}

impl TaskInstance {
    pub fn new(retries: u32, upstreams: u32) -> Self {
        Self {
            state: TaskState::NoStatus,
            place: Place::Nowhere,
            try_number: TryNumber(0),
            tries_max: retries,
            losses: 0,
            upstream: UpstreamCounts { total: upstreams, ..UpstreamCounts::default() },
            attempt: None,
            scheduled_at: None,
            queued_at: None,
            started_at: None,
            ended_at: None,
            retry_at: None,
            waits_for_run: None,
            reason: None,
            open: None,
            row: RowHint::default(),
        }
    }

    fn image(&self, key: TaskInstanceKey, from: Option<TaskState>) -> TaskInstanceWrite {
        TaskInstanceWrite {
            key,
            from,
            to: self.state,
            try_number: self.try_number,
            tries_max: self.tries_max,
            attempt: self.attempt,
            scheduled_at: self.scheduled_at,
            queued_at: self.queued_at,
            started_at: self.started_at,
            ended_at: self.ended_at,
            retry_at: self.retry_at,
            waits_for_run: self.waits_for_run,
            reason: self.reason.clone(),
            losses: self.losses,
        }
    }
}

impl ActiveRun {
    pub fn key(&self) -> RunKey {
        self.queued.key
    }

    pub fn order(&self) -> RunOrder {
        (self.queued.logical_date.unwrap_or(self.queued.run_after), self.queued.key)
    }

    pub fn ti_key(&self, task_no: TaskNo) -> TaskInstanceKey {
        TaskInstanceKey { run: self.queued.key, task_no, map_index: MapIndex::UNMAPPED }
    }

    pub fn ti(&mut self, task_no: TaskNo) -> &mut TaskInstance {
        &mut self.tis[task_no.0 as usize]
    }

    /// All is finished and nothing is left outside.
    pub fn is_over(&self) -> bool {
        self.state.is_finished() && self.open.is_empty()
    }

    /// Inserts the row of a new task instance.
    pub fn create_ti(&mut self, task_no: TaskNo, plan: &mut Plan) {
        let key = self.ti_key(task_no);
        let ti = self.ti(task_no);
        let row = ti.image(key, None);
        plan.put_task_instance(&mut ti.row, row);
    }

    /// Moves a task instance and writes its row. The caller has set the other fields already.
    pub fn set_ti(&mut self, task_no: TaskNo, to: TaskState, plan: &mut Plan) {
        let key = self.ti_key(task_no);
        let is_leaf = self.dag.is_leaf(task_no);
        let ti = &mut self.tis[task_no.0 as usize];
        let from = std::mem::replace(&mut ti.state, to);
        let row = ti.image(key, Some(from));
        plan.put_task_instance(&mut ti.row, row);
        if to.is_finished() {
            self.unfinished -= 1;
            if is_leaf && matches!(to, TaskState::Failed | TaskState::UpstreamFailed) {
                self.failed_leaves += 1;
            }
        }
    }

    pub fn set_state(&mut self, to: RunState, plan: &mut Plan) {
        let from = std::mem::replace(&mut self.state, to);
        plan.put_run(RunWrite {
            key: self.queued.key,
            from: Some(from),
            to,
            started_at: self.started_at,
            ended_at: self.ended_at,
            reason: self.reason.clone(),
        });
    }

    /// Writes the row of the open attempt of a task; `from` is its state in memory before.
    pub fn put_attempt(&mut self, task_no: TaskNo, from: Option<AttemptState>, end: Option<&Ending>, plan: &mut Plan) {
        let run = self.queued.key;
        let attempt = self.tis[task_no.0 as usize].open.as_mut().expect("only an open attempt is written");
        let row = AttemptWrite {
            run,
            attempt: attempt.id,
            from,
            to: attempt.state,
            task_no,
            map_index: MapIndex::UNMAPPED,
            try_number: attempt.try_number,
            executor: attempt.executor,
            binding: attempt.binding.clone(),
            claim: attempt.claim.clone(),
            place: attempt.place.clone(),
            queued_turn: attempt.queued_turn,
            spec_hash: attempt.spec_hash,
            queued_at: attempt.queued_at,
            started_at: attempt.started_at,
            ended_at: end.map(|end| end.at),
            pid: attempt.pid,
            outcome: end.map(|end| end.outcome.clone()),
            usage: end.and_then(|end| end.usage),
        };
        plan.put_attempt(&mut attempt.row, row);
    }

    pub fn launch_order(&self, task_no: TaskNo) -> LaunchOrder {
        let attempt = self.tis[task_no.0 as usize].open.as_ref().expect("only an open attempt is launched");
        LaunchOrder {
            key: self.ti_key(task_no),
            attempt: attempt.id,
            try_number: attempt.try_number,
            executor: attempt.executor,
            dag: self.queued.dag.clone(),
            version: self.queued.version,
        }
    }

    /// Lets a scheduled instance take part in admission.
    pub fn make_ready(&mut self, task_no: TaskNo, lanes: &mut Lanes) {
        let lane = self.routes.lanes[task_no.0 as usize];
        let entry = (Reverse(self.dag.priority_weight(task_no)), task_no);
        let ti = self.ti(task_no);
        debug_assert!(ti.open.is_none(), "the old attempt is closed before a new one may start");
        ti.place = Place::Ready;
        let index = match self.ready.iter().position(|ready| ready.lane == lane) {
            Some(index) => index,
            None => {
                self.ready.push(ReadyLane { lane, tasks: BTreeSet::new(), offered: None });
                self.ready.len() - 1
            }
        };
        self.ready[index].tasks.insert(entry);
        self.sync_offer(index, lanes);
    }

    /// Takes an instance out of its run's ready ones.
    pub fn unready(&mut self, task_no: TaskNo, lanes: &mut Lanes) {
        let lane = self.routes.lanes[task_no.0 as usize];
        let entry = (Reverse(self.dag.priority_weight(task_no)), task_no);
        self.ti(task_no).place = Place::Nowhere;
        let index = self.ready.iter().position(|ready| ready.lane == lane).expect("a ready instance is in its lane");
        self.ready[index].tasks.remove(&entry);
        self.sync_offer(index, lanes);
    }

    /// The run's best ready instance of a lane.
    pub fn best_of(&self, lane: LaneIx) -> Option<TaskNo> {
        let ready = self.ready.iter().find(|ready| ready.lane == lane)?;
        ready.tasks.first().map(|&(_, task_no)| task_no)
    }

    /// After the number of open attempts changed: a run at `max_active_tasks` offers nothing.
    pub fn sync_offers(&mut self, lanes: &mut Lanes) {
        for index in 0..self.ready.len() {
            self.sync_offer(index, lanes);
        }
    }

    pub fn has_room(&self) -> bool {
        self.open.len() < self.dag.parts().max_active_tasks.get() as usize
    }

    fn sync_offer(&mut self, index: usize, lanes: &mut Lanes) {
        let has_room = self.has_room();
        let (dag, order) = (self.dag_ix, self.order());
        let ready = &mut self.ready[index];
        let wanted = match ready.tasks.first() {
            Some(&(Reverse(priority), _)) if has_room => Some(priority),
            Some(_) | None => None,
        };
        if ready.offered != wanted {
            if let Some(priority) = ready.offered {
                lanes.withdraw(ready.lane, priority, dag, order);
            }
            if let Some(priority) = wanted {
                lanes.offer(ready.lane, priority, dag, order);
            }
            ready.offered = wanted;
        }
    }
}
