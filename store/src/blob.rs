//! File contents by hash, each stored once.

use std::{collections::HashMap, sync::Arc};

use sqlx::PgConnection;

use crate::Error;

/// The BLAKE3 hash of a file's bytes.
pub type BlobHash = [u8; 32];

/// Larger files are refused by the database.
pub const BLOB_BYTES_MAX: usize = 16 << 20;

/// The contents of these hashes; unknown ones are missing.
pub async fn read(conn: &mut PgConnection, hashes: &[BlobHash]) -> Result<HashMap<BlobHash, Arc<[u8]>>, Error> {
    let hashes: Vec<Vec<u8>> = hashes.iter().map(|hash| hash.to_vec()).collect();
    let rows = sqlx::query!("SELECT hash, content FROM blob WHERE hash = ANY($1)", &hashes).fetch_all(conn).await?;
    // The hash has 32 bytes by a CHECK.
    Ok(rows.into_iter().filter_map(|row| Some((row.hash.try_into().ok()?, row.content.into()))).collect())
}

/// Which of these are not stored yet.
pub async fn missing(conn: &mut PgConnection, hashes: &[BlobHash]) -> Result<Vec<BlobHash>, Error> {
    let texts: Vec<Vec<u8>> = hashes.iter().map(|hash| hash.to_vec()).collect();
    let rows = sqlx::query_scalar!(
        r#"SELECT DISTINCT t.hash AS "hash!" FROM unnest($1::bytea[]) AS t (hash)
           WHERE NOT EXISTS (SELECT FROM blob WHERE blob.hash = t.hash)"#,
        &texts
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().filter_map(|hash| hash.try_into().ok()).collect())
}

/// Stores contents that may be there already.
pub(crate) async fn insert(conn: &mut PgConnection, blobs: &[(BlobHash, &[u8])]) -> Result<(), Error> {
    if blobs.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "INSERT INTO blob (hash, content) SELECT * FROM unnest($1::bytea[], $2::bytea[]) ON CONFLICT DO NOTHING",
        &blobs.iter().map(|(hash, _)| hash.to_vec()).collect::<Vec<_>>(),
        &blobs.iter().map(|(_, content)| content.to_vec()).collect::<Vec<_>>(),
    )
    .execute(conn)
    .await?;
    Ok(())
}
