//! Publishing what the loader found: versions, files, DAGs, import errors, in one fenced transaction.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use gridflow_core::{DagId, DagVersionId, ScheduleCursor, Timestamp};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::ImportError;
use crate::{
    Error,
    blob::{self, BlobHash},
    error::expect_rows,
    leader::Leader,
    text::{clean, cleaned},
};

/// Contents are sent in pieces of about this size, so that one statement never holds a whole bundle.
const BLOB_BATCH_BYTES: usize = 4 << 20;

/// What the loader found to be different.
#[derive(Debug, Clone, Default)]
pub struct Publication {
    /// DAGs that are good now; unchanged ones cost little.
    pub dags: Vec<PublishDag>,
    /// DAGs that left their bundle.
    pub removed: Vec<DagId>,
    /// Contents of all files that `dags` name, YAML included; those the database has may be left out
    /// (see [`blob::missing`]).
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

    store_contents(conn, &rewritten, &publication.contents).await?;
    insert_versions(conn, &new, at).await?;
    overwrite_versions(conn, &overwritten, at).await?;
    insert_files(conn, &rewritten).await?;
    insert_tasks(conn, &rewritten).await?;
    write_dags(conn, &decided, at).await?;
    remove(conn, &publication.removed, at).await?;
    write_import_errors(conn, publication, at).await?;
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

async fn store_contents(
    conn: &mut PgConnection,
    rewritten: &[&Decided<'_>],
    contents: &HashMap<BlobHash, Arc<[u8]>>,
) -> Result<(), Error> {
    let named = rewritten
        .iter()
        .flat_map(|decided| std::iter::once(decided.dag.source).chain(decided.dag.files.iter().map(|file| file.hash)));
    let mut hashes: Vec<BlobHash> = named.collect::<HashSet<_>>().into_iter().collect();
    // Everyone inserts in the same order, so that nobody deadlocks.
    hashes.sort_unstable();
    if hashes.is_empty() {
        return Ok(());
    }
    let missing: HashSet<BlobHash> = blob::missing(conn, &hashes).await?.into_iter().collect();
    let (mut batch, mut bytes) = (Vec::new(), 0);
    for hash in hashes.into_iter().filter(|hash| missing.contains(hash)) {
        // One that is nowhere fails by its foreign key below.
        let Some(content) = contents.get(&hash) else { continue };
        bytes += content.len();
        batch.push((hash, &**content));
        if BLOB_BATCH_BYTES <= bytes {
            blob::insert(conn, &batch).await?;
            (batch, bytes) = (Vec::new(), 0);
        }
    }
    blob::insert(conn, &batch).await
}

async fn insert_versions(conn: &mut PgConnection, new: &[&Decided<'_>], at: Timestamp) -> Result<(), Error> {
    if new.is_empty() {
        return Ok(());
    }
    let done = sqlx::query!(
        "INSERT INTO dag_version (id, dag_id, number, hash, source_hash, created_at)
         SELECT id, dag_id, number, hash, source_hash, $6
         FROM unnest($1::uuid[], $2::text[], $3::int[], $4::bytea[], $5::bytea[])
             AS t (id, dag_id, number, hash, source_hash)",
        &new.iter().map(|decided| decided.version).collect::<Vec<_>>(),
        &new.iter().map(|decided| decided.dag.dag.as_str().to_owned()).collect::<Vec<_>>(),
        &new.iter().map(|decided| decided.number).collect::<Vec<_>>(),
        &new.iter().map(|decided| decided.dag.hash.to_vec()).collect::<Vec<_>>(),
        &new.iter().map(|decided| decided.dag.source.to_vec()).collect::<Vec<_>>(),
        at,
    )
    .execute(conn)
    .await?;
    expect_rows("dag_version", new.len(), done.rows_affected())
}

async fn overwrite_versions(conn: &mut PgConnection, overwritten: &[&Decided<'_>], at: Timestamp) -> Result<(), Error> {
    if overwritten.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = overwritten.iter().map(|decided| decided.version).collect();
    let done = sqlx::query!(
        "UPDATE dag_version AS v SET hash = t.hash, source_hash = t.source_hash, created_at = $4
         FROM unnest($1::uuid[], $2::bytea[], $3::bytea[]) AS t (id, hash, source_hash)
         WHERE v.id = t.id",
        &ids,
        &overwritten.iter().map(|decided| decided.dag.hash.to_vec()).collect::<Vec<_>>(),
        &overwritten.iter().map(|decided| decided.dag.source.to_vec()).collect::<Vec<_>>(),
        at,
    )
    .execute(&mut *conn)
    .await?;
    expect_rows("dag_version", overwritten.len(), done.rows_affected())?;
    sqlx::query!("DELETE FROM dag_version_file WHERE dag_version_id = ANY($1)", &ids).execute(&mut *conn).await?;
    sqlx::query!("DELETE FROM dag_version_task WHERE dag_version_id = ANY($1)", &ids).execute(conn).await?;
    Ok(())
}

async fn insert_files(conn: &mut PgConnection, rewritten: &[&Decided<'_>]) -> Result<(), Error> {
    let files: Vec<_> =
        rewritten.iter().flat_map(|decided| decided.dag.files.iter().map(|file| (decided.version, file))).collect();
    if files.is_empty() {
        return Ok(());
    }
    let done = sqlx::query!(
        "INSERT INTO dag_version_file (dag_version_id, path, hash, mode)
         SELECT * FROM unnest($1::uuid[], $2::text[], $3::bytea[], $4::int[])",
        &files.iter().map(|(version, _)| *version).collect::<Vec<_>>(),
        &files.iter().map(|(_, file)| file.path.clone()).collect::<Vec<_>>(),
        &files.iter().map(|(_, file)| file.hash.to_vec()).collect::<Vec<_>>(),
        &files.iter().map(|(_, file)| (file.mode & 0o7777) as i32).collect::<Vec<_>>(),
    )
    .execute(conn)
    .await?;
    expect_rows("dag_version_file", files.len(), done.rows_affected())
}

async fn insert_tasks(conn: &mut PgConnection, rewritten: &[&Decided<'_>]) -> Result<(), Error> {
    let tasks: Vec<_> = rewritten
        .iter()
        .flat_map(|decided| (0i32..).zip(&decided.dag.tasks).map(|(no, task)| (decided.version, no, task)))
        .collect();
    if tasks.is_empty() {
        return Ok(());
    }
    let done = sqlx::query!(
        "INSERT INTO dag_version_task
             (dag_version_id, task_no, task_id, group_path, operator, pool, pool_slots, priority_weight)
         SELECT * FROM unnest($1::uuid[], $2::int[], $3::text[], $4::text[], $5::text[], $6::text[], $7::int[], $8::int[])",
        &tasks.iter().map(|(version, _, _)| *version).collect::<Vec<_>>(),
        &tasks.iter().map(|(_, no, _)| *no).collect::<Vec<_>>(),
        &tasks.iter().map(|(_, _, task)| task.task_id.clone()).collect::<Vec<_>>(),
        &tasks.iter().map(|(_, _, task)| task.group_path.clone()).collect::<Vec<_>>(),
        &tasks.iter().map(|(_, _, task)| task.operator.clone()).collect::<Vec<_>>(),
        &tasks.iter().map(|(_, _, task)| task.pool.clone()).collect::<Vec<_>>(),
        &tasks.iter().map(|(_, _, task)| i32::try_from(task.pool_slots).unwrap_or(i32::MAX)).collect::<Vec<_>>(),
        &tasks.iter().map(|(_, _, task)| task.priority_weight).collect::<Vec<_>>(),
    )
    .execute(conn)
    .await?;
    expect_rows("dag_version_task", tasks.len(), done.rows_affected())
}

async fn write_dags(conn: &mut PgConnection, decided: &[Decided<'_>], at: Timestamp) -> Result<(), Error> {
    let changed: Vec<_> = decided.iter().filter(|decided| decided.change != Change::Unchanged).collect();
    if changed.is_empty() {
        return Ok(());
    }
    // Tags are lists of their own lengths, which arrays of arrays can't be: they travel as JSON.
    let done = sqlx::query!(
        "INSERT INTO dag (dag_id, bundle_id, file, is_paused, current_version_id, owner, tags, description, details,
                          created_at, published_at)
         SELECT dag_id, 1, file, is_paused, version, owner, ARRAY(SELECT json_array_elements_text(tags::json)), description,
                details::json, $9, $9
         FROM unnest($1::text[], $2::text[], $3::bool[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[])
             AS t (dag_id, file, is_paused, version, owner, tags, description, details)
         ON CONFLICT (dag_id, workspace_id) DO UPDATE
         SET file = excluded.file, current_version_id = excluded.current_version_id, owner = excluded.owner,
             tags = excluded.tags, description = excluded.description, details = excluded.details,
             published_at = excluded.published_at, removed_at = NULL",
        &changed.iter().map(|decided| decided.dag.dag.as_str().to_owned()).collect::<Vec<_>>(),
        &changed.iter().map(|decided| decided.dag.file.clone()).collect::<Vec<_>>(),
        &changed.iter().map(|decided| decided.is_paused).collect::<Vec<_>>(),
        &changed.iter().map(|decided| decided.version).collect::<Vec<_>>(),
        &changed.iter().map(|decided| cleaned(decided.dag.owner.as_deref())).collect::<Vec<_>>() as &[Option<String>],
        &changed.iter().map(|decided| tags(decided.dag)).collect::<Vec<_>>(),
        &changed.iter().map(|decided| cleaned(decided.dag.description.as_deref())).collect::<Vec<_>>()
            as &[Option<String>],
        &changed.iter().map(|decided| decided.dag.details.to_string()).collect::<Vec<_>>(),
        at,
    )
    .execute(conn)
    .await?;
    expect_rows("dag", changed.len(), done.rows_affected())
}

fn tags(dag: &PublishDag) -> String {
    let tags = dag.tags.iter().map(|tag| Value::String(clean(tag).into_owned()));
    Value::Array(tags.collect()).to_string()
}

async fn remove(conn: &mut PgConnection, removed: &[DagId], at: Timestamp) -> Result<(), Error> {
    if removed.is_empty() {
        return Ok(());
    }
    let ids: Vec<String> = removed.iter().map(|dag| dag.as_str().to_owned()).collect();
    sqlx::query!(
        "UPDATE dag SET removed_at = $2, next_run_after = NULL
         WHERE dag_id = ANY($1) AND workspace_id = 1 AND removed_at IS NULL",
        &ids,
        at
    )
    .execute(conn)
    .await?;
    Ok(())
}

async fn write_import_errors(conn: &mut PgConnection, publication: &Publication, at: Timestamp) -> Result<(), Error> {
    let errors = &publication.import_errors;
    let broken: Vec<String> = errors.iter().map(|error| clean(&error.file).into_owned()).collect();
    match &publication.cleared {
        ClearedErrors::All => {
            sqlx::query!("DELETE FROM import_error WHERE bundle_id = 1 AND file <> ALL($1)", &broken)
                .execute(&mut *conn)
                .await?;
        }
        ClearedErrors::Of(files) if files.is_empty() => {}
        ClearedErrors::Of(files) => {
            sqlx::query!(
                "DELETE FROM import_error WHERE bundle_id = 1 AND file = ANY($1) AND file <> ALL($2)",
                files,
                &broken
            )
            .execute(&mut *conn)
            .await?;
        }
    }
    if errors.is_empty() {
        return Ok(());
    }
    let done = sqlx::query!(
        "INSERT INTO import_error (bundle_id, file, dag_id, message, diagnostics, at)
         SELECT 1, file, dag_id, message, diagnostics::json, $5
         FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS t (file, dag_id, message, diagnostics)
         ON CONFLICT ON CONSTRAINT import_error_file_taken DO UPDATE
         SET dag_id = excluded.dag_id, message = excluded.message, diagnostics = excluded.diagnostics, at = excluded.at",
        &broken,
        &errors.iter().map(|error| error.dag.as_ref().map(|dag| dag.as_str().to_owned())).collect::<Vec<_>>()
            as &[Option<String>],
        &errors.iter().map(|error| clean(&error.message).into_owned()).collect::<Vec<_>>(),
        &errors.iter().map(|error| error.diagnostics.to_string()).collect::<Vec<_>>(),
        at,
    )
    .execute(conn)
    .await?;
    expect_rows("import_error", errors.len(), done.rows_affected())
}
