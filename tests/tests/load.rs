//! Much of one thing. `GRIDFLOW_LOAD` says how much: `make faults` takes 10,000.

use std::{fs, time::Duration};

use anyhow::{Context, Result};
use gridflow_tests::{
    Cluster,
    check::{self, Rules},
    evidence::Evidence,
    wait_for,
};

const DEFAULT: usize = 200;
const PATIENCE: Duration = Duration::from_secs(600);

fn much() -> usize {
    std::env::var("GRIDFLOW_LOAD").ok().and_then(|much| much.parse().ok()).unwrap_or(DEFAULT)
}

fn until(cluster: &Cluster, sql: &str, answer: &str) -> Result<()> {
    let mut last = String::new();
    wait_for(sql, PATIENCE, || {
        last = cluster.sql(sql).unwrap_or_else(|error| format!("{error:#}"));
        Ok((last == answer).then_some(()))
    })
    .with_context(|| format!("the last answer was `{last}`, wanted `{answer}`"))
}

#[test]
fn a_folder_of_very_many_dags_is_loaded_run_and_edited() -> Result<()> {
    let much = much();
    let cluster = Cluster::new(&[])?;
    for no in 0..much {
        let folder = cluster.path("dags").join(format!("team-{}", no % 100));
        fs::create_dir_all(&folder)?;
        let text =
            format!("dag: d{no}\nschedule: '@yearly'\ntasks:\n  a: {{empty: {{}}}}\n  b: {{needs: a, bash: 'true'}}\n");
        fs::write(folder.join(format!("d{no}.yaml")), text)?;
    }
    let scheduler = cluster.scheduler("only")?;
    until(&cluster, "SELECT count(*) FROM dag", &much.to_string()).context(scheduler.log())?;
    let last = format!("d{}", much - 1);
    cluster.queue_run(&last, "one")?;
    until(&cluster, "SELECT state FROM dag_run WHERE run_id = 'one'", "success").context(scheduler.log())?;
    // One file of all of them changes.
    let file = cluster.path("dags").join(format!("team-{}", (much - 1) % 100)).join(format!("{last}.yaml"));
    fs::write(&file, fs::read_to_string(&file)?.replace("bash: 'true'", "empty: {}"))?;
    let version = format!("SELECT max(number) FROM dag_version WHERE dag_id = '{last}'");
    until(&cluster, &version, "2").context(scheduler.log())?;
    eprintln!("{much} DAGs: {} MB", scheduler.memory_bytes()? >> 20);
    Ok(())
}

const QUEUE: &str = "
dag: queue
max_active_runs: 20000
defaults: {pool: one}
tasks:
  only: {bash: 'while [ ! -e @gate ]; do sleep 0.1; done'}
";
const OTHER: &str = "{dag: other, tasks: {a: {bash: 'true'}, b: {needs: a, bash: 'true'}}}";

#[test]
fn very_many_runs_that_wait_for_one_slot_are_in_nobodys_way() -> Result<()> {
    let much = much();
    let cluster = Cluster::new(&[("other.yaml", OTHER)])?;
    let gate = cluster.path("gate");
    cluster.save_dag("queue.yaml", &QUEUE.replace("@gate", &gate.display().to_string()))?;
    let mut scheduler = cluster.scheduler("first")?;
    until(&cluster, "SELECT count(*) FROM dag", "2").context(scheduler.log())?;
    cluster.sql("INSERT INTO pool (name, slots) VALUES ('one', 1)")?;
    scheduler.kill()?;
    scheduler = cluster.scheduler("second")?;
    cluster.queue_runs("queue", "wait", much)?;
    until(&cluster, "SELECT count(*) FROM dag_run WHERE state = 'running'", &much.to_string())
        .context(scheduler.log())?;
    until(&cluster, "SELECT count(*) FROM attempt WHERE state = 'running'", "1")?;
    // Another DAG goes on, and so it does after a takeover of all that waits.
    for name in ["before", "after"] {
        cluster.queue_run("other", name)?;
        let state = format!("SELECT state FROM dag_run WHERE run_id = '{name}'");
        until(&cluster, &state, "success").context(scheduler.log())?;
        eprintln!("{much} runs that wait: {} MB", scheduler.memory_bytes()? >> 20);
        if name == "before" {
            scheduler.kill()?;
            scheduler = cluster.scheduler("third")?;
        }
    }
    assert_eq!(
        cluster.sql("SELECT count(*) FROM attempt WHERE task_no = 0 AND is_open")?,
        "1",
        "one slot, one command"
    );
    fs::write(gate, "")?;
    // Each in its turn; a tenth of them shows it.
    let some = (much / 10).max(10);
    wait_for("a tenth of them", PATIENCE, || {
        let done = "SELECT count(*) FROM dag_run WHERE dag_id = 'queue' AND state = 'success'";
        Ok((some <= cluster.sql(done)?.parse()?).then_some(()))
    })
    .with_context(|| scheduler.log())
}

#[test]
fn a_dag_of_very_many_tasks_runs_to_its_end() -> Result<()> {
    let much = much();
    let mut text = String::from("dag: wide\nmax_active_tasks: 100\ntasks:\n  first: {bash: 'true'}\n");
    let middle = much.saturating_sub(12);
    for no in 0..middle {
        text += &format!("  t{no}: {{needs: first, empty: {{}}}}\n");
    }
    let all: Vec<String> = (0..middle).map(|no| format!("t{no}")).collect();
    for no in 0..10 {
        text += &format!("  p{no}: {{needs: t{no}, bash: 'true'}}\n");
    }
    text += &format!("  last: {{needs: [{}], bash: 'true'}}\n", all.join(", "));
    let cluster = Cluster::new(&[("wide.yaml", &text)])?;
    let scheduler = cluster.scheduler("only")?;
    until(&cluster, "SELECT count(*) FROM dag", "1").context(scheduler.log())?;
    cluster.queue_run("wide", "one")?;
    until(&cluster, "SELECT state FROM dag_run", "success").context(scheduler.log())?;
    eprintln!("a DAG of {much} tasks: {} MB", scheduler.memory_bytes()? >> 20);
    // Its commands write no marks: what is checked is the log and the tables.
    let evidence = Evidence::read(&cluster, &cluster.path("marks"), Vec::new().into())?;
    let found = check::findings(&evidence, &Rules { parallelism: 128, ..Rules::default() });
    let found: Vec<_> = found.into_iter().filter(|finding| !finding.text.contains("did not start")).collect();
    assert_eq!(found, []);
    assert_eq!(evidence.task_instances.len(), middle + 12);
    Ok(())
}
