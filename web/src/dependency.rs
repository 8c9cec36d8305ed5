//! `GET …/taskInstances/{task_id}/dependencies`: why a task instance is not running, from what the database holds.

use axum::{extract::State, response::Response};
use chrono::Utc;
use gridflow_core::{MapIndex, RunState, TaskNo, TaskState, Timestamp};
use gridflow_store::{
    api::{
        self, dag,
        dag_run::RunRow,
        leader,
        node::{self, Whereabouts},
        pool,
        task_instance::{self as rows, TaskInstanceRow},
    },
    hold,
};
use serde::Serialize;

use crate::{dag_run, error::Result, json, monitor, path, query::Query, state::App, task_instance, version_cache};

#[derive(Debug, Serialize)]
struct Dependency {
    name: &'static str,
    reason: String,
}

#[derive(Serialize)]
struct Dependencies {
    dependencies: Vec<Dependency>,
}

type Ids = (String, String, String);

pub async fn get(State(app): State<App>, path::Of(ids): path::Of<Ids>, mut query: Query) -> Result<Response> {
    let map_index = task_instance::map_index(&mut query);
    query.finish()?;
    answer(&app, &ids, map_index).await
}

pub async fn get_mapped(
    State(app): State<App>,
    path::Of((dag_id, run_id, task_id, map_index)): path::Of<(String, String, String, String)>,
) -> Result<Response> {
    let map_index = MapIndex(path::integer("map_index", &map_index)?);
    answer(&app, &(dag_id, run_id, task_id), map_index).await
}

async fn answer(app: &App, (dag_id, run_id, task_id): &Ids, map_index: MapIndex) -> Result<Response> {
    let row = task_instance::find(app, (dag_id, run_id, task_id), map_index).await?;
    let mut dependencies = Vec::new();
    let run = dag_run::find(app, dag_id, run_id).await?;
    of_node(app, &run, &row, &mut dependencies).await?;
    dependencies.extend(of_attempt(&row));
    if !(row.state.is_finished() || row.state == TaskState::Running) {
        of_scheduler(app, &mut dependencies).await?;
        match run.state {
            RunState::Queued => of_run(app, &run, &mut dependencies).await?,
            RunState::Running => of_task_instance(app, &run, &row, &mut dependencies).await?,
            RunState::Success | RunState::Failed => {}
        }
    }
    dependencies.sort_by_key(|dependency| dependency.name);
    Ok(json::ok(&Dependencies { dependencies }))
}

async fn of_scheduler(app: &App, out: &mut Vec<Dependency>) -> Result<()> {
    let mut conn = app.conn().await?;
    if let Some(hold) = hold::get(&mut conn).await? {
        out.push(Dependency { name: "Database", reason: monitor::why_held(&hold) });
    }
    if leader::seen_at(&mut conn).await?.is_none() {
        out.push(Dependency {
            name: "Scheduler",
            reason: "no scheduler is running: nothing starts until one does".into(),
        });
    }
    Ok(())
}

/// Where its processes are, if that is why it does not go on.
async fn of_node(app: &App, run: &RunRow, row: &TaskInstanceRow, out: &mut Vec<Dependency>) -> Result<()> {
    let found = node::of_open_attempt(&mut *app.conn().await?, run.key, row.task_no, row.map_index).await?;
    let Some(Whereabouts { node, hostname, seen_at, is_silent }) = found else { return Ok(()) };
    let place = format!("on node `{hostname}` ({node})");
    let reason = if is_silent {
        format!(
            "an attempt of it is {place}, which has been silent since {}: nobody knows whether its processes live, so \
             it keeps its state and its slots until the node is back",
            shown(seen_at)
        )
    } else if row.state == TaskState::Scheduled {
        format!("the processes of its last attempt, {place}, are not gone yet")
    } else {
        return Ok(());
    };
    out.push(Dependency { name: "Node", reason });
    Ok(())
}

/// What its attempt waits for outside, as its executor says: whether it is about to start, or can't end.
fn of_attempt(row: &TaskInstanceRow) -> Option<Dependency> {
    let waits = row.waits.as_ref()?;
    Some(if row.state == TaskState::Queued {
        Dependency { name: "Launch", reason: format!("its attempt is committed and waits: {waits}") }
    } else {
        Dependency { name: "Attempt", reason: format!("an attempt of it waits: {waits}") }
    })
}

/// Why a queued run has not started.
async fn of_run(app: &App, run: &RunRow, out: &mut Vec<Dependency>) -> Result<()> {
    let dag = dag::by_id(&mut *app.conn().await?, &run.dag_id).await?;
    let now = Utc::now();
    if now < run.run_after {
        let reason = format!("the run does not start before {}", shown(run.run_after));
        out.push(Dependency { name: "Run After", reason });
    }
    let Some(dag) = dag else { return Ok(()) };
    if dag.is_paused {
        let reason = format!("the DAG `{}` is paused: its runs stay queued", run.dag_id);
        out.push(Dependency { name: "Dag Not Paused", reason });
    }
    let running = api::dag::running_run_count(&mut *app.conn().await?, &run.dag_id).await?;
    let limit = dag.details.max_active_runs;
    let reason = if i64::from(limit) <= running {
        format!("the run is queued: {running} runs of the DAG are running and `max_active_runs` is {limit}")
    } else {
        "the run is queued and has not started yet".to_owned()
    };
    out.push(Dependency { name: "Dagrun Running", reason });
    Ok(())
}

/// Why a task instance of a running run is not running.
async fn of_task_instance(app: &App, run: &RunRow, row: &TaskInstanceRow, out: &mut Vec<Dependency>) -> Result<()> {
    match row.state {
        TaskState::NoStatus => out.push(of_upstream(app, run, row.task_no).await?),
        TaskState::Scheduled => of_slots(app, run, row, out).await?,
        // What it waits for was said.
        TaskState::Queued if row.waits.is_some() => {}
        TaskState::Queued => out.push(Dependency {
            name: "Launch",
            reason: match &row.hostname {
                Some(hostname) => format!("its attempt is committed and starts on `{hostname}`"),
                None => "its attempt is committed and about to start".to_owned(),
            },
        }),
        TaskState::UpForRetry => out.push(Dependency {
            name: "Not In Retry Period",
            reason: match row.retry_at {
                Some(at) => format!("try {} failed; the next one is due at {}", row.try_number, shown(at)),
                None => format!("try {} failed; the next one waits for slots", row.try_number),
            },
        }),
        TaskState::Deferred | TaskState::UpForReschedule | TaskState::AwaitingInput => out.push(Dependency {
            name: "Wait",
            reason: match row.waits_for_run {
                Some(other) => format!("waits for the end of run `{}`", name_of(app, other).await?),
                None => row.reason.clone().unwrap_or_else(|| "waits for something outside".to_owned()),
            },
        }),
        TaskState::Restarting => out.push(Dependency {
            name: "Task Instance Not Running",
            reason: "its processes are being stopped before it starts again".into(),
        }),
        TaskState::Running
        | TaskState::Success
        | TaskState::Failed
        | TaskState::Skipped
        | TaskState::UpstreamFailed
        | TaskState::Removed => {}
    }
    Ok(())
}

/// Upstreams shown by name; more are counted.
const UPSTREAM_NAMED_MAX: usize = 20;

async fn of_upstream(app: &App, run: &RunRow, no: TaskNo) -> Result<Dependency> {
    let version = version_cache::compiled(app, run.version_id).await?;
    let upstream: Vec<TaskNo> = version.dag.upstream(no).collect();
    let states = rows::states(&mut *app.conn().await?, run.key, &upstream).await?;
    let waiting: Vec<_> = states.iter().filter(|(_, state)| !state.is_finished()).collect();
    let mut names: Vec<_> = waiting
        .iter()
        .take(UPSTREAM_NAMED_MAX)
        .map(|(no, state)| format!("`{}` ({})", version.dag.task(*no).id, state.as_str()))
        .collect();
    if UPSTREAM_NAMED_MAX < waiting.len() {
        names.push(format!("{} more", waiting.len() - UPSTREAM_NAMED_MAX));
    }
    let rule = version.dag.task(no).trigger_rule.as_str();
    let reason = if waiting.is_empty() {
        format!("trigger rule `{rule}` is about to be decided: all upstreams have ended")
    } else {
        format!("trigger rule `{rule}` waits for {} of {} upstreams: {}", waiting.len(), states.len(), names.join(", "))
    };
    Ok(Dependency { name: "Trigger Rule", reason })
}

async fn of_slots(app: &App, run: &RunRow, row: &TaskInstanceRow, out: &mut Vec<Dependency>) -> Result<()> {
    let mut conn = app.conn().await?;
    match pool::by_name(&mut conn, &row.pool).await? {
        None => {
            out.push(Dependency { name: "Pool Slots Available", reason: format!("there is no pool `{}`", row.pool) })
        }
        Some(pool) if pool.slots < 0 => {}
        Some(pool) => {
            let free = i64::from(pool.slots) - pool.running_slots - pool.queued_slots;
            if free < i64::from(row.pool_slots) {
                let reason = format!(
                    "it needs {} slots of pool `{}`, which has {} of {} free",
                    row.pool_slots,
                    pool.name,
                    free.max(0),
                    pool.slots
                );
                out.push(Dependency { name: "Pool Slots Available", reason });
            }
        }
    }
    let active = rows::active_count(&mut conn, run.key).await?;
    drop(conn);
    let version = version_cache::compiled(app, run.version_id).await?;
    let limit = version.dag.parts().max_active_tasks.get();
    if i64::from(limit) <= active {
        let reason = format!("{active} task instances of the run are active and `max_active_tasks` is {limit}");
        out.push(Dependency { name: "Task Instance Slots Available", reason });
    }
    if out.is_empty() {
        let reason = "it is ready and waits for its turn: task instances of a higher priority go first".to_owned();
        out.push(Dependency { name: "Admission", reason });
    }
    Ok(())
}

async fn name_of(app: &App, key: gridflow_core::RunKey) -> Result<String> {
    let run = gridflow_store::run::get(&mut *app.conn().await?, key).await?;
    Ok(run.map_or_else(|| key.to_string(), |run| format!("{}/{}", run.queued.dag, run.queued.run_id)))
}

fn shown(instant: Timestamp) -> String {
    instant.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}
