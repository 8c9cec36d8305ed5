//! `GET /dagSources/{dag_id}`: the YAML of a version.

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
};
use gridflow_store::api::dag_version;
use serde::Serialize;

use crate::{
    accept,
    error::{Error, Result},
    json, path,
    query::Query,
    state::App,
};

#[derive(Serialize)]
struct DagSource {
    content: Option<String>,
    dag_id: String,
    version_number: Option<i32>,
    dag_display_name: String,
}

pub async fn get(
    State(app): State<App>,
    path::Of(dag_id): path::Of<String>,
    mut query: Query,
    headers: HeaderMap,
) -> Result<Response> {
    let number = query.small_integers("version_number").last().copied();
    query.finish()?;
    let as_text = match accept::choose(&headers, &["application/json", "text/plain"]) {
        Some(kind) => kind == "text/plain",
        None => return Err(Error::NotAcceptable("Only application/json or text/plain is supported")),
    };
    let row = dag_version::source(&mut *app.conn().await?, &dag_id, number).await?;
    let row = row.ok_or_else(|| {
        let number = number.map_or_else(|| "None".to_owned(), |number| number.to_string());
        Error::NotFound(format!("The source code of the Dag {dag_id}, version_number {number} was not found"))
    })?;
    let content = String::from_utf8_lossy(&row.content).into_owned();
    if as_text {
        let kind = HeaderValue::from_static("text/plain; charset=utf-8");
        return Ok(([(header::CONTENT_TYPE, kind)], Body::from(content)).into_response());
    }
    Ok(json::ok(&DagSource {
        content: Some(content),
        version_number: Some(row.number),
        dag_display_name: row.dag_id.clone(),
        dag_id: row.dag_id,
    }))
}
