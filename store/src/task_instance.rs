//! Task instances: written only by the leader's turns.

use std::borrow::Cow;

use gridflow_core::{TaskInstanceWrite, Timestamp};
use uuid::Uuid;

use crate::{text::clean_opt, turn_row::turn_row};

/// A task instance as a turn leaves it.
#[derive(Debug, sqlx::Encode)]
pub(crate) struct TurnRow<'a> {
    dag_run_id: Uuid,
    task_no: i32,
    map_index: i32,
    /// None: the turn makes it.
    from_state: Option<&'static str>,
    state: &'static str,
    try_number: i32,
    tries_max: i32,
    losses: i32,
    attempt_id: Option<Uuid>,
    scheduled_at: Option<Timestamp>,
    queued_at: Option<Timestamp>,
    started_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    retry_at: Option<Timestamp>,
    waits_for_run: Option<Uuid>,
    reason: Option<Cow<'a, str>>,
}

turn_row!(TurnRow<'_>, "turn_v1_task_instance");

impl<'a> From<&'a TaskInstanceWrite> for TurnRow<'a> {
    fn from(write: &'a TaskInstanceWrite) -> Self {
        Self {
            dag_run_id: write.key.run.0,
            task_no: write.key.task_no.0 as i32,
            map_index: write.key.map_index.0,
            from_state: write.from.map(|state| state.as_str()),
            state: write.to.as_str(),
            try_number: write.try_number.0 as i32,
            tries_max: i32::try_from(write.tries_max).unwrap_or(i32::MAX),
            losses: i32::try_from(write.losses).unwrap_or(i32::MAX),
            attempt_id: write.attempt.map(|attempt| attempt.0),
            scheduled_at: write.scheduled_at,
            queued_at: write.queued_at,
            started_at: write.started_at,
            ended_at: write.ended_at,
            retry_at: write.retry_at,
            waits_for_run: write.waits_for_run.map(|run| run.0),
            reason: clean_opt(write.reason.as_deref()),
        }
    }
}
