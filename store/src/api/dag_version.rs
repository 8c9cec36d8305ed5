//! DAG versions: the pointer that runs carry, and the stored bytes to compile one from.

use gridflow_core::{DagVersionId, Timestamp};
use sqlx::{FromRow, PgConnection, Row, postgres::PgRow};

use crate::Error;

/// What answers say of a version.
#[derive(Debug, Clone, PartialEq)]
pub struct VersionRow {
    pub id: DagVersionId,
    pub number: i32,
    pub created_at: Timestamp,
    pub bundle_name: String,
    pub bundle_version: Option<String>,
}

/// The columns of a [`VersionRow`], from `dag_version v` and `bundle b`.
pub(super) const COLUMNS: &str = "v.id AS version_id, v.number AS version_number, \
    v.created_at AS version_created_at, v.bundle_version, b.name AS bundle_name";

impl FromRow<'_, PgRow> for VersionRow {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            id: DagVersionId(row.try_get("version_id")?),
            number: row.try_get("version_number")?,
            created_at: row.try_get("version_created_at")?,
            bundle_name: row.try_get("bundle_name")?,
            bundle_version: row.try_get("bundle_version")?,
        })
    }
}

/// The YAML of a version and where it lies in its bundle.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceRow {
    pub dag_id: String,
    pub number: i32,
    pub file: String,
    pub content: Vec<u8>,
}

/// The source of a version of a DAG: of this number, or the current one.
pub async fn source(conn: &mut PgConnection, dag_id: &str, number: Option<i32>) -> Result<Option<SourceRow>, Error> {
    let row = sqlx::query_as!(
        SourceRow,
        "SELECT v.dag_id, v.number, d.file, s.content
         FROM dag d
         JOIN dag_version v ON v.dag_id = d.dag_id AND v.workspace_id = d.workspace_id
             AND CASE WHEN $2::int IS NULL THEN v.id = d.current_version_id ELSE v.number = $2 END
         JOIN blob s ON s.hash = v.source_hash
         WHERE d.dag_id = $1 AND d.workspace_id = 1",
        dag_id,
        number,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row)
}

/// What a version compiles from now: a version without runs may change in place.
pub async fn hash(conn: &mut PgConnection, id: DagVersionId) -> Result<Option<Vec<u8>>, Error> {
    Ok(sqlx::query_scalar!("SELECT hash FROM dag_version WHERE id = $1", id.0).fetch_optional(conn).await?)
}
