//! Runs with their task instances and open attempts, in three statements.

use std::{collections::HashMap, sync::Arc};

use gridflow_core::{
    ActiveRunRow, AttemptId, AttemptRow, MapIndex, NodeBinding, NodeId, QueuedRun, RunKey, RunState, TaskInstanceKey,
    TaskInstanceRow, TaskNo, Timestamp, TryNumber, Turn, WaitRow,
};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{Error, Inconsistency, decode::Row, run::QueuedRow};

#[derive(Default)]
pub(super) struct Read {
    pub runs: Vec<ActiveRunRow>,
    /// One per row that can't be read, with its run.
    pub wrong: Vec<(RunKey, Inconsistency)>,
}

pub(super) async fn read(conn: &mut PgConnection, keys: &[Uuid]) -> Result<Read, Error> {
    let mut read = Read::default();
    if keys.is_empty() {
        return Ok(read);
    }
    let mut task_instances: HashMap<Uuid, Vec<TaskInstanceRow>> = HashMap::new();
    for row in task_instance_rows(conn, keys).await? {
        let run = row.dag_run_id;
        match row.decode() {
            Ok(row) => task_instances.entry(run).or_default().push(row),
            Err(wrong) => read.wrong.push((RunKey(run), wrong)),
        }
    }
    let mut attempts: HashMap<Uuid, Vec<AttemptRow>> = HashMap::new();
    for row in attempt_rows(conn, keys).await? {
        let run = row.dag_run_id;
        match row.decode() {
            Ok(row) => attempts.entry(run).or_default().push(row),
            Err(wrong) => read.wrong.push((RunKey(run), wrong)),
        }
    }
    for row in run_rows(conn, keys).await? {
        let key = row.id;
        let task_instances = task_instances.remove(&key).unwrap_or_default();
        let open_attempts = attempts.remove(&key).unwrap_or_default();
        match row.decode(task_instances, open_attempts) {
            Ok(run) => read.runs.push(run),
            Err(wrong) => read.wrong.push((RunKey(key), wrong)),
        }
    }
    Ok(read)
}

async fn run_rows(conn: &mut PgConnection, keys: &[Uuid]) -> Result<Vec<RunRow>, Error> {
    let rows = sqlx::query_as!(
        RunRow,
        "SELECT id, dag_id, dag_version_id, run_id, run_type, logical_date, data_interval_start, data_interval_end, run_after,
            state, started_at, ended_at, reason
         FROM dag_run
         WHERE id = ANY($1)",
        keys
    );
    Ok(rows.fetch_all(conn).await?)
}

async fn task_instance_rows(conn: &mut PgConnection, keys: &[Uuid]) -> Result<Vec<TiRow>, Error> {
    let rows = sqlx::query_as!(
        TiRow,
        r#"SELECT ti.dag_run_id, ti.task_no, ti.map_index, ti.state, ti.try_number, ti.tries_max, ti.losses, ti.attempt_id,
            ti.scheduled_at, ti.queued_at, ti.started_at, ti.ended_at, ti.retry_at, ti.waits_for_run, ti.reason,
            w.state AS "wait_state?"
        FROM task_instance AS ti
        LEFT JOIN dag_run AS w ON w.id = ti.waits_for_run
        WHERE ti.dag_run_id = ANY($1)
        ORDER BY ti.dag_run_id, ti.task_no, ti.map_index"#,
        keys
    );
    Ok(rows.fetch_all(conn).await?)
}

async fn attempt_rows(conn: &mut PgConnection, keys: &[Uuid]) -> Result<Vec<OpenAttemptRow>, Error> {
    let rows = sqlx::query_as!(
        OpenAttemptRow,
        "SELECT dag_run_id, attempt_id, task_no, map_index, try_number, state, executor, node_id, boot, claim, place,
            queued_turn, spec_hash, queued_at, started_at, pid
         FROM attempt
         WHERE is_open AND dag_run_id = ANY($1)
         ORDER BY dag_run_id, attempt_id",
        keys
    );
    Ok(rows.fetch_all(conn).await?)
}

struct RunRow {
    id: Uuid,
    dag_id: String,
    dag_version_id: Uuid,
    run_id: String,
    run_type: String,
    logical_date: Option<Timestamp>,
    data_interval_start: Option<Timestamp>,
    data_interval_end: Option<Timestamp>,
    run_after: Timestamp,
    state: String,
    started_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    reason: Option<String>,
}

impl RunRow {
    fn decode(
        self,
        task_instances: Vec<TaskInstanceRow>,
        open_attempts: Vec<AttemptRow>,
    ) -> Result<ActiveRunRow, Inconsistency> {
        let state: RunState = Row { table: "dag_run", key: &self.id }.run_state(&self.state)?;
        let queued = QueuedRow {
            id: self.id,
            dag_id: self.dag_id,
            dag_version_id: self.dag_version_id,
            run_id: self.run_id,
            run_type: self.run_type,
            logical_date: self.logical_date,
            data_interval_start: self.data_interval_start,
            data_interval_end: self.data_interval_end,
            run_after: self.run_after,
        };
        Ok(ActiveRunRow {
            run: QueuedRun::try_from(queued)?,
            state,
            started_at: self.started_at,
            ended_at: self.ended_at,
            reason: self.reason,
            task_instances,
            open_attempts,
        })
    }
}

struct TiRow {
    dag_run_id: Uuid,
    task_no: i32,
    map_index: i32,
    state: String,
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
    reason: Option<String>,
    wait_state: Option<String>,
}

impl TiRow {
    fn decode(self) -> Result<TaskInstanceRow, Inconsistency> {
        let place = format!("{} {} {}", self.dag_run_id, self.task_no, self.map_index);
        let at = Row { table: "task_instance", key: &place };
        let wait_state = self.wait_state.as_deref().map(|state| at.run_state(state)).transpose()?;
        Ok(TaskInstanceRow {
            key: TaskInstanceKey {
                run: RunKey(self.dag_run_id),
                task_no: TaskNo(at.number("task_no", self.task_no)?),
                map_index: MapIndex(self.map_index),
            },
            state: at.task_state(&self.state)?,
            try_number: TryNumber(at.number("try_number", self.try_number)?),
            tries_max: at.number("tries_max", self.tries_max)?,
            attempt: self.attempt_id.map(AttemptId),
            scheduled_at: self.scheduled_at,
            queued_at: self.queued_at,
            started_at: self.started_at,
            ended_at: self.ended_at,
            retry_at: self.retry_at,
            wait: self.waits_for_run.map(|run| WaitRow { run: RunKey(run), state: wait_state }),
            reason: self.reason,
            losses: at.number("losses", self.losses)?,
        })
    }
}

struct OpenAttemptRow {
    dag_run_id: Uuid,
    attempt_id: Uuid,
    task_no: i32,
    map_index: i32,
    try_number: i32,
    state: String,
    executor: String,
    node_id: Option<Uuid>,
    boot: Option<String>,
    claim: Option<String>,
    place: Option<String>,
    queued_turn: i64,
    spec_hash: Option<Vec<u8>>,
    queued_at: Timestamp,
    started_at: Option<Timestamp>,
    pid: Option<i64>,
}

impl OpenAttemptRow {
    fn decode(self) -> Result<AttemptRow, Inconsistency> {
        let at = Row { table: "attempt", key: &self.attempt_id };
        let binding = self.node_id.zip(self.boot);
        let spec_hash = self.spec_hash.map(|hash| at.known("spec_hash", hash.try_into().ok())).transpose()?;
        Ok(AttemptRow {
            attempt: AttemptId(self.attempt_id),
            key: TaskInstanceKey {
                run: RunKey(self.dag_run_id),
                task_no: TaskNo(at.number("task_no", self.task_no)?),
                map_index: MapIndex(self.map_index),
            },
            try_number: TryNumber(at.number("try_number", self.try_number)?),
            state: at.attempt_state(&self.state)?,
            executor: at.executor(&self.executor)?,
            binding: binding.map(|(node, boot)| NodeBinding { node: NodeId(node), boot: Arc::from(boot) }),
            claim: self.claim.map(Arc::from),
            place: self.place.map(Arc::from),
            queued_turn: Turn(self.queued_turn),
            spec_hash,
            queued_at: self.queued_at,
            started_at: self.started_at,
            pid: self.pid.map(|pid| at.number("pid", pid)).transpose()?,
        })
    }
}
