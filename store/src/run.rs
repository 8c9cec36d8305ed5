//! DAG runs: anyone may create one, afterwards only the leader changes it.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
};

use gridflow_core::{
    DagId, DagVersionId, DataInterval, FinishedRunRow, NewRun, QueuedRun, RunId, RunKey, RunState, RunWrite,
    TaskInstanceKey, Timestamp,
};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    Error, Inconsistency,
    decode::Row,
    error::expect_rows,
    leader::Leader,
    text::{clean, clean_opt, cleaned},
    turn_row::turn_row,
};

/// Commits a queued run together with the inbox row that tells the leader: [`Error::RunIdTaken`] and
/// [`Error::LogicalDateTaken`] are the caller's to answer. Works while no leader lives.
pub async fn create(conn: &mut PgConnection, run: &NewRun) -> Result<(), Error> {
    let queued = &run.queued;
    sqlx::query_file!(
        "queries/run_create.sql",
        queued.key.0,
        queued.dag.as_str(),
        queued.run_id.as_str(),
        queued.version.0,
        queued.run_type.as_str(),
        queued.logical_date,
        queued.data_interval.map(|interval| interval.start),
        queued.data_interval.map(|interval| interval.end),
        queued.run_after,
        run.queued_at,
        run.triggered_by.as_str(),
        cleaned(run.actor.as_deref()),
        run.conf.to_string(),
        run.trigger.as_deref().map(ToString::to_string),
        run.parent.map(|parent| parent.run.0),
        run.parent.map(|parent| parent.task_no.0 as i32),
        run.parent.map(|parent| parent.map_index.0),
        cleaned(run.note.as_deref()),
        cleaned(run.traceparent.as_deref()),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The queued runs of a DAG behind a place in their order, by (run after, key).
pub async fn queued_after(
    conn: &mut PgConnection,
    dag: &DagId,
    after: Option<(Timestamp, RunKey)>,
    limit: u32,
) -> Result<Vec<QueuedRun>, Error> {
    let (run_after, key) = after.unwrap_or((Timestamp::MIN_UTC, RunKey(Uuid::nil())));
    // PostgreSQL's instants begin later than chrono's.
    let run_after = run_after.max(chrono::DateTime::UNIX_EPOCH - chrono::Days::new(365 * 1_000));
    let rows = sqlx::query_file_as!(
        QueuedRow,
        "queries/run_queued_after.sql",
        dag.as_str(),
        run_after,
        key.0,
        i64::from(limit),
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(QueuedRun::try_from).collect::<Result<_, _>>()?)
}

/// Which logical dates and run ids are taken by runs of a DAG.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taken {
    pub logical_dates: Vec<Timestamp>,
    pub run_ids: Vec<RunId>,
}

/// Which of these does the DAG have runs for? Both in the order asked.
pub async fn taken(
    conn: &mut PgConnection,
    dag: &DagId,
    logical_dates: &[Timestamp],
    run_ids: &[RunId],
) -> Result<Taken, Error> {
    let names: Vec<String> = run_ids.iter().map(|id| id.as_str().to_owned()).collect();
    // Two look-ups by unique key, not one with OR: that would read all runs of the DAG.
    let rows = sqlx::query!(
        r#"SELECT logical_date, NULL AS run_id FROM dag_run WHERE dag_id = $1 AND logical_date = ANY($2)
        UNION ALL
        SELECT NULL, run_id FROM dag_run WHERE dag_id = $1 AND run_id = ANY($3)"#,
        dag.as_str(),
        logical_dates,
        &names,
    )
    .fetch_all(conn)
    .await?;
    let mut dates_found = HashSet::new();
    let mut names_found = HashSet::new();
    for row in rows {
        dates_found.extend(row.logical_date);
        names_found.extend(row.run_id);
    }
    Ok(Taken {
        // The database keeps microseconds: compare what it would hold.
        logical_dates: logical_dates.iter().copied().filter(|date| dates_found.contains(&micros(*date))).collect(),
        run_ids: run_ids.iter().filter(|id| names_found.contains(id.as_str())).cloned().collect(),
    })
}

fn micros(instant: Timestamp) -> Timestamp {
    Timestamp::from_timestamp_micros(instant.timestamp_micros()).unwrap_or(instant)
}

/// A run as it stands now.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    pub queued: QueuedRun,
    pub state: RunState,
    pub queued_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub reason: Option<String>,
    pub conf: serde_json::Value,
    pub trigger: Option<serde_json::Value>,
    pub parent: Option<TaskInstanceKey>,
    pub traceparent: Option<String>,
}

/// A run by its key.
pub async fn get(conn: &mut PgConnection, key: RunKey) -> Result<Option<Run>, Error> {
    Ok(get_all(conn, &[key]).await?.into_iter().next())
}

/// Runs by their keys, in no order; those that do not exist are missing.
pub async fn get_all(conn: &mut PgConnection, keys: &[RunKey]) -> Result<Vec<Run>, Error> {
    let keys: Vec<Uuid> = keys.iter().map(|key| key.0).collect();
    let rows = sqlx::query_as!(
        RunRow,
        "SELECT id, dag_id, dag_version_id, run_id, run_type, logical_date, data_interval_start, data_interval_end, run_after,
                state, queued_at, started_at, ended_at, reason, conf, trigger, parent_run_id, parent_task_no,
                parent_map_index, traceparent
         FROM dag_run
         WHERE id = ANY($1)",
        &keys,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(Run::try_from).collect::<Result<_, _>>()?)
}

/// A run that waits to start; none once it has.
pub async fn get_queued(conn: &mut PgConnection, key: RunKey) -> Result<Option<QueuedRun>, Error> {
    let run = get(conn, key).await?;
    Ok(run.filter(|run| run.state == RunState::Queued).map(|run| run.queued))
}

/// The key of a run by its DAG and name.
pub async fn find(conn: &mut PgConnection, dag: &DagId, run_id: &RunId) -> Result<Option<RunKey>, Error> {
    let key =
        sqlx::query_scalar!("SELECT id FROM dag_run WHERE dag_id = $1 AND run_id = $2", dag.as_str(), run_id.as_str())
            .fetch_optional(conn)
            .await?;
    Ok(key.map(RunKey))
}

/// The newest finished runs of each DAG, by (run after, key), as many as asked for it.
pub async fn newest_finished(
    conn: &mut PgConnection,
    wanted: &[(DagId, u32)],
) -> Result<Vec<(DagId, FinishedRunRow)>, Error> {
    let rows = sqlx::query!(
        "SELECT r.dag_id, r.id, r.run_after, r.state
         FROM unnest($1::text[], $2::bigint[]) AS t (dag_id, wanted)
         CROSS JOIN LATERAL (
             SELECT dag_id, id, run_after, state FROM dag_run
             WHERE dag_run.dag_id = t.dag_id AND state IN ('success', 'failed')
             ORDER BY run_after DESC, id DESC
             LIMIT t.wanted) AS r",
        &wanted.iter().map(|(dag, _)| dag.as_str().to_owned()).collect::<Vec<_>>(),
        &wanted.iter().map(|(_, count)| i64::from(*count)).collect::<Vec<_>>(),
    )
    .fetch_all(conn)
    .await?;
    let decode = |dag_id: String, id: Uuid, run_after: Timestamp, state: String| {
        let at = Row { table: "dag_run", key: &id };
        Ok((at.dag_id(&dag_id)?, FinishedRunRow { run: RunKey(id), run_after, state: at.run_state(&state)? }))
    };
    rows.into_iter().map(|row| decode(row.dag_id, row.id, row.run_after, row.state)).collect()
}

/// Says why nothing is decided about some unfinished runs, for people to see, and takes back what earlier leaders said
/// of others. On an error the leader is poisoned.
pub async fn explain(leader: &mut Leader, reasons: &[(RunKey, String)]) -> Result<(), Error> {
    let runs: Vec<_> = reasons.iter().map(|(run, _)| run.0).collect();
    let mut fenced = leader.begin().await?;
    // Each half has an index of its own.
    sqlx::query!(
        "UPDATE dag_run SET reason = NULL
         WHERE id IN (SELECT id FROM dag_run WHERE state = 'running' AND reason IS NOT NULL
                      UNION ALL SELECT id FROM dag_run WHERE state = 'queued' AND reason IS NOT NULL)
           AND id <> ALL($1)",
        &runs,
    )
    .execute(&mut *fenced)
    .await?;
    sqlx::query!(
        "UPDATE dag_run AS r SET reason = t.reason
         FROM unnest($1::uuid[], $2::text[]) AS t (id, reason)
         WHERE r.id = t.id AND r.state IN ('queued', 'running')",
        &runs,
        &reasons.iter().map(|(_, reason)| clean(reason).into_owned()).collect::<Vec<_>>(),
    )
    .execute(&mut *fenced)
    .await?;
    fenced.commit().await
}

/// A run that a turn creates, in the state that it leaves it in.
#[derive(Debug, sqlx::Encode)]
pub(crate) struct NewTurnRow<'a> {
    id: Uuid,
    dag_id: &'a str,
    run_id: &'a str,
    dag_version_id: Uuid,
    run_type: &'static str,
    state: &'static str,
    logical_date: Option<Timestamp>,
    data_interval_start: Option<Timestamp>,
    data_interval_end: Option<Timestamp>,
    run_after: Timestamp,
    queued_at: Timestamp,
    started_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    reason: Option<Cow<'a, str>>,
    triggered_by: &'static str,
    actor: Option<Cow<'a, str>>,
    /// JSON, like `trigger`.
    conf: String,
    trigger: Option<String>,
    parent_run_id: Option<Uuid>,
    parent_task_no: Option<i32>,
    parent_map_index: Option<i32>,
    note: Option<Cow<'a, str>>,
    traceparent: Option<Cow<'a, str>>,
}

turn_row!(NewTurnRow<'_>, "turn_v1_new_run");

impl<'a> NewTurnRow<'a> {
    fn of(run: &'a NewRun, write: &'a RunWrite) -> Self {
        let queued = &run.queued;
        Self {
            id: queued.key.0,
            dag_id: queued.dag.as_str(),
            run_id: queued.run_id.as_str(),
            dag_version_id: queued.version.0,
            run_type: queued.run_type.as_str(),
            state: write.to.as_str(),
            logical_date: queued.logical_date,
            data_interval_start: queued.data_interval.map(|interval| interval.start),
            data_interval_end: queued.data_interval.map(|interval| interval.end),
            run_after: queued.run_after,
            queued_at: run.queued_at,
            started_at: write.started_at,
            ended_at: write.ended_at,
            reason: clean_opt(write.reason.as_deref()),
            triggered_by: run.triggered_by.as_str(),
            actor: clean_opt(run.actor.as_deref()),
            conf: run.conf.to_string(),
            trigger: run.trigger.as_deref().map(ToString::to_string),
            parent_run_id: run.parent.map(|parent| parent.run.0),
            parent_task_no: run.parent.map(|parent| parent.task_no.0 as i32),
            parent_map_index: run.parent.map(|parent| parent.map_index.0),
            note: clean_opt(run.note.as_deref()),
            traceparent: clean_opt(run.traceparent.as_deref()),
        }
    }
}

/// A run that existed before the turn.
#[derive(Debug, sqlx::Encode)]
pub(crate) struct TurnRow<'a> {
    id: Uuid,
    from_state: &'static str,
    state: &'static str,
    started_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    reason: Option<Cow<'a, str>>,
}

turn_row!(TurnRow<'_>, "turn_v1_run");

/// The runs that a turn creates and those that it changes. Which state a new one is left in says its write.
pub(crate) fn turn_rows<'a>(
    runs: &'a [NewRun],
    writes: &'a [RunWrite],
) -> Result<(Vec<NewTurnRow<'a>>, Vec<TurnRow<'a>>), Error> {
    let mut made: HashMap<RunKey, &RunWrite> = HashMap::new();
    let mut changed = Vec::new();
    for write in writes {
        match write.from {
            None => _ = made.insert(write.key, write),
            Some(from) => changed.push(TurnRow {
                id: write.key.0,
                from_state: from.as_str(),
                state: write.to.as_str(),
                started_at: write.started_at,
                ended_at: write.ended_at,
                reason: clean_opt(write.reason.as_deref()),
            }),
        }
    }
    expect_rows("dag_run", made.len(), runs.len() as u64)?;
    let new = runs.iter().map(|run| {
        let write = made.get(&run.queued.key).ok_or(Error::RunWithoutState(run.queued.key))?;
        Ok(NewTurnRow::of(run, write))
    });
    Ok((new.collect::<Result<_, Error>>()?, changed))
}

/// What makes a [`QueuedRun`].
pub(crate) struct QueuedRow {
    pub id: Uuid,
    pub dag_id: String,
    pub dag_version_id: Uuid,
    pub run_id: String,
    pub run_type: String,
    pub logical_date: Option<Timestamp>,
    pub data_interval_start: Option<Timestamp>,
    pub data_interval_end: Option<Timestamp>,
    pub run_after: Timestamp,
}

impl TryFrom<QueuedRow> for QueuedRun {
    type Error = Inconsistency;

    fn try_from(row: QueuedRow) -> Result<Self, Inconsistency> {
        let at = Row { table: "dag_run", key: &row.id };
        Ok(Self {
            key: RunKey(row.id),
            dag: at.dag_id(&row.dag_id)?,
            version: DagVersionId(row.dag_version_id),
            run_id: at.run_id(&row.run_id)?,
            run_type: at.run_type(&row.run_type)?,
            logical_date: row.logical_date,
            data_interval: row
                .data_interval_start
                .zip(row.data_interval_end)
                .map(|(start, end)| DataInterval { start, end }),
            run_after: row.run_after,
        })
    }
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
    queued_at: Timestamp,
    started_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    reason: Option<String>,
    conf: serde_json::Value,
    trigger: Option<serde_json::Value>,
    parent_run_id: Option<Uuid>,
    parent_task_no: Option<i32>,
    parent_map_index: Option<i32>,
    traceparent: Option<String>,
}

impl TryFrom<RunRow> for Run {
    type Error = Inconsistency;

    fn try_from(row: RunRow) -> Result<Self, Inconsistency> {
        let at = Row { table: "dag_run", key: &row.id };
        let state = at.run_state(&row.state)?;
        let parent = match (row.parent_run_id, row.parent_task_no, row.parent_map_index) {
            (Some(run), Some(task_no), Some(map_index)) => Some(TaskInstanceKey {
                run: RunKey(run),
                task_no: gridflow_core::TaskNo(at.number("parent_task_no", task_no)?),
                map_index: gridflow_core::MapIndex(map_index),
            }),
            _ => None,
        };
        let queued = QueuedRow {
            id: row.id,
            dag_id: row.dag_id,
            dag_version_id: row.dag_version_id,
            run_id: row.run_id,
            run_type: row.run_type,
            logical_date: row.logical_date,
            data_interval_start: row.data_interval_start,
            data_interval_end: row.data_interval_end,
            run_after: row.run_after,
        };
        Ok(Self {
            queued: queued.try_into()?,
            state,
            queued_at: row.queued_at,
            started_at: row.started_at,
            ended_at: row.ended_at,
            reason: row.reason,
            conf: row.conf,
            trigger: row.trigger,
            parent,
            traceparent: row.traceparent,
        })
    }
}
