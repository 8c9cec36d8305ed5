//! Why a task instance is not running.

use gridflow_core::{AttemptId, RunKey};
use gridflow_store::beside::{Waits, Word};
use serde_json::Value;

use crate::support::Api;

const CHAIN: &str =
    "max_active_tasks: 1\nmax_active_runs: 1\ntasks:\n  a: echo a\n  b: {needs: a, bash: echo b, retries: 1}\n";

async fn why(api: &Api, task: &str) -> Vec<String> {
    let answer = api.get(&format!("/dags/chain/dagRuns/r/taskInstances/{task}/dependencies")).await;
    let dependencies = answer["dependencies"].as_array().unwrap();
    dependencies
        .iter()
        .map(|one| format!("{}: {}", one["name"].as_str().unwrap(), one["reason"].as_str().unwrap()))
        .collect()
}

#[tokio::test]
async fn a_queued_run_says_what_it_waits_for() {
    let api = Api::with(&[("chain.yaml", CHAIN)]).await;
    api.trigger("chain", "r").await;
    assert_eq!(
        why(&api, "a").await,
        [
            "Dagrun Running: the run is queued and has not started yet",
            "Scheduler: no scheduler is running: nothing starts until one does",
        ]
    );
    let _leader = api.lead().await;
    api.trigger("chain", "other").await;
    api.start_run("other");
    assert_eq!(
        why(&api, "a").await,
        ["Dagrun Running: the run is queued: 1 runs of the DAG are running and `max_active_runs` is 1",]
    );
    api.sql("UPDATE dag SET is_paused = true; UPDATE dag_run SET run_after = '2999-01-01T00:00:00Z'");
    assert_eq!(
        why(&api, "a").await,
        [
            "Dag Not Paused: the DAG `chain` is paused: its runs stay queued",
            "Dagrun Running: the run is queued: 1 runs of the DAG are running and `max_active_runs` is 1",
            "Run After: the run does not start before 2999-01-01T00:00:00Z",
        ]
    );
}

#[tokio::test]
async fn each_state_of_a_task_instance_has_its_reason() {
    let api = Api::with(&[("chain.yaml", CHAIN)]).await;
    let _leader = api.lead().await;
    api.trigger("chain", "r").await;
    api.start_run("r");
    assert_eq!(
        why(&api, "b").await,
        ["Trigger Rule: trigger rule `all_success` waits for 1 of 1 upstreams: `a` (none)"]
    );
    let attempt = api.attempt("r", "a", 1, "queued");
    api.sql("UPDATE task_instance SET state = 'queued' WHERE task_no = 0");
    assert_eq!(why(&api, "a").await, ["Launch: its attempt is committed and about to start"]);
    api.sql("UPDATE task_instance SET state = 'running' WHERE task_no = 0");
    assert_eq!(why(&api, "a").await, [""; 0]);
    api.sql("UPDATE task_instance SET state = 'scheduled' WHERE task_no = 1");
    assert_eq!(
        why(&api, "b").await,
        ["Task Instance Slots Available: 1 task instances of the run are active and `max_active_tasks` is 1",]
    );
    api.sql("UPDATE pool SET slots = 1");
    assert_eq!(
        why(&api, "b").await,
        [
            "Pool Slots Available: it needs 1 slots of pool `default_pool`, which has 0 of 1 free",
            "Task Instance Slots Available: 1 task instances of the run are active and `max_active_tasks` is 1",
        ]
    );
    api.close(attempt, 0, "success");
    assert_eq!(
        why(&api, "b").await,
        ["Admission: it is ready and waits for its turn: task instances of a higher priority go first"]
    );
    api.sql("UPDATE task_instance SET state = 'up_for_retry', try_number = 1, retry_at = '2999-01-01T00:00:00Z' WHERE task_no = 1");
    assert_eq!(
        why(&api, "b").await,
        ["Not In Retry Period: try 1 failed; the next one is due at 2999-01-01T00:00:00Z"]
    );
    api.trigger("chain", "child").await;
    api.sql("UPDATE task_instance SET state = 'deferred', waits_for_run = (SELECT id FROM dag_run WHERE run_id = 'child') WHERE task_no = 1");
    assert_eq!(why(&api, "b").await, ["Wait: waits for the end of run `chain/child`"]);
}

/// What an executor says of the attempt, as the leader writes it down.
async fn tell(api: &Api, leader: &gridflow_store::Leader, attempt: AttemptId, has_started: bool, reason: &str) {
    let run = RunKey(api.sql("SELECT id FROM dag_run").trim().parse().unwrap());
    let told = [Waits { run, attempt, has_started, reason: Some(reason.into()) }];
    let mut conn = api.database.reader().await.unwrap();
    assert!(Waits::write(&mut conn, leader.pass(), &told).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_an_attempt_waits_for_outside_is_said_until_it_goes_on() {
    let api = Api::with(&[("chain.yaml", CHAIN)]).await;
    let leader = api.lead().await;
    api.trigger("chain", "r").await;
    api.start_run("r");
    let attempt = api.attempt("r", "a", 1, "queued");
    api.sql(
        "UPDATE task_instance SET state = 'queued' WHERE task_no = 0;
         UPDATE attempt SET executor = 'kubernetes', started_at = NULL",
    );
    tell(&api, &leader, attempt, false, "no node can take the pod: 0/1 nodes are available").await;
    let shown = async || api.get("/dags/chain/dagRuns/r/taskInstances/a").await["reason"].clone();
    assert_eq!(
        why(&api, "a").await,
        ["Launch: its attempt is committed and waits: no node can take the pod: 0/1 nodes are available"]
    );
    assert_eq!(shown().await, "no node can take the pod: 0/1 nodes are available");

    api.sql("UPDATE task_instance SET state = 'running' WHERE task_no = 0; UPDATE attempt SET state = 'running', started_at = now()");
    assert_eq!((why(&api, "a").await, shown().await), (Vec::new(), Value::Null));
    tell(&api, &leader, attempt, true, "its node does not say that its containers have ended").await;
    assert_eq!(
        why(&api, "a").await,
        ["Attempt: an attempt of it waits: its node does not say that its containers have ended"]
    );
    api.close(attempt, 0, "success");
    assert_eq!((why(&api, "a").await, shown().await), (Vec::new(), Value::Null));
}
