//! `GET …/taskInstances/{task_id}/links`: where else a try can be looked at.

use std::collections::BTreeMap;

use axum::{extract::State, response::Response};
use gridflow_store::api::attempt;
use serde::Serialize;

use crate::{
    dag_run,
    error::{Error, Result},
    json, path,
    query::Query,
    state::App,
    task_instance, version_cache,
};

#[derive(Serialize)]
struct ExtraLinks {
    /// Every link of the operator by its name; null where there is no such page now.
    extra_links: BTreeMap<String, Option<String>>,
    total_entries: usize,
}

pub async fn get(
    State(app): State<App>,
    path::Of((dag_id, run_id, task_id)): path::Of<(String, String, String)>,
    mut query: Query,
) -> Result<Response> {
    let map_index = task_instance::map_index(&mut query);
    let number = query.integer("try_number");
    query.finish()?;
    let row = task_instance::find(&app, (&dag_id, &run_id, &task_id), map_index).await?;
    let number = number.unwrap_or_else(|| row.try_number.into());
    let attempt = match i32::try_from(number) {
        Ok(number) => attempt::of_try(&mut *app.conn().await?, row.run, row.task_no, row.map_index, number).await?,
        Err(_) => None,
    };
    // One that needed no attempt yet, or none at all, is there nevertheless.
    if attempt.is_none() && number != i64::from(row.try_number) {
        return Err(Error::NotFound(format!(
            "The Task Instance with dag_id: `{dag_id}`, run_id: `{run_id}`, task_id: `{task_id}`, \
             try_number: `{number}` and map_index: `{}` was not found",
            map_index.0
        )));
    }
    let run = dag_run::find(&app, &dag_id, &run_id).await?;
    let version = version_cache::compiled(&app, run.version_id).await?;
    let names = version.operators[row.task_no.0 as usize].extra_links();
    let mut extra_links: BTreeMap<_, _> = names.iter().map(|name| (String::from(*name), None)).collect();
    let known = attempt.map(|attempt| attempt.links).unwrap_or_default();
    extra_links.extend(known.into_iter().map(|(name, url)| (name, Some(url))));
    Ok(json::ok(&ExtraLinks { total_entries: extra_links.len(), extra_links }))
}
