//! How answers show the version of a DAG.

use gridflow_core::Timestamp;
use gridflow_store::api::dag_version::VersionRow;
use serde::Serialize;
use uuid::Uuid;

#[derive(Debug, Serialize)]
pub struct DagVersion {
    id: Uuid,
    version_number: i32,
    dag_id: String,
    bundle_name: Option<String>,
    bundle_version: Option<String>,
    created_at: Timestamp,
    dag_display_name: String,
    bundle_url: Option<String>,
}

impl DagVersion {
    pub fn new(dag_id: &str, row: VersionRow) -> Self {
        Self {
            id: row.id.0,
            version_number: row.number,
            dag_id: dag_id.to_owned(),
            bundle_name: Some(row.bundle_name),
            bundle_version: row.bundle_version,
            created_at: row.created_at,
            dag_display_name: dag_id.to_owned(),
            bundle_url: None,
        }
    }
}
