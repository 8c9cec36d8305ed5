//! What `gridflow run` tells: a line per change while it goes on, and the whole run at its end.

use std::{
    cell::RefCell,
    collections::HashMap,
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::Path,
    time::Instant,
};

use chrono::SecondsFormat;
use gridflow_core::{MapIndex, TaskId, TaskState, Timestamp};
use gridflow_scheduler::local_run::{Change, RunResult, TaskInstanceResult};
use serde_json::{Value, json};

use crate::{
    failure::say,
    output::{self, Format},
};

/// Of a log that nobody asked for, shown because its task failed.
const TAIL_LINES: usize = 20;
const TAIL_BYTES: u64 = 16 << 10;

/// Which logs are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Logs {
    All,
    /// The last lines of tries that failed.
    OfFailures,
}

/// Prints changes as they come.
pub struct Reporter {
    format: Format,
    logs: Logs,
    running_since: RefCell<HashMap<(TaskId, MapIndex), Instant>>,
}

impl Reporter {
    pub fn new(format: Format, logs: Logs) -> Self {
        Self { format, logs, running_since: RefCell::default() }
    }

    pub fn change(&self, change: &Change) {
        match change {
            Change::Run { dag, state, reason, .. } => {
                self.line(&format!("{dag}: run {}{}", state.as_str(), because(reason.as_deref())));
            }
            // Steps on the way to a start, which say nothing to whoever waits for the end.
            Change::TaskInstance { state: TaskState::NoStatus | TaskState::Scheduled | TaskState::Queued, .. } => {}
            Change::TaskInstance { task, map_index, try_number, state, reason, log, .. } => {
                let name = name(task, *map_index);
                let took = self.took(task, *map_index, *state);
                let again = if 1 < try_number.0 { format!(" (try {})", try_number.0) } else { String::new() };
                self.line(&format!("{name}: {}{again}{took}{}", state.as_str(), because(reason.as_deref())));
                if let Some(text) = log.as_deref().and_then(|log| self.log(log, *state)) {
                    text.lines().for_each(|line| self.line(&format!("{name} | {line}")));
                }
            }
        }
    }

    /// For people the changes are the answer; beside an answer for programs they go to stderr.
    fn line(&self, line: &str) {
        match self.format {
            // Nobody reads any more: the run goes on all the same, and its exit code tells.
            Format::Table => drop(output::print(&format!("{line}\n"))),
            Format::Json | Format::Yaml => say(line),
        }
    }

    /// How long a command ran, when it has ended.
    fn took(&self, task: &TaskId, map_index: MapIndex, state: TaskState) -> String {
        let key = (task.clone(), map_index);
        if state == TaskState::Running {
            self.running_since.borrow_mut().insert(key, Instant::now());
            return String::new();
        }
        let since = self.running_since.borrow_mut().remove(&key);
        since.map(|since| format!(" after {:.1} s", since.elapsed().as_secs_f64())).unwrap_or_default()
    }

    /// What is to be shown of the log of a try that has ended.
    fn log(&self, log: &Path, state: TaskState) -> Option<String> {
        let has_failed = [TaskState::Failed, TaskState::UpForRetry].contains(&state);
        match self.logs {
            Logs::All if has_failed || state.is_finished() => Some(read(log, u64::MAX)),
            Logs::OfFailures if has_failed => {
                let text = read(log, TAIL_BYTES);
                let lines: Vec<_> = text.lines().collect();
                Some(lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n"))
            }
            Logs::All | Logs::OfFailures => None,
        }
    }
}

/// The last bytes of a log. One that is not there is empty: its command never started.
fn read(log: &Path, bytes_max: u64) -> String {
    let mut bytes = Vec::new();
    if let Ok(mut file) = File::open(log) {
        let length = file.metadata().map_or(0, |metadata| metadata.len());
        let _ = file.seek(SeekFrom::Start(length.saturating_sub(bytes_max)));
        let _ = file.read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn because(reason: Option<&str>) -> String {
    reason.map(|reason| format!(": {reason}")).unwrap_or_default()
}

fn name(task: &TaskId, map_index: MapIndex) -> String {
    if map_index.0 < 0 { task.to_string() } else { format!("{task}[{}]", map_index.0) }
}

/// The run with its task instances, in the words of Airflow's API.
pub fn value(run: &RunResult) -> Value {
    json!({
        "dag_run": {
            "dag_run_id": run.run_id.to_string(),
            "dag_id": run.dag.to_string(),
            "run_type": run.run_type.as_str(),
            "state": run.state.as_str(),
            "logical_date": run.logical_date.map(instant),
            "run_after": instant(run.run_after),
            "start_date": run.started_at.map(instant),
            "end_date": run.ended_at.map(instant),
            "duration": seconds(run.started_at, run.ended_at),
            "conf": run.conf,
            "note": run.reason,
        },
        "task_instances": run.task_instances.iter().map(|task| task_instance(run, task)).collect::<Vec<_>>(),
    })
}

fn task_instance(run: &RunResult, task: &TaskInstanceResult) -> Value {
    json!({
        "task_id": task.task.to_string(),
        "dag_id": run.dag.to_string(),
        "dag_run_id": run.run_id.to_string(),
        "map_index": task.map_index.0,
        // Airflow has no name for "no state yet".
        "state": (task.state != TaskState::NoStatus).then(|| task.state.as_str()),
        "try_number": task.try_number.0,
        "max_tries": task.tries_max,
        "start_date": task.started_at.map(instant),
        "end_date": task.ended_at.map(instant),
        "duration": seconds(task.started_at, task.ended_at),
        "operator": task.operator,
        "note": task.reason,
    })
}

/// In microseconds, as Airflow has them.
fn instant(at: Timestamp) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

fn seconds(start: Option<Timestamp>, end: Option<Timestamp>) -> Option<f64> {
    let took = end? - start?;
    took.num_microseconds().map(|micros| micros as f64 / 1e6)
}
