//! A checked DAG: what decisions need to know of it, and nothing about operators or templates.

mod weight;

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    num::NonZeroU32,
    time::Duration,
};

use petgraph::graph::{DiGraph, NodeIndex};

use crate::{
    ExecutorKind, PoolName, Timestamp, TriggerRule,
    id::{DagId, TaskId, TaskNo},
    timetable::Timetable,
};

/// How a task is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskKind {
    /// Succeeds at once (Airflow's `EmptyOperator`): no attempt, no slot.
    Empty,
    /// Creates a run of another DAG in the same turn: no attempt, no slot.
    TriggerDag { wait_for_completion: bool },
    /// An executor launches attempts.
    Attempt(ExecutorKind),
}

/// How a task's weight is made from its neighbours' (Airflow's `weight_rule`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WeightRule {
    /// Its own and all its descendants'.
    #[default]
    Downstream,
    /// Its own and all its ancestors'.
    Upstream,
    Absolute,
}

/// One task of a DAG, defaults resolved.
#[derive(Debug, Clone)]
pub struct Task {
    pub id: TaskId,
    pub kind: TaskKind,
    /// Direct upstreams, without duplicates.
    pub upstream: Vec<TaskNo>,
    pub trigger_rule: TriggerRule,
    /// Tries after the first.
    pub retries: u32,
    pub retry_delay: Duration,
    /// Multiplier of the delay for each further try; none = constant delay.
    pub retry_backoff: Option<f64>,
    pub retry_delay_max: Option<Duration>,
    /// Enforced by the executor, so that it holds while no scheduler lives.
    pub execution_timeout: Option<Duration>,
    pub pool: PoolName,
    pub pool_slots: NonZeroU32,
    /// The author's own weight; see [`Dag::priority_weight`] for the one that counts.
    pub priority_weight: i32,
    pub weight_rule: WeightRule,
    /// Running task instances of this task over all runs of the DAG.
    pub max_active_per_dag: Option<NonZeroU32>,
    /// Running task instances of this task within one run.
    pub max_active_per_run: Option<NonZeroU32>,
    /// Outside its own window (by logical date) a task is not run.
    pub start_date: Option<Timestamp>,
    pub end_date: Option<Timestamp>,
    /// Exit codes that mean `skipped` (Airflow's `skip_on_exit_code`).
    pub skip_exit_codes: Vec<i32>,
}

/// What a [`Dag`] is made from.
#[derive(Debug, Clone)]
pub struct DagParts {
    pub id: DagId,
    /// By task number.
    pub tasks: Vec<Task>,
    pub timetable: Timetable,
    /// Whether a DAG seen for the first time starts paused.
    pub is_paused_at_creation: bool,
    /// Running runs at the same time, backfills apart.
    pub max_active_runs: NonZeroU32,
    /// Active task instances of one run at the same time.
    pub max_active_tasks: NonZeroU32,
    /// Pauses the DAG after so many failed runs in a row; none = never.
    pub max_consecutive_failed_runs: Option<NonZeroU32>,
    pub dagrun_timeout: Option<Duration>,
    pub fail_fast: bool,
}

/// Why parts are no DAG.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DagError {
    #[error("tasks form a cycle")]
    Cycle {
        /// The tasks on the cycle in order; the last needs… the first.
        path: Vec<TaskNo>,
    },
    #[error("task number {upstream} does not exist")]
    UnknownUpstream { task: TaskNo, upstream: TaskNo },
}

/// A DAG whose graph is known to have no cycle.
#[derive(Debug, Clone)]
pub struct Dag {
    parts: DagParts,
    /// The direct downstreams of all tasks, one after another …
    downstream: Vec<TaskNo>,
    /// … and where those of each task begin; one more entry for the end.
    downstream_from: Vec<u32>,
    by_id: HashMap<TaskId, TaskNo>,
    weights: Vec<i32>,
    order: Vec<TaskNo>,
}

impl Dag {
    /// Checks the graph and prepares what every step needs.
    pub fn new(parts: DagParts) -> Result<Self, DagError> {
        let graph = graph_of(&parts)?;
        let order = match petgraph::algo::toposort(&graph, None) {
            Ok(order) => order.into_iter().map(task_no).collect::<Vec<_>>(),
            Err(cycle) => return Err(DagError::Cycle { path: cycle_through(&graph, cycle.node_id()) }),
        };
        let by_id = (0..).map(TaskNo).zip(&parts.tasks).map(|(no, task)| (task.id.clone(), no)).collect();
        let (downstream, downstream_from) = downstream_of(&parts);
        let mut dag = Self { parts, downstream, downstream_from, by_id, weights: Vec::new(), order };
        dag.weights = weight::weights_of(&dag);
        Ok(dag)
    }

    pub fn id(&self) -> &DagId {
        &self.parts.id
    }

    pub fn parts(&self) -> &DagParts {
        &self.parts
    }

    pub fn timetable(&self) -> &Timetable {
        &self.parts.timetable
    }

    pub fn tasks(&self) -> impl ExactSizeIterator<Item = (TaskNo, &Task)> {
        self.parts.tasks.iter().enumerate().map(|(index, task)| (TaskNo(index as u32), task))
    }

    pub fn task_count(&self) -> usize {
        self.parts.tasks.len()
    }

    /// The task of this number.
    ///
    /// # Panics
    /// If the number is not of this DAG: numbers come only from the DAG itself.
    pub fn task(&self, no: TaskNo) -> &Task {
        &self.parts.tasks[no.0 as usize]
    }

    pub fn task_no(&self, id: &str) -> Option<TaskNo> {
        self.by_id.get(id).copied()
    }

    pub fn upstream(&self, no: TaskNo) -> impl Iterator<Item = TaskNo> + '_ {
        self.task(no).upstream.iter().copied()
    }

    pub fn downstream(&self, no: TaskNo) -> impl Iterator<Item = TaskNo> + '_ {
        let range = self.downstream_from[no.0 as usize]..self.downstream_from[no.0 as usize + 1];
        self.downstream[range.start as usize..range.end as usize].iter().copied()
    }

    pub fn is_leaf(&self, no: TaskNo) -> bool {
        self.downstream_from[no.0 as usize] == self.downstream_from[no.0 as usize + 1]
    }

    /// Every task, upstreams before their downstreams.
    pub fn topological_order(&self) -> &[TaskNo] {
        &self.order
    }

    /// The weight that admission goes by, after the task's weight rule.
    pub fn priority_weight(&self, no: TaskNo) -> i32 {
        self.weights[no.0 as usize]
    }
}

fn task_no(node: NodeIndex) -> TaskNo {
    TaskNo(node.index() as u32)
}

fn graph_of(parts: &DagParts) -> Result<DiGraph<(), ()>, DagError> {
    let mut graph = DiGraph::with_capacity(parts.tasks.len(), parts.tasks.len());
    for _ in &parts.tasks {
        graph.add_node(());
    }
    for (index, task) in parts.tasks.iter().enumerate() {
        for &upstream in &task.upstream {
            if parts.tasks.len() <= upstream.0 as usize {
                return Err(DagError::UnknownUpstream { task: TaskNo(index as u32), upstream });
            }
            graph.add_edge(NodeIndex::new(upstream.0 as usize), NodeIndex::new(index), ());
        }
    }
    Ok(graph)
}

/// The shortest cycle through a node that is known to lie on one or behind one.
fn cycle_through(graph: &DiGraph<(), ()>, start: NodeIndex) -> Vec<TaskNo> {
    let component = petgraph::algo::tarjan_scc(graph)
        .into_iter()
        .find(|component| component.contains(&start))
        .unwrap_or_else(|| vec![start]);
    let mut previous: HashMap<NodeIndex, NodeIndex> = HashMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(node) = queue.pop_front() {
        for next in graph.neighbors(node).filter(|next| component.contains(next)) {
            if next == start {
                return path_to(start, node, &previous);
            }
            if let Entry::Vacant(entry) = previous.entry(next) {
                entry.insert(node);
                queue.push_back(next);
            }
        }
    }
    vec![task_no(start)]
}

fn path_to(start: NodeIndex, end: NodeIndex, previous: &HashMap<NodeIndex, NodeIndex>) -> Vec<TaskNo> {
    let mut path = vec![task_no(end)];
    let mut node = end;
    while node != start {
        node = previous[&node];
        path.push(task_no(node));
    }
    path.reverse();
    path
}

/// Every task's direct downstreams in task order, flat: a completion walks them in one stretch of memory.
fn downstream_of(parts: &DagParts) -> (Vec<TaskNo>, Vec<u32>) {
    let mut from = vec![0_u32; parts.tasks.len() + 1];
    for upstream in parts.tasks.iter().flat_map(|task| &task.upstream) {
        from[upstream.0 as usize + 1] += 1;
    }
    for index in 1..from.len() {
        from[index] += from[index - 1];
    }
    let mut next = from.clone();
    let mut downstream = vec![TaskNo(0); from[parts.tasks.len()] as usize];
    for (index, task) in parts.tasks.iter().enumerate() {
        for upstream in &task.upstream {
            let slot = &mut next[upstream.0 as usize];
            downstream[*slot as usize] = TaskNo(index as u32);
            *slot += 1;
        }
    }
    (downstream, from)
}
