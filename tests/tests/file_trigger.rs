//! Files that land become runs: each exactly one, whatever happens to the leader or the DAG.

use std::{fs, thread, time::Duration};

use anyhow::{Context, Result};
use gridflow_tests::{Cluster, Program, wait_for};

const FILES: usize = 60;
const KILLS: usize = 6;
const PATIENCE: Duration = Duration::from_secs(90);

/// A DAG that writes down each file that it was started for.
fn dag(cluster: &Cluster, id: &str, more: &str) -> String {
    let (folder, notes) = (cluster.path("in"), cluster.path("notes"));
    format!(
        r#"
dag: {id}
max_active_runs: 16
{more}
params: {{name: {{type: string, default: nobody}}}}
trigger:
  file:
    path: {}
    suffix: .csv
    ripen: {{stable_for: 100ms}}
    on_pause: {}
    map: {{name: "{{{{ trigger.name }}}}"}}
tasks:
  note:
    env: {{NAME: "{{{{ params.name }}}}", NOTES: "{}"}}
    bash: 'echo "$NAME" >> "$NOTES"'
"#,
        folder.display(),
        if id == "dropping" { "drop" } else { "keep" },
        notes.display(),
    )
}

fn land(cluster: &Cluster, name: &str) -> Result<()> {
    let new = cluster.path("in/.new");
    fs::write(&new, name)?;
    fs::rename(new, cluster.path("in").join(name)).context("landing a file")
}

/// Waits until a statement answers so.
fn until(cluster: &Cluster, scheduler: &Program, sql: &str, answer: &str) -> Result<()> {
    let mut last = String::new();
    let is_so = || {
        last = cluster.sql(sql).unwrap_or_default();
        Ok((last == answer).then_some(()))
    };
    wait_for(sql, PATIENCE, is_so)
        .with_context(|| format!("last answer `{last}`, wanted `{answer}`\n{}", scheduler.log()))
}

fn begun(cluster: &Cluster, scheduler: &Program, count: usize) -> Result<()> {
    until(cluster, scheduler, "SELECT count(*) FROM trigger_cursor", &count.to_string())
}

#[test]
fn each_file_is_one_run_although_the_leader_is_killed_again_and_again() -> Result<()> {
    let cluster = Cluster::new(&[])?;
    fs::create_dir(cluster.path("in"))?;
    fs::write(cluster.path("dags/ingest.yaml"), dag(&cluster, "ingest", ""))?;
    let mut scheduler = cluster.scheduler("first")?;
    begun(&cluster, &scheduler, 1)?;
    for life in 0..KILLS {
        for n in 0..FILES / KILLS {
            land(&cluster, &format!("{life}-{n}.csv"))?;
            thread::sleep(Duration::from_millis(20));
        }
        scheduler.kill()?;
        scheduler = cluster.scheduler(&life.to_string())?;
    }
    until(&cluster, &scheduler, "SELECT count(*) FROM dag_run WHERE state = 'success'", &FILES.to_string())?;

    let mut notes: Vec<_> = fs::read_to_string(cluster.path("notes"))?.lines().map(str::to_owned).collect();
    notes.sort_unstable();
    let mut expected: Vec<_> =
        (0..KILLS).flat_map(|life| (0..FILES / KILLS).map(move |n| format!("{life}-{n}.csv"))).collect();
    expected.sort_unstable();
    assert_eq!(notes, expected);
    assert_eq!(cluster.sql("SELECT count(*), count(DISTINCT dag_run_id) FROM event")?, format!("{FILES}|{FILES}"));
    assert_eq!(cluster.sql("SELECT count(*) FROM dag_run")?, FILES.to_string());
    Ok(())
}

#[test]
fn a_dag_that_was_gone_or_broken_finds_its_files_when_it_is_back() -> Result<()> {
    let cluster = Cluster::new(&[])?;
    fs::create_dir(cluster.path("in"))?;
    let (path, text) = (cluster.path("dags/ingest.yaml"), dag(&cluster, "ingest", ""));
    fs::write(&path, &text)?;
    let scheduler = cluster.scheduler("one")?;
    begun(&cluster, &scheduler, 1)?;

    // Broken: the last good version goes on.
    fs::write(&path, text.replace("tasks:", "tasks: ["))?;
    until(&cluster, &scheduler, "SELECT count(*) FROM import_error", "1")?;
    land(&cluster, "while_broken.csv")?;
    until(&cluster, &scheduler, "SELECT count(*) FROM dag_run WHERE state = 'success'", "1")?;

    fs::remove_file(&path)?;
    until(&cluster, &scheduler, "SELECT count(*) FROM dag WHERE removed_at IS NOT NULL", "1")?;
    land(&cluster, "while_gone.csv")?;
    fs::write(&path, &text)?;
    until(&cluster, &scheduler, "SELECT count(*) FROM dag_run WHERE state = 'success'", "2")?;
    assert_eq!(fs::read_to_string(cluster.path("notes"))?, "while_broken.csv\nwhile_gone.csv\n");
    Ok(())
}

#[test]
fn files_of_a_paused_dag_wait_or_are_dropped_as_its_trigger_says() -> Result<()> {
    let cluster = Cluster::new(&[])?;
    fs::create_dir(cluster.path("in"))?;
    for id in ["keeping", "dropping"] {
        fs::write(cluster.path("dags").join(format!("{id}.yaml")), dag(&cluster, id, "paused: true"))?;
    }
    let scheduler = cluster.scheduler("one")?;
    begun(&cluster, &scheduler, 2)?;
    land(&cluster, "a.csv")?;
    until(&cluster, &scheduler, "SELECT count(*) FROM event WHERE outcome IS NOT NULL", "2")?;
    let events = cluster.sql("SELECT dag_id, outcome, reason FROM event ORDER BY dag_id")?;
    assert_eq!(events, "dropping|ignored|the DAG is paused, and its trigger says `on_pause: drop`\nkeeping|run|");
    assert_eq!(cluster.sql("SELECT dag_id, state, run_type FROM dag_run")?, "keeping|queued|asset_triggered");
    Ok(())
}
