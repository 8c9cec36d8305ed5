//! The log that replays: one row per turn and run, one change a line.

use std::fmt::Write;

use gridflow_core::{
    AttemptId, AttemptState, Epoch, MapIndex, RunKey, RunState, TaskInstanceKey, TaskNo, TaskState, Timestamp,
    Transition, TryNumber, Turn,
};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{Error, Inconsistency, turn_row::turn_row};

/// What one turn did to one run.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub run: RunKey,
    pub turn: Turn,
    pub epoch: Epoch,
    pub at: Timestamp,
    pub changes: Vec<Transition>,
}

/// Everything that happened to a run, in order.
pub async fn of_run(conn: &mut PgConnection, run: RunKey) -> Result<Vec<Entry>, Error> {
    let rows = sqlx::query_as!(
        EntryRow,
        "SELECT dag_run_id, turn, epoch, at, changes FROM transition_log WHERE dag_run_id = $1 ORDER BY turn",
        run.0
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(|row| row.decode().map_err(Error::from)).collect()
}

/// What happened after a turn, over all runs, in order; a turn is never cut in two, so there may be more than `limit`.
pub async fn after(conn: &mut PgConnection, turn: Turn, limit: u32) -> Result<Vec<Entry>, Error> {
    let rows = sqlx::query_as!(
        EntryRow,
        "SELECT dag_run_id, turn, epoch, at, changes FROM transition_log
         WHERE turn > $1
         ORDER BY turn
         FETCH FIRST $2 ROWS WITH TIES",
        turn.0,
        i64::from(limit),
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(|row| row.decode().map_err(Error::from)).collect()
}

/// What a turn did to one run.
#[derive(Debug, sqlx::Encode)]
pub(crate) struct TurnRow {
    dag_run_id: Uuid,
    changes: String,
}

turn_row!(TurnRow, "turn_v1_log");

/// A turn's transitions, grouped by run in the order they were made.
pub(crate) fn turn_rows(transitions: &[Transition]) -> Vec<TurnRow> {
    let mut places = std::collections::HashMap::new();
    let mut rows = Vec::new();
    for transition in transitions {
        let run = run_of(transition);
        let place = *places.entry(run).or_insert_with(|| {
            rows.push(TurnRow { dag_run_id: run.0, changes: String::new() });
            rows.len() - 1
        });
        pack(&mut rows[place].changes, transition);
    }
    rows
}

fn run_of(transition: &Transition) -> RunKey {
    match transition {
        Transition::Run { run, .. } | Transition::Attempt { run, .. } => *run,
        Transition::TaskInstance { key, .. } => key.run,
    }
}

fn pack(out: &mut String, transition: &Transition) {
    let written = match transition {
        Transition::Run { from, to, .. } => {
            writeln!(out, "run {} {}", from.map_or("-", RunState::as_str), to.as_str())
        }
        Transition::TaskInstance { key, from, to, try_number } => writeln!(
            out,
            "ti {} {} {} {} {try_number}",
            key.task_no,
            key.map_index.0,
            from.map_or("-", TaskState::as_str),
            to.as_str()
        ),
        Transition::Attempt { attempt, from, to, .. } => {
            writeln!(out, "attempt {attempt} {} {}", from.map_or("-", AttemptState::as_str), to.as_str())
        }
    };
    written.expect("writing to a string does not fail");
}

/// Reads what [`pack`] wrote; none if it is anything else.
fn unpack(run: RunKey, line: &str) -> Option<Transition> {
    let words: Vec<&str> = line.split(' ').collect();
    match words[..] {
        ["run", from, to] => {
            Some(Transition::Run { run, from: before(from, RunState::parse)?, to: RunState::parse(to)? })
        }
        ["ti", task_no, map_index, from, to, try_number] => Some(Transition::TaskInstance {
            key: TaskInstanceKey {
                run,
                task_no: TaskNo(task_no.parse().ok()?),
                map_index: MapIndex(map_index.parse().ok()?),
            },
            from: before(from, TaskState::parse)?,
            to: TaskState::parse(to)?,
            try_number: TryNumber(try_number.parse().ok()?),
        }),
        ["attempt", attempt, from, to] => Some(Transition::Attempt {
            run,
            attempt: AttemptId(attempt.parse().ok()?),
            from: before(from, AttemptState::parse)?,
            to: AttemptState::parse(to)?,
        }),
        _ => None,
    }
}

/// `-` is a row that the turn made.
fn before<T>(text: &str, parse: fn(&str) -> Option<T>) -> Option<Option<T>> {
    if text == "-" { Some(None) } else { parse(text).map(Some) }
}

struct EntryRow {
    dag_run_id: Uuid,
    turn: i64,
    epoch: i64,
    at: Timestamp,
    changes: String,
}

impl EntryRow {
    fn decode(self) -> Result<Entry, Inconsistency> {
        let run = RunKey(self.dag_run_id);
        let changes = self.changes.lines().map(|line| unpack(run, line)).collect::<Option<Vec<_>>>();
        Ok(Entry {
            run,
            turn: Turn(self.turn),
            epoch: Epoch(self.epoch),
            at: self.at,
            changes: changes.ok_or_else(|| Inconsistency {
                table: "transition_log",
                column: "changes",
                row: format!("{run}, turn {}", self.turn),
            })?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_reads_back_the_same() {
        let run = RunKey(Uuid::from_u128(1));
        let key = TaskInstanceKey { run, task_no: TaskNo(7), map_index: MapIndex(-1) };
        let attempt = AttemptId(Uuid::from_u128(2));
        let mut transitions = vec![
            Transition::Run { run, from: None, to: RunState::Queued },
            Transition::Attempt { run, attempt, from: None, to: AttemptState::Queued },
        ];
        for to in TaskState::ALL {
            transitions.push(Transition::TaskInstance { key, from: None, to, try_number: TryNumber(0) });
            let from = Some(TaskState::NoStatus);
            transitions.push(Transition::TaskInstance { key, from, to, try_number: TryNumber(3) });
        }
        let rows = turn_rows(&transitions);
        assert_eq!((rows.len(), rows[0].dag_run_id), (1, run.0));
        let read: Option<Vec<_>> = rows[0].changes.lines().map(|line| unpack(run, line)).collect();
        assert_eq!(read, Some(transitions));
    }
}
