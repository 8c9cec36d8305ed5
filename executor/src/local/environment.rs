//! What a command finds in its environment: a fixed list, and what its DAG gives it. Never the scheduler's own.

use std::{collections::BTreeMap, path::Path};

use super::{
    host::ATTEMPT_VARIABLE,
    launch::Launch,
    layout::{CONTEXT_FILE, OUTPUT_FILE},
    run_as::Account,
};

/// Taken over from the scheduler. Nothing here carries a secret.
const ALLOWED: [&str; 8] = ["PATH", "HOME", "LANG", "TZ", "TMPDIR", "USER", "LOGNAME", "SHELL"];
const ALLOWED_PREFIX: &str = "LC_";

pub(super) fn allowed(own: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let is_allowed = |name: &str| ALLOWED.contains(&name) || name.starts_with(ALLOWED_PREFIX);
    own.iter().filter(|(name, _)| is_allowed(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// `NAME=value` lines, sorted. Weakest first: the allow-list, the account, the DAG's `env`, and what Gridflow promises.
pub(super) fn environment(
    allowed: &BTreeMap<String, String>,
    account: Option<&Account>,
    launch: &Launch,
    scratch: &Path,
) -> Vec<String> {
    let mut env = allowed.clone();
    if let Some(account) = account {
        for (name, value) in account.environment() {
            env.insert(name.into(), value);
        }
    }
    env.extend(launch.env.clone());
    env.extend(promised(launch, scratch).into_iter().map(|(name, value)| (name.to_owned(), value)));
    env.into_iter().map(|(name, value)| format!("{name}={value}")).collect()
}

fn promised(launch: &Launch, scratch: &Path) -> Vec<(&'static str, String)> {
    let try_number = launch.try_number.to_string();
    let path = |file: &str| scratch.join(file).to_string_lossy().into_owned();
    let mut env = vec![
        (ATTEMPT_VARIABLE, launch.attempt.to_string()),
        ("GRIDFLOW_DAG_ID", launch.dag_id.to_string()),
        ("GRIDFLOW_TASK_ID", launch.task_id.to_string()),
        ("GRIDFLOW_RUN_ID", launch.run_id.to_string()),
        ("GRIDFLOW_TRY_NUMBER", try_number.clone()),
        ("GRIDFLOW_MAP_INDEX", launch.map_index.0.to_string()),
        ("GRIDFLOW_CONTEXT", path(CONTEXT_FILE)),
        ("GRIDFLOW_OUTPUT", path(OUTPUT_FILE)),
        ("AIRFLOW_CTX_DAG_ID", launch.dag_id.to_string()),
        ("AIRFLOW_CTX_TASK_ID", launch.task_id.to_string()),
        ("AIRFLOW_CTX_DAG_RUN_ID", launch.run_id.to_string()),
        ("AIRFLOW_CTX_TRY_NUMBER", try_number),
        ("AIRFLOW_CTX_DAG_OWNER", launch.owner.clone()),
    ];
    if let Some(date) = &launch.logical_date {
        env.push(("GRIDFLOW_LOGICAL_DATE", date.clone()));
        env.push(("AIRFLOW_CTX_LOGICAL_DATE", date.clone()));
    }
    if let Some(parent) = &launch.traceparent {
        env.push(("TRACEPARENT", parent.clone()));
    }
    env
}
