//! What a publication writes, a statement per table.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use gridflow_core::{DagId, Timestamp};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Change, ClearedErrors, Decided, Publication, PublishDag};
use crate::{
    Error,
    blob::{self, BlobHash},
    error::expect_rows,
    text::{clean, cleaned},
};

/// Contents are sent in pieces of about this size, so that one statement never holds a whole bundle.
const BLOB_BATCH_BYTES: usize = 4 << 20;

pub(super) async fn store_contents(
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

pub(super) async fn insert_versions(conn: &mut PgConnection, new: &[&Decided<'_>], at: Timestamp) -> Result<(), Error> {
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

pub(super) async fn overwrite_versions(
    conn: &mut PgConnection,
    overwritten: &[&Decided<'_>],
    at: Timestamp,
) -> Result<(), Error> {
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

pub(super) async fn insert_files(conn: &mut PgConnection, rewritten: &[&Decided<'_>]) -> Result<(), Error> {
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

pub(super) async fn insert_tasks(conn: &mut PgConnection, rewritten: &[&Decided<'_>]) -> Result<(), Error> {
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

pub(super) async fn write_dags(conn: &mut PgConnection, decided: &[Decided<'_>], at: Timestamp) -> Result<(), Error> {
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

pub(super) async fn remove(conn: &mut PgConnection, removed: &[DagId], at: Timestamp) -> Result<(), Error> {
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

pub(super) async fn write_import_errors(
    conn: &mut PgConnection,
    publication: &Publication,
    at: Timestamp,
) -> Result<(), Error> {
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
