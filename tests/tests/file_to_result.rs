//! The tour of the README, with a program that is killed in the middle: files land, each is ingested by
//! exactly one run, each of those starts exactly one run that publishes, and a bad file is rejected with its reason.

use std::{collections::HashSet, thread, time::Duration};

use anyhow::{Context, Result, ensure};
use gridflow_tests::{Installation, Standalone, wait_for};
use serde_json::Value;

const FILES: usize = 20;
const KILLS: usize = 3;

fn runs(server: &Standalone, dag: &str) -> Result<Vec<Value>> {
    let answer = server.ask(&["runs", "list", dag, "--limit", "100"])?;
    let list = answer.as_array().or_else(|| answer["dag_runs"].as_array());
    Ok(list.context("a list of runs")?.clone())
}

fn ended(runs: &[Value], state: &str) -> usize {
    runs.iter().filter(|run| run["state"] == state).count()
}

#[test]
fn each_file_makes_one_run_and_one_result_although_the_program_is_killed() -> Result<()> {
    let place = Installation::with_examples()?;
    let incoming = place.path("data/incoming");
    std::fs::create_dir_all(&incoming)?;
    let mut server = place.start("first")?;
    for no in 0..FILES {
        std::fs::copy(place.path("examples/data/weather.csv"), incoming.join(format!("weather-{no}.csv")))?;
    }
    std::fs::copy(place.path("examples/data/weather-bad-rows.csv"), incoming.join("bad.csv"))?;
    for kill in 0..KILLS {
        // The first one ripens after two seconds; the kills fall before, into and behind the work.
        thread::sleep(Duration::from_millis(1_200 + 700 * kill as u64));
        server.program.kill()?;
        server = place.start(&format!("again-{kill}"))?;
    }
    wait_for("all results", Duration::from_secs(180), || {
        let published = ended(&runs(&server, "process_and_publish")?, "success");
        let rejected = ended(&runs(&server, "file_watch_ingest")?, "failed");
        Ok((published == FILES && rejected == 1).then_some(()))
    })
    .with_context(|| server.program.log())?;

    let ingested = runs(&server, "file_watch_ingest")?;
    let files: HashSet<&str> = ingested.iter().filter_map(|run| run["conf"]["file"].as_str()).collect();
    ensure!(ingested.len() == FILES + 1, "one run per file, but there are {}", ingested.len());
    ensure!(files.len() == FILES + 1, "each file has a run of its own: {files:?}");
    ensure!(runs(&server, "process_and_publish")?.len() == FILES, "one child per good file");
    ensure!(place.path("data/curated/weather_by_month.csv").is_file());
    let reason = std::fs::read_to_string(place.path("data/rejected/bad.csv.reason.json"))?;
    ensure!(reason.contains("7 errors"), "the reason beside the rejected file: {reason}");
    Ok(())
}
