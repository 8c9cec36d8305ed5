//! Waiting for the end of a run.

use std::time::Duration;

use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::support::Api;

const HELLO: &str = "tasks:\n  hello: echo hello\n  other: echo other\n";
const PATIENCE: Duration = Duration::from_secs(20);

async fn ask(api: &Api, query: &str) -> Response {
    api.request(Method::GET, &format!("/dags/hello/dagRuns/r/wait?interval=3600{query}")).send().await.unwrap()
}

async fn line(response: &mut Response) -> Option<Value> {
    let chunk = tokio::time::timeout(PATIENCE, response.chunk()).await.unwrap().unwrap()?;
    Some(serde_json::from_slice(&chunk).unwrap())
}

#[tokio::test]
async fn a_line_comes_at_once_and_at_every_change_until_the_end() {
    let api = Api::with(&[("hello.yaml", HELLO)]).await;
    api.trigger("hello", "r").await;
    let mut response = ask(&api, "&result=hello&result=other").await;
    assert_eq!(response.headers()["content-type"], "application/x-ndjson");
    assert_eq!(line(&mut response).await, Some(json!({"state": "queued"})));
    api.start_run("r");
    api.turn.notify_one();
    assert_eq!(line(&mut response).await, Some(json!({"state": "running"})));
    api.sql(
        "INSERT INTO xcom (dag_run_id, task_no, map_index, name, value, bytes, created_at)
        SELECT id, 0, -1, 'return_value', '{\"b\": 1, \"a\": [2]}', 19, now() FROM dag_run;
        INSERT INTO xcom (dag_run_id, task_no, map_index, name, value, bytes, created_at)
        SELECT id, 1, i, 'return_value', to_json(i), 1, now() FROM dag_run, generate_series(0, 1) i;
        UPDATE dag_run SET state = 'success'",
    );
    api.turn.notify_one();
    let end = json!({"state": "success", "results": {"hello": {"b": 1, "a": [2]}, "other": [0, 1]}});
    assert_eq!(line(&mut response).await, Some(end));
    assert_eq!(line(&mut response).await, None);
}

#[tokio::test]
async fn a_wake_up_that_got_lost_only_costs_a_moment() {
    let api = Api::with(&[("hello.yaml", HELLO)]).await;
    api.trigger("hello", "r").await;
    let mut response = ask(&api, "").await;
    assert_eq!(line(&mut response).await, Some(json!({"state": "queued"})));
    api.sql("UPDATE dag_run SET state = 'failed'");
    assert_eq!(line(&mut response).await, Some(json!({"state": "failed"})));
}

#[tokio::test]
async fn a_run_that_has_ended_is_one_line() {
    let api = Api::with(&[("hello.yaml", HELLO)]).await;
    api.trigger("hello", "r").await;
    api.sql("UPDATE dag_run SET state = 'failed'");
    assert_eq!(ask(&api, "").await.text().await.unwrap(), "{\"state\":\"failed\"}\n");
}

#[tokio::test]
async fn many_wait_for_one_run() {
    let api = Api::with(&[("hello.yaml", HELLO)]).await;
    api.trigger("hello", "r").await;
    let mut waiting = Vec::new();
    for _ in 0..200 {
        let mut response = ask(&api, "").await;
        assert_eq!(line(&mut response).await, Some(json!({"state": "queued"})));
        waiting.push(response);
    }
    assert_eq!(api.get("/dags/hello").await["dag_id"], "hello", "others are still answered");
    api.sql("UPDATE dag_run SET state = 'success'");
    api.turn.notify_one();
    for response in &mut waiting {
        assert_eq!(line(response).await, Some(json!({"state": "success"})));
    }
}

#[tokio::test]
async fn a_shutdown_ends_the_waiting() {
    let mut api = Api::with(&[("hello.yaml", HELLO)]).await;
    api.trigger("hello", "r").await;
    let mut response = ask(&api, "").await;
    assert_eq!(line(&mut response).await, Some(json!({"state": "queued"})));
    api.shutdown.cancel();
    assert_eq!(line(&mut response).await, None);
    let served = std::mem::replace(&mut api.served, tokio::spawn(async {}));
    tokio::time::timeout(PATIENCE, served).await.unwrap().unwrap();
}

#[tokio::test]
async fn the_interval_is_needed_and_positive() {
    let api = Api::with(&[("hello.yaml", HELLO)]).await;
    api.trigger("hello", "r").await;
    let kind = async |query: &str| {
        api.status(&format!("/dags/hello/dagRuns/r/wait{query}")).await.1["detail"][0]["type"].clone()
    };
    assert_eq!(kind("").await, "missing");
    assert_eq!(kind("?interval=0").await, "greater_than");
    assert_eq!(kind("?interval=x").await, "float_parsing");
    assert_eq!(api.status("/dags/hello/dagRuns/none/wait?interval=1").await.0, 404);
}
