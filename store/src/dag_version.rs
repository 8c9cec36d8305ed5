//! Versions of DAGs: what a run is pinned to.

use std::{collections::HashMap, sync::Arc};

use gridflow_core::{DagId, DagVersionId, Timestamp};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    Error, Inconsistency,
    blob::{self, BlobHash},
    decode::Row,
};

/// A version with everything needed to compile it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionSource {
    pub id: DagVersionId,
    pub dag: DagId,
    pub number: u32,
    pub hash: BlobHash,
    /// The DAG file, relative to its bundle.
    pub file: String,
    pub yaml: String,
    pub created_at: Timestamp,
    pub files: Vec<SourceFile>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Relative to the DAG file.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    pub content: Arc<[u8]>,
}

/// One version; none if there is no such one.
pub async fn source(conn: &mut PgConnection, id: DagVersionId) -> Result<Option<VersionSource>, Error> {
    match sources(conn, &[id]).await?.pop() {
        Some(source) => Ok(Some(source?)),
        None => Ok(None),
    }
}

/// Several versions in three statements; one that can't be read does not hide the others.
pub async fn sources(
    conn: &mut PgConnection,
    ids: &[DagVersionId],
) -> Result<Vec<Result<VersionSource, Inconsistency>>, Error> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let versions = sqlx::query_as!(
        VersionRow,
        "SELECT v.id, v.dag_id, v.number, v.hash, v.source_hash, v.created_at, d.file
         FROM dag_version AS v
         JOIN dag AS d ON d.dag_id = v.dag_id AND d.workspace_id = v.workspace_id
         WHERE v.id = ANY($1)",
        &ids
    )
    .fetch_all(&mut *conn)
    .await?;
    let file_rows = sqlx::query_as!(
        FileRow,
        "SELECT dag_version_id, path, hash, mode FROM dag_version_file WHERE dag_version_id = ANY($1)
         ORDER BY dag_version_id, path",
        &ids
    )
    .fetch_all(&mut *conn)
    .await?;
    let hashes = versions.iter().map(|row| &row.source_hash).chain(file_rows.iter().map(|row| &row.hash));
    let mut hashes: Vec<BlobHash> = hashes.filter_map(|hash| hash.as_slice().try_into().ok()).collect();
    hashes.sort_unstable();
    hashes.dedup();
    let blobs = blob::read(conn, &hashes).await?;
    let mut files: HashMap<Uuid, Vec<FileRow>> = HashMap::new();
    for row in file_rows {
        files.entry(row.dag_version_id).or_default().push(row);
    }
    let decode = |row: VersionRow| {
        let files = files.remove(&row.id).unwrap_or_default();
        row.decode(files, &blobs)
    };
    Ok(versions.into_iter().map(decode).collect())
}

struct VersionRow {
    id: Uuid,
    dag_id: String,
    number: i32,
    hash: Vec<u8>,
    source_hash: Vec<u8>,
    created_at: Timestamp,
    file: String,
}

struct FileRow {
    dag_version_id: Uuid,
    path: String,
    hash: Vec<u8>,
    mode: i32,
}

impl VersionRow {
    fn decode(self, files: Vec<FileRow>, blobs: &HashMap<BlobHash, Arc<[u8]>>) -> Result<VersionSource, Inconsistency> {
        let at = Row { table: "dag_version", key: &self.id };
        let content = |hash: &[u8]| blobs.get(hash);
        let yaml = at.known("source_hash", content(&self.source_hash))?;
        let file = |row: FileRow| {
            Ok(SourceFile {
                content: at.known("dag_version_file.hash", content(&row.hash))?.clone(),
                mode: at.number("dag_version_file.mode", row.mode)?,
                path: row.path,
            })
        };
        Ok(VersionSource {
            id: DagVersionId(self.id),
            dag: at.dag_id(&self.dag_id)?,
            number: at.number("number", self.number)?,
            hash: at.known("hash", self.hash.as_slice().try_into().ok())?,
            yaml: at.known("source_hash", String::from_utf8(yaml.to_vec()).ok())?,
            file: self.file,
            created_at: self.created_at,
            files: files.into_iter().map(file).collect::<Result<_, _>>()?,
        })
    }
}
