//! What the scheduler asks for when it launches an attempt.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use gridflow_core::{AttemptId, DagId, MapIndex, RunId, RunKey, TaskId, TryNumber, Turn};

/// One committed attempt, rendered and ready to start.
///
/// Launching it again is harmless: its claim is taken once, and what became of it is reported again.
#[derive(Debug, Clone)]
pub struct Launch {
    pub attempt: AttemptId,
    pub run: RunKey,
    pub dag_id: DagId,
    pub task_id: TaskId,
    pub run_id: RunId,
    pub map_index: MapIndex,
    pub try_number: TryNumber,
    pub logical_date: Option<String>,
    pub owner: String,
    /// The turn that committed the launch.
    pub turn: Turn,
    /// What was committed; a record with another hash is not ours.
    pub spec_hash: [u8; 32],
    /// Program and arguments. A program without `/` is looked up in the command's own `PATH`.
    pub argv: Vec<String>,
    /// Added to, and stronger than, what is taken from the allow-list.
    pub env: BTreeMap<String, String>,
    /// Files of the DAG version, by their path in the working directory. They are writable copies.
    pub files: Vec<(String, Arc<[u8]>)>,
    /// Written to `$GRIDFLOW_CONTEXT`.
    pub context: serde_json::Value,
    pub execution_timeout: Option<Duration>,
    /// Between SIGTERM and SIGKILL.
    pub grace: Duration,
    /// The user who runs it; by default the scheduler's.
    pub run_as: Option<String>,
    pub traceparent: Option<String>,
}
