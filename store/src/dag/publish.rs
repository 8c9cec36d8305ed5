//! Publishing what the loader found: versions, files, DAGs, import errors, in one fenced transaction.

mod rows;

use std::{collections::HashMap, sync::Arc};

use gridflow_core::{DagId, DagVersionId, ScheduleCursor, Timestamp};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::ImportError;
use crate::{Error, blob::BlobHash, leader::Leader};

/// What the loader found to be different.
#[derive(Debug, Clone, Default)]
pub struct Publication {
    /// DAGs that are good now; unchanged ones cost little.
    pub dags: Vec<PublishDag>,
    /// DAGs that left their bundle.
    pub removed: Vec<DagId>,
    /// Contents of all files that `dags` name, YAML included; those the database has may be left out
    /// (see [`crate::blob::missing`]).
    pub contents: HashMap<BlobHash, Arc<[u8]>>,
    /// Files that are broken now.
    pub import_errors: Vec<ImportError>,
    /// Files whose import errors are gone, whatever they were.
    pub cleared: ClearedErrors,
}

/// Whose import errors are gone, apart from the new ones.
#[derive(Debug, Clone, Default)]
pub enum ClearedErrors {
    /// Everything was looked at.
    #[default]
    All,
    /// Only these files were looked at.
    Of(Vec<String>),
}

/// One good DAG.
#[derive(Debug, Clone)]
pub struct PublishDag {
    pub dag: DagId,
    /// Relative to the bundle.
    pub file: String,
    /// Over the YAML and every file it refers to.
    pub hash: BlobHash,
    /// Of the YAML alone.
    pub source: BlobHash,
    pub files: Vec<VersionFile>,
    /// By task number.
    pub tasks: Vec<TaskSummary>,
    pub owner: Option<String>,
    pub tags: Vec<String>,
    pub description: Option<String>,
    /// What lists show and nothing filters by.
    pub details: Value,
    /// Counts only when the DAG is seen for the first time.
    pub is_paused_at_creation: bool,
}

/// A file that a version refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionFile {
    /// Relative to the DAG file.
    pub path: String,
    pub hash: BlobHash,
    /// Permission bits.
    pub mode: u32,
}

/// What lists show of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskSummary {
    pub task_id: String,
    /// `outer.inner`, empty at the top.
    pub group_path: String,
    pub operator: String,
    pub pool: String,
    pub pool_slots: u32,
    /// The one that admission goes by.
    pub priority_weight: i32,
}

/// What became of a published DAG.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    pub dag: DagId,
    pub version: DagVersionId,
    pub change: Change,
    pub is_paused: bool,
    pub cursor: ScheduleCursor,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Seen for the first time.
    Created,
    /// A new version, because the one before has runs.
    NewVersion,
    /// The version had no runs and now means this.
    Overwritten,
    /// The same as before, and it was gone from its bundle meanwhile.
    Returned,
    Unchanged,
}

/// Publishes; says what became of each DAG, in the order given. On an error the leader is poisoned, as by a turn.
pub async fn publish(leader: &mut Leader, publication: &Publication, at: Timestamp) -> Result<Vec<Published>, Error> {
    let mut fenced = leader.begin().await?;
    let published = write(&mut fenced, publication, at).await?;
    fenced.commit().await?;
    Ok(published)
}

async fn write(conn: &mut PgConnection, publication: &Publication, at: Timestamp) -> Result<Vec<Published>, Error> {
    let present = present(conn, &publication.dags).await?;
    let decided: Vec<Decided<'_>> = publication.dags.iter().map(|dag| decide(dag, present.get(&dag.dag))).collect();
    let is_new = |decided: &&Decided<'_>| matches!(decided.change, Change::Created | Change::NewVersion);
    let is_overwritten = |decided: &&Decided<'_>| decided.change == Change::Overwritten;
    let new: Vec<_> = decided.iter().filter(is_new).collect();
    let overwritten: Vec<_> = decided.iter().filter(is_overwritten).collect();
    let rewritten: Vec<_> = new.iter().chain(&overwritten).copied().collect();

    rows::store_contents(conn, &rewritten, &publication.contents).await?;
    rows::insert_versions(conn, &new, at).await?;
    rows::overwrite_versions(conn, &overwritten, at).await?;
    rows::insert_files(conn, &rewritten).await?;
    rows::insert_tasks(conn, &rewritten).await?;
    rows::write_dags(conn, &decided, at).await?;
    rows::remove(conn, &publication.removed, at).await?;
    rows::write_import_errors(conn, publication, at).await?;
    Ok(decided.into_iter().map(Decided::published).collect())
}

/// A DAG as the database has it.
struct Present {
    version: Uuid,
    number: i32,
    hash: Vec<u8>,
    has_runs: bool,
    is_paused: bool,
    is_removed: bool,
    cursor: ScheduleCursor,
}

async fn present(conn: &mut PgConnection, dags: &[PublishDag]) -> Result<HashMap<DagId, Present>, Error> {
    // Whether a version has runs is asked only where the hash differs.
    let rows = sqlx::query!(
        r#"SELECT t.place AS "place!", d.current_version_id, d.is_paused, d.cursor_last,
            d.removed_at IS NOT NULL AS "is_removed!", v.hash, v.number,
            CASE WHEN v.hash = t.hash THEN false
                 ELSE EXISTS (SELECT FROM dag_run AS r WHERE r.dag_version_id = v.id) END AS "has_runs!"
        FROM unnest($1::text[], $2::bytea[]) WITH ORDINALITY AS t (dag_id, hash, place)
        JOIN dag AS d ON d.dag_id = t.dag_id AND d.workspace_id = 1
        JOIN dag_version AS v ON v.id = d.current_version_id"#,
        &dags.iter().map(|dag| dag.dag.as_str().to_owned()).collect::<Vec<_>>(),
        &dags.iter().map(|dag| dag.hash.to_vec()).collect::<Vec<_>>(),
    )
    .fetch_all(conn)
    .await?;
    let found = rows.into_iter().filter_map(|row| {
        let dag = dags.get(usize::try_from(row.place).ok()? - 1)?;
        let present = Present {
            version: row.current_version_id,
            number: row.number,
            hash: row.hash,
            has_runs: row.has_runs,
            is_paused: row.is_paused,
            is_removed: row.is_removed,
            cursor: ScheduleCursor { last: row.cursor_last },
        };
        Some((dag.dag.clone(), present))
    });
    Ok(found.collect())
}

struct Decided<'p> {
    dag: &'p PublishDag,
    version: Uuid,
    number: i32,
    change: Change,
    is_paused: bool,
    cursor: ScheduleCursor,
}

impl Decided<'_> {
    fn published(self) -> Published {
        Published {
            dag: self.dag.dag.clone(),
            version: DagVersionId(self.version),
            change: self.change,
            is_paused: self.is_paused,
            cursor: self.cursor,
        }
    }
}

/// The version rule: a new version where the present one has runs; else it is overwritten.
fn decide<'p>(dag: &'p PublishDag, present: Option<&Present>) -> Decided<'p> {
    let Some(present) = present else {
        let cursor = ScheduleCursor::default();
        let (version, is_paused) = (Uuid::now_v7(), dag.is_paused_at_creation);
        return Decided { dag, version, number: 1, change: Change::Created, is_paused, cursor };
    };
    let (version, number, change) = if present.hash == dag.hash {
        let change = if present.is_removed { Change::Returned } else { Change::Unchanged };
        (present.version, present.number, change)
    } else if present.has_runs {
        (Uuid::now_v7(), present.number + 1, Change::NewVersion)
    } else {
        (present.version, present.number, Change::Overwritten)
    };
    Decided { dag, version, number, change, is_paused: present.is_paused, cursor: present.cursor }
}
