//! What a history left behind: the tables, read with plain SQL, and what the commands themselves wrote.
//!
//! Times are microseconds since 1970, of the one clock that commands and database share on this machine.

pub(crate) mod marks;
mod tables;

use std::{
    collections::{BTreeSet, HashMap},
    path::Path,
};

use anyhow::Result;

pub use marks::{LIBRARY, Mark, MarkKind};

use crate::Cluster;

/// Everything that the checks look at. Plain data, so that a test of the checks can doctor it.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    pub runs: Vec<Run>,
    pub task_instances: Vec<TaskInstance>,
    pub attempts: Vec<Attempt>,
    pub log: Vec<LogRow>,
    pub events: Vec<Event>,
    pub marks: Vec<Mark>,
    /// When everything was killed: whoever had not written its end by then ended then.
    pub killed_at: Vec<i64>,
    /// When each pod's commands were last seen alive, by its uid, where somebody looked all the time: whoever had not
    /// written its end by then was killed. A pod that nobody saw lived for a moment.
    pub last_seen: Option<HashMap<String, i64>>,
    /// Runs that were asked for and confirmed, as DAG and run id.
    pub accepted: BTreeSet<(String, String)>,
    /// Runs whose end was asked for, whether that was confirmed or not.
    pub cancelled: BTreeSet<(String, String)>,
    /// Commands that were confirmed, by their idempotency keys.
    pub asked: BTreeSet<String>,
    /// Those that have an answer.
    pub answered: BTreeSet<String>,
    /// Rows of the inbox that the leader has not dealt with.
    pub inbox: usize,
    pub commands_open: usize,
}

#[derive(Debug, Clone)]
pub struct Run {
    pub id: String,
    pub dag: String,
    pub run_id: String,
    pub state: String,
    pub has_started: bool,
    pub reason: String,
    /// The `trigger_dag` that made it: run and task number.
    pub parent: Option<(String, String)>,
}

#[derive(Debug, Clone)]
pub struct TaskInstance {
    pub run: String,
    pub dag: String,
    pub run_id: String,
    pub task_no: String,
    pub map_index: String,
    pub task: String,
    pub operator: String,
    pub state: String,
    pub losses: usize,
    pub attempt: String,
    /// The text of its output; empty where there is none.
    pub output: String,
    pub reason: String,
}

#[derive(Debug, Clone)]
pub struct Attempt {
    pub run: String,
    pub id: String,
    pub task_no: String,
    pub map_index: String,
    pub state: String,
    pub outcome: String,
    pub exit_code: String,
    /// The uid of the pod that was confirmed for it.
    pub claim: String,
}

#[derive(Debug, Clone)]
pub struct LogRow {
    pub turn: i64,
    pub epoch: i64,
    pub run: String,
    pub changes: Vec<String>,
}

#[derive(Debug, Clone)]
pub struct Event {
    pub id: String,
    pub dag: String,
    /// What it is about: bundle, DAG, trigger and dedup key.
    pub key: String,
    pub outcome: String,
    pub run: String,
}

/// What was asked for.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// Runs that were confirmed, as DAG and run id.
    pub runs: Vec<(String, String)>,
    /// Runs whose end was asked for, whether that was confirmed or not.
    pub cancelled: Vec<(String, String)>,
    /// Idempotency keys of commands that were confirmed.
    pub commands: Vec<String>,
}

impl From<Vec<(String, String)>> for Asked {
    fn from(runs: Vec<(String, String)>) -> Self {
        Self { runs, ..Self::default() }
    }
}

impl Evidence {
    /// Reads all of it. The cluster must be at rest, or the tables belong to different moments.
    pub fn read(cluster: &Cluster, marks: &Path, asked: Asked) -> Result<Self> {
        let (marks, killed_at) = marks::read(marks)?;
        let mut evidence = tables::read(cluster)?;
        (evidence.marks, evidence.killed_at) = (marks, killed_at);
        evidence.accepted = asked.runs.into_iter().collect();
        evidence.cancelled = asked.cancelled.into_iter().collect();
        evidence.asked = asked.commands.into_iter().collect();
        Ok(evidence)
    }
}
