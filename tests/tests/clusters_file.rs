//! The clusters file, and what it names, changed under a scheduler that runs.

use std::{fs, time::Duration};

use anyhow::{Context, Result};
use gridflow_testkit::kubernetes;
use gridflow_tests::{Cluster, Pods, Web, history, wait_for};
use serde_json::{Value, json};

/// Says nothing of where it runs.
const WHEREVER: &str = "dag: wherever\ntasks:\n  a: {bash: 'echo \"\\\"$(test -d /gridflow/work && echo pod || echo process)\\\"\" > \"$GRIDFLOW_OUTPUT\"'}\n";
const PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn a_scheduler_follows_its_clusters_file_and_the_kubeconfig_in_it() -> Result<()> {
    let Some(kubernetes) = kubernetes::Cluster::shared()? else { return Ok(()) };
    let cluster = Cluster::new(&[("wherever.yaml", WHEREVER)])?;
    // A kubeconfig whose token nobody knows.
    let kubeconfig = cluster.path("kubeconfig");
    let admin = kubernetes.kubectl(&["config", "view", "--raw", "--flatten", "--output=json"])?;
    let mut stranger: Value = serde_json::from_str(&admin).context("a kubeconfig")?;
    stranger["users"][0]["user"] = json!({ "token": "nobody's" });
    fs::write(&kubeconfig, stranger.to_string())?;
    let pods = Pods::reached_by(&kubernetes, &cluster, &kubeconfig)?;
    let scheduler = cluster.scheduler_told("scheduler", &pods.arguments(), &[])?;
    let web = Web::start(&cluster, "web")?;
    let where_it_ran = |run: &str| -> Result<Value> {
        let ended =
            web.ask(&["runs", "wait", "wherever", run, "--timeout", "240s"]).with_context(|| scheduler.log())?;
        assert_eq!(ended["state"], "success", "{}", scheduler.log());
        let output = cluster.sql(&format!(
            "SELECT x.value FROM xcom AS x JOIN dag_run AS r ON r.id = x.dag_run_id WHERE r.run_id = '{run}'"
        ))?;
        Ok(serde_json::from_str(&output)?)
    };
    cluster.until("SELECT count(*) FROM dag", "1").with_context(|| scheduler.log())?;
    web.ask(&["runs", "trigger", "wherever", "--run-id", "first"])?;
    assert_eq!(where_it_ran("first")?, "process");

    // What can't be used changes nothing, and is said.
    let good = pods.clusters()?;
    fs::write(pods.file(), "clusters: {}\n")?;
    wait_for("a word about the broken file", PATIENCE, || {
        Ok(scheduler.log().contains("the clusters stay as they were").then_some(()))
    })?;
    // Other defaults are a new version of every DAG.
    let mut changed = good;
    changed["defaults"] = json!({ "executor": "kubernetes" });
    fs::write(pods.file(), changed.to_string())?;
    cluster.until("SELECT count(*) FROM dag_version", "2").with_context(|| scheduler.log())?;
    web.ask(&["runs", "trigger", "wherever", "--run-id", "second"])?;
    cluster.until("SELECT count(*) FROM attempt WHERE executor = 'kubernetes'", "1")?;
    // The attempt waits for an API server that lets the scheduler in.
    fs::write(&kubeconfig, &admin)?;
    assert_eq!(where_it_ran("second")?, "pod");
    assert!(scheduler.log().contains("the clusters have changed"), "{}", scheduler.log());
    history::check_log_replays(cluster.server, &cluster.database)
}
