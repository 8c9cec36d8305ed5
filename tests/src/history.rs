//! What happened, read from the tables with plain SQL and from what the tasks themselves wrote.

use std::{collections::HashMap, path::Path};

use anyhow::{Context, Result, bail};
use gridflow_testkit::postgres::Postgres;

/// How often each attempt's command says that it started: one line with its id per start.
pub fn starts(file: &Path) -> Result<HashMap<String, usize>> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).context("reading what the tasks wrote"),
    };
    let mut starts = HashMap::new();
    for line in text.lines() {
        *starts.entry(line.to_owned()).or_default() += 1;
    }
    Ok(starts)
}

/// ONE-LAUNCH, as the commands themselves saw it.
pub fn check_one_launch(starts: &HashMap<String, usize>) -> Result<()> {
    let twice: Vec<_> = starts.iter().filter(|(_, count)| **count != 1).collect();
    if !twice.is_empty() {
        bail!("ONE-LAUNCH: commands that started more than once: {twice:?}");
    }
    Ok(())
}

/// NO-STUCK and NO-LOSS: every run has ended with this state, and every attempt is closed.
pub fn check_all_ended(server: &Postgres, database: &str, state: &str, runs: usize) -> Result<()> {
    let ended = server.psql(database, &format!("SELECT count(*) FROM dag_run WHERE state = '{state}'"))?;
    if ended != runs.to_string() {
        let all = server.psql(database, "SELECT dag_id, run_id, state, reason FROM dag_run")?;
        bail!("NO-STUCK: {ended} of {runs} runs are {state}:\n{all}");
    }
    let open = server.psql(database, "SELECT count(*) FROM attempt WHERE state <> 'closed'")?;
    if open != "0" {
        bail!("{open} attempts are still open");
    }
    Ok(())
}

/// Every attempt that the database says has run left its line, and the other way round.
pub fn check_attempts_match(server: &Postgres, database: &str, starts: &HashMap<String, usize>) -> Result<()> {
    let rows = server
        .psql(database, "SELECT attempt_id FROM attempt WHERE outcome NOT IN ('never_started', 'spawn_failed')")?;
    let known: HashMap<&str, ()> = rows.lines().map(|id| (id, ())).collect();
    for id in starts.keys() {
        if !known.contains_key(id.as_str()) {
            bail!("a command ran for attempt {id}, which the database does not know as started");
        }
    }
    for id in known.keys() {
        if !starts.contains_key(*id) {
            bail!("attempt {id} has ended, but its command never wrote its line");
        }
    }
    Ok(())
}

/// The transition log replays to the present states.
pub fn check_log_replays(server: &Postgres, database: &str) -> Result<()> {
    let rows = server.psql(
        database,
        "SELECT dag_run_id || ' ' || replace(changes, E'\\n', ';') FROM transition_log ORDER BY dag_run_id, turn",
    )?;
    let mut states: HashMap<String, String> = HashMap::new();
    for row in rows.lines() {
        let (run, changes) = row.split_once(' ').context("a row of the log")?;
        for change in changes.split(';').filter(|change| !change.is_empty()) {
            let (key, from, to) = parse(run, change).with_context(|| format!("reading `{change}`"))?;
            // A run that a handler created was queued before the log knew of it.
            let unknown = if key.starts_with("run ") && from == "queued" { "queued" } else { "-" };
            let before = states.insert(key.clone(), to.clone()).unwrap_or_else(|| unknown.into());
            if before != from {
                bail!("the log says {key} went {from} → {to}, but it was {before}");
            }
        }
    }
    let present = server.psql(
        database,
        "SELECT 'run ' || id || ' ' || state FROM dag_run WHERE started_at IS NOT NULL
         UNION ALL SELECT 'ti ' || dag_run_id || '/' || task_no || '/' || map_index || ' ' || state FROM task_instance
         UNION ALL SELECT 'attempt ' || attempt_id || ' ' || state FROM attempt",
    )?;
    for line in present.lines() {
        let (key, state) = line.rsplit_once(' ').context("a present state")?;
        match states.get(key) {
            Some(replayed) if replayed == state => {}
            replayed => bail!("{key} is {state}, but the log replays to {replayed:?}"),
        }
    }
    Ok(())
}

fn parse(run: &str, change: &str) -> Option<(String, String, String)> {
    let words: Vec<&str> = change.split(' ').collect();
    match words.as_slice() {
        ["run", from, to] => Some((format!("run {run}"), (*from).into(), (*to).into())),
        ["ti", task, map, from, to, _try] => Some((format!("ti {run}/{task}/{map}"), (*from).into(), (*to).into())),
        ["attempt", id, from, to] => Some((format!("attempt {id}"), (*from).into(), (*to).into())),
        _ => None,
    }
}
