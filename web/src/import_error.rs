//! `GET /importErrors` and `GET /importErrors/{import_error_id}`.

use axum::{extract::State, response::Response};
use gridflow_core::Timestamp;
use gridflow_store::api::import_error::{self, ImportErrorFilter, ImportErrorRow};
use serde::Serialize;

use crate::{
    error::{Error, Result},
    filter, json, path,
    query::{Keys, Query},
    state::App,
};

#[derive(Serialize)]
struct ImportError {
    import_error_id: i64,
    timestamp: Timestamp,
    filename: String,
    bundle_name: Option<String>,
    stack_trace: String,
}

impl From<ImportErrorRow> for ImportError {
    fn from(row: ImportErrorRow) -> Self {
        Self {
            import_error_id: row.id,
            timestamp: row.at,
            filename: row.file,
            bundle_name: Some(row.bundle_name),
            stack_trace: row.message,
        }
    }
}

#[derive(Serialize)]
struct ImportErrors {
    import_errors: Vec<ImportError>,
    total_entries: i64,
}

const KEYS: &Keys = &[
    ("id", "e.id"),
    ("import_error_id", "e.id"),
    ("timestamp", "e.at"),
    ("filename", "e.file"),
    ("bundle_name", "b.name"),
    ("stacktrace", "e.message"),
];

pub async fn list(State(app): State<App>, mut query: Query) -> Result<Response> {
    let page = query.page();
    let order = query.order_by(KEYS, "id")?;
    let filter = ImportErrorFilter {
        file: query.text("filename").map(str::to_owned),
        file_like: filter::patterns(&query, "filename"),
        bundle: query.text("bundle_name").map(str::to_owned),
    };
    query.finish()?;
    let (rows, total_entries) = import_error::list(&mut *app.conn().await?, &filter, &order, page).await?;
    Ok(json::ok(&ImportErrors { import_errors: rows.into_iter().map(ImportError::from).collect(), total_entries }))
}

pub async fn get(State(app): State<App>, path::Of(id): path::Of<String>) -> Result<Response> {
    let id = path::integer("import_error_id", &id)?;
    let row = import_error::by_id(&mut *app.conn().await?, i64::from(id)).await?;
    let row =
        row.ok_or_else(|| Error::NotFound(format!("The ImportError with import_error_id: `{id}` was not found")))?;
    Ok(json::ok(&ImportError::from(row)))
}
