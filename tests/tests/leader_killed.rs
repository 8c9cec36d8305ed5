//! The leader is killed at random points while a hundred processes run. Nothing starts twice, nothing
//! is lost, and the process that ran when the scheduler died is the one whose result counts.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;
use gridflow_tests::{Cluster, history, wait_for};

const KILLS: u64 = 12;
const TASKS: usize = 100;

/// A hundred tasks that write down that they started, run for a while, and leave an output that names them.
fn dag() -> String {
    let mut text = String::from("dag: many\nmax_active_tasks: 200\ntasks:\n");
    for no in 0..TASKS {
        text += &format!(
            "  t{no}:\n    pool: wide\n    bash: |\n      echo \"$GRIDFLOW_ATTEMPT_ID\" >> \"$STARTS_FILE\"\n      sleep {}.{}\n      echo \"\\\"$GRIDFLOW_ATTEMPT_ID\\\"\" > \"$GRIDFLOW_OUTPUT\"\n",
            no % 3,
            no % 10,
        );
    }
    text += "  last:\n    needs: [";
    text += &(0..TASKS).map(|no| format!("t{no}")).collect::<Vec<_>>().join(", ");
    text += "]\n    empty: {}\n";
    text
}

#[test]
fn a_leader_killed_at_random_points_loses_and_doubles_nothing() -> Result<()> {
    let cluster = Cluster::new(&[])?;
    let starts = cluster.path("starts");
    let text = dag().replace("\ntasks:\n", &format!("\nenv: {{STARTS_FILE: \"{}\"}}\ntasks:\n", starts.display()));
    std::fs::write(cluster.path("dags/many.yaml"), text)?;

    let mut scheduler = cluster.scheduler("first")?;
    wait_for("the DAG", Duration::from_secs(30), || {
        Ok((cluster.sql("SELECT count(*) FROM dag").unwrap_or_default() == "1").then_some(()))
    })
    .map_err(|error| error.context(scheduler.log()))?;
    cluster.sql("INSERT INTO pool (name, slots) VALUES ('wide', 500)")?;
    scheduler.kill()?;
    scheduler = cluster.scheduler("0")?;
    cluster.queue_run("many", "one")?;

    let mut seed = u64::from(std::process::id()) ^ Instant::now().elapsed().as_nanos() as u64 ^ 0x9e37_79b9;
    eprintln!("seed {seed}");
    for kill in 1..=KILLS {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        thread::sleep(Duration::from_millis((seed >> 33) % 600));
        scheduler.kill()?;
        scheduler = cluster.scheduler(&kill.to_string())?;
    }
    wait_for("the run's end", Duration::from_secs(90), || {
        let state = cluster.sql("SELECT state FROM dag_run")?;
        Ok(["success", "failed"].contains(&state.as_str()).then_some(()))
    })
    .map_err(|error| error.context(scheduler.log()))?;

    let starts = history::starts(&starts)?;
    history::check_one_launch(&starts)?;
    history::check_all_ended(cluster.server, &cluster.database, "success", 1)
        .map_err(|e| e.context(scheduler.log()))?;
    history::check_attempts_match(cluster.server, &cluster.database, &starts)?;
    history::check_log_replays(cluster.server, &cluster.database)?;
    assert_eq!(starts.len(), TASKS, "each task started exactly once: no process was given up for a restart");
    let own = cluster.sql(
        "SELECT count(*) FROM xcom JOIN task_instance USING (dag_run_id, task_no, map_index)
         WHERE value #>> '{}' = attempt_id::text",
    )?;
    assert_eq!(own, TASKS.to_string(), "the output of the process that ran is the one that counts");
    Ok(())
}
