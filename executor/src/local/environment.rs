//! What a command finds in its environment: a fixed list, and what its DAG gives it. Never the scheduler's own.

use std::{collections::BTreeMap, path::Path};

use super::{
    launch::Launch,
    layout::{CONTEXT_FILE, OUTPUT_FILE},
    run_as::Account,
};
use crate::identity::Identity;

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
    let path = |file: &str| scratch.join(file).to_string_lossy().into_owned();
    let identity = Identity {
        attempt: launch.attempt,
        dag_id: &launch.dag_id,
        task_id: &launch.task_id,
        run_id: &launch.run_id,
        map_index: launch.map_index,
        try_number: launch.try_number,
        logical_date: launch.logical_date.as_deref(),
        owner: &launch.owner,
        traceparent: launch.traceparent.as_deref(),
    };
    let mut env = identity.variables();
    env.push(("GRIDFLOW_CONTEXT", path(CONTEXT_FILE)));
    env.push(("GRIDFLOW_OUTPUT", path(OUTPUT_FILE)));
    env
}
