//! DAGs: published by the leader, set-based, a thousand at a time.

mod publish;

use gridflow_core::{CursorWrite, DagId, DagVersionId, Timestamp};
use sqlx::PgConnection;

pub use publish::{Change, ClearedErrors, Publication, PublishDag, Published, TaskSummary, VersionFile, publish};

use crate::{Error, decode::Row, turn_row::turn_row};

/// A file that can't be loaded now.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportError {
    /// Relative to the bundle.
    pub file: String,
    pub dag: Option<DagId>,
    /// All diagnostics as text.
    pub message: String,
    /// The same as data.
    pub diagnostics: serde_json::Value,
}

/// Which version new runs of a DAG are pinned to, and whether it may be triggered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Current {
    pub version: DagVersionId,
    pub is_paused: bool,
    /// It left its bundle.
    pub is_removed: bool,
}

/// What a DAG's new runs are pinned to; none for one never seen.
pub async fn current(conn: &mut PgConnection, dag: &DagId) -> Result<Option<Current>, Error> {
    let row = sqlx::query!(
        r#"SELECT current_version_id, is_paused, removed_at IS NOT NULL AS "is_removed!"
        FROM dag WHERE dag_id = $1 AND workspace_id = 1"#,
        dag.as_str()
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| Current {
        version: DagVersionId(row.current_version_id),
        is_paused: row.is_paused,
        is_removed: row.is_removed,
    }))
}

/// What is published of a DAG: lets a loader see what differs from its folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    pub dag: DagId,
    pub version: DagVersionId,
    /// Relative to the bundle.
    pub file: String,
    /// Over the YAML and every file it refers to.
    pub hash: crate::blob::BlobHash,
}

/// All DAGs that are in the bundle now.
pub async fn live(conn: &mut PgConnection) -> Result<Vec<Live>, Error> {
    let rows = sqlx::query!(
        "SELECT d.dag_id, d.file, v.id, v.hash FROM dag AS d JOIN dag_version AS v ON v.id = d.current_version_id
         WHERE d.removed_at IS NULL AND d.workspace_id = 1"
    )
    .fetch_all(conn)
    .await?;
    let decode = |dag_id: String, file: String, version, hash: Vec<u8>| {
        let at = Row { table: "dag", key: &dag_id };
        let hash = at.known("hash", hash.try_into().ok())?;
        Ok(Live { dag: at.dag_id(&dag_id)?, version: DagVersionId(version), file, hash })
    };
    rows.into_iter().map(|row| decode(row.dag_id, row.file, row.id, row.hash)).collect()
}

/// Where a turn leaves a schedule.
#[derive(Debug, sqlx::Encode)]
pub(crate) struct CursorRow<'a> {
    dag_id: &'a str,
    last: Option<Timestamp>,
    next: Option<Timestamp>,
}

turn_row!(CursorRow<'_>, "turn_v1_cursor");

impl<'a> From<&'a CursorWrite> for CursorRow<'a> {
    fn from(write: &'a CursorWrite) -> Self {
        Self { dag_id: write.dag.as_str(), last: write.cursor.last, next: write.next_run_after }
    }
}

/// A DAG that a turn pauses or unpauses.
#[derive(Debug, sqlx::Encode)]
pub(crate) struct PauseRow<'a> {
    dag_id: &'a str,
    is_paused: bool,
}

turn_row!(PauseRow<'_>, "turn_v1_pause");

impl<'a> From<&'a (DagId, bool)> for PauseRow<'a> {
    fn from((dag, is_paused): &'a (DagId, bool)) -> Self {
        Self { dag_id: dag.as_str(), is_paused: *is_paused }
    }
}
