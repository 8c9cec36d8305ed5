//! What a run tells while it goes on, and how it ended.

use std::{path::PathBuf, sync::Arc};

use gridflow_core::{
    AttemptId, DagId, MapIndex, RunId, RunKey, RunState, RunType, TaskId, TaskState, Timestamp, TryNumber,
};
use serde_json::Value;

/// One change of state.
#[derive(Debug, Clone)]
pub enum Change {
    Run {
        dag: DagId,
        run_id: RunId,
        state: RunState,
        reason: Option<String>,
    },
    TaskInstance {
        dag: DagId,
        run_id: RunId,
        task: TaskId,
        map_index: MapIndex,
        try_number: TryNumber,
        from: Option<TaskState>,
        state: TaskState,
        reason: Option<String>,
        /// The log of the present try, if it has one.
        log: Option<PathBuf>,
    },
}

/// A run and all its task instances.
#[derive(Debug, Clone)]
pub struct RunResult {
    pub key: RunKey,
    pub dag: DagId,
    pub run_id: RunId,
    pub run_type: RunType,
    pub state: RunState,
    pub logical_date: Option<Timestamp>,
    pub run_after: Timestamp,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub conf: Arc<Value>,
    pub reason: Option<String>,
    /// In the order of the DAG file.
    pub task_instances: Vec<TaskInstanceResult>,
}

#[derive(Debug, Clone)]
pub struct TaskInstanceResult {
    pub task: TaskId,
    pub operator: &'static str,
    pub map_index: MapIndex,
    pub state: TaskState,
    pub try_number: TryNumber,
    pub tries_max: u32,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub reason: Option<String>,
    /// Airflow's XCom `return_value`.
    pub output: Option<Arc<Value>>,
    /// Its tries, with their logs, oldest first. The logs of a temporary folder are gone by now.
    pub attempts: Vec<(AttemptId, PathBuf)>,
}

/// How it all ended.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub run: RunResult,
    /// Runs that `trigger_dag` tasks made, in the order they began.
    pub children: Vec<RunResult>,
    /// Ended by a shutdown and not by itself.
    pub is_canceled: bool,
}

impl Outcome {
    pub fn is_success(&self) -> bool {
        self.run.state == RunState::Success && !self.is_canceled
    }
}
