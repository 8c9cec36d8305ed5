//! `GET /pools` and `GET /pools/{pool_name}`.

use axum::{extract::State, response::Response};
use gridflow_store::api::pool::{self, PoolRow};
use serde::Serialize;

use crate::{
    error::{Error, Result},
    filter, json, path,
    query::{Keys, Query},
    state::App,
};

#[derive(Serialize)]
struct Pool {
    name: String,
    slots: i32,
    description: Option<String>,
    include_deferred: bool,
    occupied_slots: i64,
    running_slots: i64,
    queued_slots: i64,
    scheduled_slots: i64,
    open_slots: i64,
    deferred_slots: i64,
    team_name: Option<String>,
}

impl From<PoolRow> for Pool {
    fn from(row: PoolRow) -> Self {
        let deferred = if row.include_deferred { row.deferred_slots } else { 0 };
        let occupied = row.running_slots + row.queued_slots + deferred;
        Self {
            occupied_slots: occupied,
            // Airflow shows −1 for the open slots of an unlimited pool.
            open_slots: if row.slots < 0 { -1 } else { (i64::from(row.slots) - occupied).max(0) },
            name: row.name,
            slots: row.slots,
            description: Some(row.description),
            include_deferred: row.include_deferred,
            running_slots: row.running_slots,
            queued_slots: row.queued_slots,
            scheduled_slots: row.scheduled_slots,
            deferred_slots: row.deferred_slots,
            team_name: None,
        }
    }
}

#[derive(Serialize)]
struct Pools {
    pools: Vec<Pool>,
    total_entries: i64,
}

const KEYS: &Keys = &[("id", "p.name"), ("name", "p.name"), ("pool", "p.name"), ("slots", "p.slots")];

pub async fn list(State(app): State<App>, mut query: Query) -> Result<Response> {
    let page = query.page();
    let order = query.order_by(KEYS, "id")?;
    let like = filter::patterns(&query, "pool_name");
    query.finish()?;
    let (rows, total_entries) = pool::list(&mut *app.conn().await?, &like, &order, page).await?;
    Ok(json::ok(&Pools { pools: rows.into_iter().map(Pool::from).collect(), total_entries }))
}

pub async fn get(State(app): State<App>, path::Of(name): path::Of<String>) -> Result<Response> {
    let row = pool::by_name(&mut *app.conn().await?, &name).await?;
    let row = row.ok_or_else(|| Error::NotFound(format!("The Pool with name: `{name}` was not found")))?;
    Ok(json::ok(&Pool::from(row)))
}
