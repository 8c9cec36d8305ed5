//! `GET …/xcomEntries` and `…/xcomEntries/{key}`.

use axum::{extract::State, response::Response};
use gridflow_core::{MapIndex, Timestamp};
use gridflow_store::api::xcom::{self, XcomFilter, XcomRow, XcomValue};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    dag_run,
    error::{Error, Result},
    filter, json, path,
    query::{Keys, Query},
    state::App,
    task_instance,
};

#[derive(Serialize)]
struct Xcom {
    key: String,
    timestamp: Timestamp,
    logical_date: Option<Timestamp>,
    map_index: i32,
    task_id: String,
    dag_id: String,
    run_id: String,
    dag_display_name: String,
    task_display_name: String,
    run_after: Timestamp,
}

impl From<XcomRow> for Xcom {
    fn from(row: XcomRow) -> Self {
        Self {
            key: row.name,
            timestamp: row.created_at,
            logical_date: row.logical_date,
            map_index: row.map_index.0,
            dag_display_name: row.dag_id.clone(),
            task_display_name: row.task_id.clone(),
            task_id: row.task_id,
            dag_id: row.dag_id,
            run_id: row.run_id,
            run_after: row.run_after,
        }
    }
}

#[derive(Serialize)]
struct WithValue {
    #[serde(flatten)]
    entry: Xcom,
    value: Value,
}

#[derive(Serialize)]
struct Xcoms {
    xcom_entries: Vec<Xcom>,
    total_entries: i64,
}

const KEYS: &Keys = &[
    ("key", "x.name"),
    ("dag_id", "r.dag_id"),
    ("run_id", "r.run_id"),
    ("task_id", "t.task_id"),
    ("map_index", "x.map_index"),
    ("timestamp", "x.created_at"),
    ("run_after", "r.run_after"),
];

const INSTANTS: &[(&str, &str)] = &[("logical_date", "r.logical_date"), ("run_after", "r.run_after")];

pub async fn list(
    State(app): State<App>,
    path::Of((dag_id, run_id, task_id)): path::Of<(String, String, String)>,
    mut query: Query,
) -> Result<Response> {
    let page = query.page();
    let order = query.order_by(KEYS, "task_id")?;
    let index = query.integer_from("map_index", -1).or_else(|| query.integer("map_index_filter"));
    let mut filter = XcomFilter {
        dag_id: filter::id_or_all(&dag_id),
        run: None,
        task_id: filter::id_or_all(&task_id),
        name: query.text("xcom_key").map(str::to_owned),
        map_index: index.map(|index| i32::try_from(index).unwrap_or(i32::MAX)),
        name_like: filter::patterns(&query, "xcom_key"),
        run_id_like: filter::patterns(&query, "run_id"),
        task_id_like: filter::patterns(&query, "task_id"),
        instants: filter::instants(&query, INSTANTS)?,
    };
    query.finish()?;
    if run_id != "~" {
        filter.run = Some(dag_run::find(&app, &dag_id, &run_id).await?.key);
    }
    let (rows, total_entries) = xcom::list(&mut *app.conn().await?, &filter, &order, page).await?;
    Ok(json::ok(&Xcoms { xcom_entries: rows.into_iter().map(Xcom::from).collect(), total_entries }))
}

pub async fn get(
    State(app): State<App>,
    path::Of((dag_id, run_id, task_id, key)): path::Of<(String, String, String, String)>,
    mut query: Query,
) -> Result<Response> {
    let map_index: MapIndex = task_instance::map_index(&mut query);
    let stringify = query.boolean("stringify").unwrap_or(false);
    // Values are JSON: there is nothing to deserialise.
    query.boolean("deserialize");
    query.finish()?;
    let found = xcom::by_name(&mut *app.conn().await?, &dag_id, &run_id, &task_id, map_index, &key).await?;
    let (row, value) = found.ok_or_else(|| Error::NotFound(format!("XCom entry with key: `{key}` not found")))?;
    let value = native(value);
    let value = if stringify { Value::String(value.to_string()) } else { value };
    Ok(json::ok(&WithValue { entry: Xcom::from(row), value }))
}

/// The value, or where it is.
pub fn native(value: XcomValue) -> Value {
    match value {
        XcomValue::Inline(value) => value,
        XcomValue::Elsewhere { uri, bytes } => json!({ "uri": uri, "bytes": bytes }),
    }
}
