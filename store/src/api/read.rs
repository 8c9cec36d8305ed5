//! Columns that become values of the core.

use gridflow_core::{RunState, RunType, TaskState, TriggeredBy};
use sqlx::{Row, postgres::PgRow};

/// A text in a column that is none of the values it may be.
#[derive(Debug, thiserror::Error)]
#[error("`{value}` in column `{column}` is no value of ours")]
struct Unknown {
    column: &'static str,
    value: String,
}

pub fn run_state(row: &PgRow, column: &'static str) -> sqlx::Result<RunState> {
    named(row, column, RunState::parse)
}

pub fn run_type(row: &PgRow, column: &'static str) -> sqlx::Result<RunType> {
    named(row, column, RunType::parse)
}

pub fn triggered_by(row: &PgRow, column: &'static str) -> sqlx::Result<TriggeredBy> {
    named(row, column, TriggeredBy::parse)
}

pub fn task_state(row: &PgRow, column: &'static str) -> sqlx::Result<TaskState> {
    named(row, column, TaskState::parse)
}

/// A name that a list of ours knows.
pub fn named<T>(row: &PgRow, column: &'static str, parse: fn(&str) -> Option<T>) -> sqlx::Result<T> {
    let value: String = row.try_get(column)?;
    parse(&value).ok_or_else(|| unknown(column, value))
}

/// A number that the schema keeps from being negative.
pub fn number(row: &PgRow, column: &'static str) -> sqlx::Result<u32> {
    let value: i32 = row.try_get(column)?;
    u32::try_from(value).map_err(|_| unknown(column, value.to_string()))
}

fn unknown(column: &'static str, value: String) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: column.to_owned(), source: Box::new(Unknown { column, value }) }
}
