//! The tables, as text.

use anyhow::{Context, Result, bail};

use super::{Attempt, Event, Evidence, LogRow, Run, TaskInstance};
use crate::Cluster;

/// Between columns: nothing that a name or a reason holds.
const BETWEEN: char = '\u{1f}';

pub(super) fn read(cluster: &Cluster) -> Result<Evidence> {
    let count = |sql| -> Result<usize> { cluster.sql(sql)?.parse().context("a count") };
    Ok(Evidence {
        runs: rows(cluster, RUNS, |[id, dag, run_id, state, started, reason, parent, task_no]| {
            let parent = (!parent.is_empty()).then_some((parent, task_no));
            Run { id, dag, run_id, state, has_started: started == "true", reason, parent }
        })?,
        task_instances: rows(
            cluster,
            TASK_INSTANCES,
            |[run, dag, run_id, task_no, map_index, task, operator, state, losses, attempt, output, reason]| {
                let losses = losses.parse().unwrap_or(usize::MAX);
                TaskInstance {
                    run,
                    dag,
                    run_id,
                    task_no,
                    map_index,
                    task,
                    operator,
                    state,
                    losses,
                    attempt,
                    output,
                    reason,
                }
            },
        )?,
        attempts: rows(cluster, ATTEMPTS, |[run, id, task_no, map_index, state, outcome, exit_code, claim]| Attempt {
            run,
            id,
            task_no,
            map_index,
            state,
            outcome,
            exit_code,
            // It is CLUSTER/NAMESPACE/UID.
            claim: claim.rsplit('/').next().unwrap_or_default().to_owned(),
        })?,
        log: rows(cluster, LOG, |[turn, epoch, run, changes]| LogRow {
            turn: turn.parse().unwrap_or(-1),
            epoch: epoch.parse().unwrap_or(-1),
            run,
            changes: changes.split(';').filter(|change| !change.is_empty()).map(str::to_owned).collect(),
        })?,
        events: rows(cluster, EVENTS, |[id, dag, key, outcome, run]| Event { id, dag, key, outcome, run })?,
        answered: rows(cluster, ANSWERED, |[key]| key)?.into_iter().collect(),
        inbox: count("SELECT count(*) FROM inbox")?,
        commands_open: count("SELECT count(*) FROM command WHERE outcome IS NULL")?,
        ..Evidence::default()
    })
}

const RUNS: &str = "id, dag_id, run_id, state, (started_at IS NOT NULL)::text, reason, parent_run_id, parent_task_no
    FROM dag_run ORDER BY id";
const TASK_INSTANCES: &str = "ti.dag_run_id, run.dag_id, run.run_id, task_no, map_index, task.task_id, task.operator,
    ti.state, ti.losses, ti.attempt_id, x.value #>> '{}', ti.reason
    FROM task_instance AS ti
    JOIN dag_run AS run ON run.id = ti.dag_run_id
    LEFT JOIN dag_version_task AS task USING (dag_version_id, task_no)
    LEFT JOIN xcom AS x USING (dag_run_id, task_no, map_index)
    ORDER BY ti.dag_run_id, task_no, map_index";
const ATTEMPTS: &str = "dag_run_id, attempt_id, task_no, map_index, state, outcome, exit_code, claim
    FROM attempt
    ORDER BY dag_run_id, attempt_id";
const LOG: &str =
    "turn, epoch, dag_run_id, replace(changes, E'\\n', ';') FROM transition_log ORDER BY turn, dag_run_id";
const ANSWERED: &str = "idempotency_key FROM command WHERE outcome IS NOT NULL";
const EVENTS: &str = "id, dag_id, bundle_id || '/' || dag_id || '/' || trigger_name || '/' || dedup_key, outcome,
    dag_run_id FROM event ORDER BY id";

/// Each row as texts; null is empty.
fn rows<const N: usize, T>(cluster: &Cluster, select: &str, row: impl Fn([String; N]) -> T) -> Result<Vec<T>> {
    let (columns, from) = select.split_once("FROM").context("a statement")?;
    let sql = format!("SELECT concat_ws(E'\\x1f', {}) FROM{from}", coalesced(columns));
    let text = cluster.sql(&sql)?;
    text.lines()
        .map(|line| {
            let columns: Vec<String> = line.split(BETWEEN).map(str::to_owned).collect();
            let Ok(columns) = <[String; N]>::try_from(columns) else { bail!("a row of {N} columns: `{line}`") };
            Ok(row(columns))
        })
        .collect()
}

/// `concat_ws` leaves nulls out, and a text with line breaks would be two rows.
fn coalesced(columns: &str) -> String {
    let mut depth = 0;
    let mut parts = vec![String::new()];
    for c in columns.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        match parts.last_mut() {
            _ if c == ',' && depth == 0 => parts.push(String::new()),
            Some(part) => part.push(c),
            None => {}
        }
    }
    let texts = parts.iter().map(|part| format!("coalesce(replace(({})::text, E'\\n', ' '), '')", part.trim()));
    texts.collect::<Vec<_>>().join(", ")
}
