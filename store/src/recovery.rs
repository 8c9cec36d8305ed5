//! What a new leader reads before its first turn: all that is unfinished, and what it stands on.

mod run_rows;

use std::collections::HashSet;

use gridflow_core::{ActiveRunRow, DagId, DagVersionId, PoolRow, QueuedRun, RunKey, ScheduleCursor, TaskInstanceRow};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    Error, Inconsistency,
    decode::Row,
    event::{self, PendingEvent},
    leader::Leader,
    pool,
    run::QueuedRow,
    xcom::{self, Xcom},
};

/// How much is read at once; what is beyond stays in the database and is fetched as room appears.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub queued_per_dag: u32,
    pub events: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { queued_per_dag: 64, events: 1_000 }
    }
}

/// All of it, from one snapshot.
#[derive(Debug, Default)]
pub struct Rows {
    pub dags: Vec<Dag>,
    /// Versions that unfinished runs or DAGs stand on; compile them from [`crate::dag_version::sources`].
    pub versions: Vec<DagVersionId>,
    pub pools: Vec<PoolRow>,
    /// Running runs with all their rows, and finished ones that still have open attempts.
    pub runs: Vec<ActiveRunRow>,
    /// The first queued runs of each DAG, by (run after, key).
    pub queued: Vec<QueuedRun>,
    pub events: Vec<PendingEvent>,
    /// Outputs of the tasks of `runs`.
    pub xcoms: Vec<Xcom>,
    /// Runs left out because one of their rows can't be read, each with its reason. The others go on.
    pub quarantined: Vec<(RunKey, Inconsistency)>,
    /// Rows of other tables that can't be read, and were left out.
    pub unreadable: Vec<Inconsistency>,
}

/// A DAG as it was left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dag {
    pub dag: DagId,
    /// None: gone from its bundle.
    pub current: Option<DagVersionId>,
    pub is_paused: bool,
    pub cursor: ScheduleCursor,
    /// How many queued runs the database holds.
    pub queued_count: u64,
}

/// Reads everything in one snapshot. Like any error of the leader's, one here poisons it.
pub async fn read(leader: &mut Leader, limits: Limits) -> Result<Rows, Error> {
    let mut fenced = leader.begin_snapshot().await?;
    let mut rows = Rows::default();
    dags(&mut fenced, &mut rows).await?;
    rows.pools = pool::all(&mut fenced).await?;
    runs(&mut fenced, &mut rows).await?;
    queued(&mut fenced, &mut rows, limits.queued_per_dag).await?;
    for event in event::read_pending(&mut fenced, limits.events).await? {
        match event {
            Ok(event) => rows.events.push(event),
            Err(wrong) => rows.unreadable.push(wrong),
        }
    }
    let keys: Vec<RunKey> = rows.runs.iter().map(|run| run.run.key).collect();
    rows.xcoms = xcom::of_runs(&mut fenced, &keys).await?;
    fenced.commit().await?;
    rows.versions = versions(&rows);
    Ok(rows)
}

fn versions(rows: &Rows) -> Vec<DagVersionId> {
    let current = rows.dags.iter().filter_map(|dag| dag.current);
    let pinned = rows.runs.iter().map(|run| &run.run).chain(&rows.queued).map(|run| run.version);
    let mut versions: Vec<_> = current.chain(pinned).collect::<HashSet<_>>().into_iter().collect();
    versions.sort_unstable();
    versions
}

async fn dags(conn: &mut PgConnection, rows: &mut Rows) -> Result<(), Error> {
    let found = sqlx::query!(
        r#"SELECT d.dag_id, d.current_version_id, d.is_paused, d.cursor_last, d.removed_at IS NOT NULL AS "is_removed!",
            coalesce(q.count, 0) AS "queued_count!"
        FROM dag AS d
        LEFT JOIN (SELECT dag_id, count(*) FROM dag_run WHERE state = 'queued' GROUP BY dag_id) AS q USING (dag_id)
        WHERE d.workspace_id = 1
        ORDER BY d.dag_id"#
    )
    .fetch_all(conn)
    .await?;
    for row in found {
        match (Row { table: "dag", key: &row.dag_id }).dag_id(&row.dag_id) {
            Ok(dag) => rows.dags.push(Dag {
                dag,
                current: (!row.is_removed).then_some(DagVersionId(row.current_version_id)),
                is_paused: row.is_paused,
                cursor: ScheduleCursor { last: row.cursor_last },
                queued_count: row.queued_count.unsigned_abs(),
            }),
            Err(wrong) => rows.unreadable.push(wrong),
        }
    }
    Ok(())
}

async fn queued(conn: &mut PgConnection, rows: &mut Rows, per_dag: u32) -> Result<(), Error> {
    // One short index scan per DAG that has any, never all queued runs.
    let found = sqlx::query_as!(
        QueuedRow,
        r#"SELECT r.id, r.dag_id, r.dag_version_id, r.run_id, r.run_type, r.logical_date, r.data_interval_start,
            r.data_interval_end, r.run_after
        FROM dag AS d
        CROSS JOIN LATERAL (
            SELECT * FROM dag_run
            WHERE state = 'queued' AND dag_run.dag_id = d.dag_id
            ORDER BY run_after, id
            LIMIT $1) AS r
        WHERE d.workspace_id = 1
        ORDER BY r.dag_id, r.run_after, r.id"#,
        i64::from(per_dag)
    )
    .fetch_all(conn)
    .await?;
    for row in found {
        let key = RunKey(row.id);
        match QueuedRun::try_from(row) {
            Ok(run) => rows.queued.push(run),
            Err(wrong) => rows.quarantined.push((key, wrong)),
        }
    }
    Ok(())
}

async fn runs(conn: &mut PgConnection, rows: &mut Rows) -> Result<(), Error> {
    let keys: Vec<Uuid> = sqlx::query_file_scalar!("queries/recovery_run_keys.sql").fetch_all(&mut *conn).await?;
    let mut read = run_rows::read(conn, &keys).await?;
    read.runs.sort_by_key(|run| run.run.key);
    let quarantined: HashSet<RunKey> = read.wrong.iter().map(|(run, _)| *run).collect();
    rows.runs.extend(read.runs.into_iter().filter(|run| !quarantined.contains(&run.run.key)));
    let mut seen = HashSet::new();
    rows.quarantined.extend(read.wrong.into_iter().filter(|(run, _)| seen.insert(*run)));
    Ok(())
}

/// The task instances of a run as they stand, for those that need no recovery: handlers, tests, doctors.
pub async fn task_instances(conn: &mut PgConnection, run: RunKey) -> Result<Vec<TaskInstanceRow>, Error> {
    let read = run_rows::read(conn, &[run.0]).await?;
    if let Some((_, wrong)) = read.wrong.into_iter().next() {
        return Err(wrong.into());
    }
    Ok(read.runs.into_iter().flat_map(|run| run.task_instances).collect())
}
