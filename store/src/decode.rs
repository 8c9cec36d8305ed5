//! Columns to domain values. What does not fit is an [`Inconsistency`] that names the row.

use std::fmt::Display;

use gridflow_core::{AttemptState, DagId, ExecutorKind, IdError, RunId, RunState, RunType, TaskState};

use crate::error::Inconsistency;

/// Where a value came from.
#[derive(Clone, Copy)]
pub(crate) struct Row<'a> {
    pub table: &'static str,
    pub key: &'a dyn Display,
}

impl Row<'_> {
    pub(crate) fn wrong(self, column: &'static str) -> Inconsistency {
        Inconsistency { table: self.table, column, row: self.key.to_string() }
    }

    pub(crate) fn known<T>(self, column: &'static str, value: Option<T>) -> Result<T, Inconsistency> {
        value.ok_or_else(|| self.wrong(column))
    }

    pub(crate) fn number<T, U: TryInto<T>>(self, column: &'static str, value: U) -> Result<T, Inconsistency> {
        value.try_into().map_err(|_| self.wrong(column))
    }

    fn id<T>(self, column: &'static str, parsed: Result<T, IdError>) -> Result<T, Inconsistency> {
        parsed.map_err(|_| self.wrong(column))
    }

    pub(crate) fn dag_id(self, text: &str) -> Result<DagId, Inconsistency> {
        self.id("dag_id", DagId::parse(text))
    }

    pub(crate) fn run_id(self, text: &str) -> Result<RunId, Inconsistency> {
        self.id("run_id", RunId::parse(text))
    }

    pub(crate) fn run_type(self, text: &str) -> Result<RunType, Inconsistency> {
        self.known("run_type", RunType::parse(text))
    }

    pub(crate) fn run_state(self, text: &str) -> Result<RunState, Inconsistency> {
        self.known("state", RunState::parse(text))
    }

    pub(crate) fn task_state(self, text: &str) -> Result<TaskState, Inconsistency> {
        self.known("state", TaskState::parse(text))
    }

    pub(crate) fn attempt_state(self, text: &str) -> Result<AttemptState, Inconsistency> {
        self.known("state", AttemptState::parse(text))
    }

    pub(crate) fn executor(self, text: &str) -> Result<ExecutorKind, Inconsistency> {
        self.known("executor", ExecutorKind::parse(text))
    }
}
