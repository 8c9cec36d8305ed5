//! Runs: lists, one, changes.

use std::{sync::Arc, time::Duration};

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::support::{Api, shown};

const HELLO: &str = "tasks:\n  hello: echo hello\n";

#[tokio::test]
async fn runs_are_filtered_ordered_and_paged() {
    let api = Api::with(&[("a.yaml", HELLO), ("b.yaml", HELLO)]).await;
    for (dag, run_id, day) in [("a", "one", 1), ("a", "two", 2), ("b", "three", 3)] {
        let instant = format!("2025-01-0{day}T00:00:00Z");
        let body = json!({"dag_run_id": run_id, "logical_date": instant, "run_after": instant});
        assert_eq!(api.post(&format!("/dags/{dag}/dagRuns"), body).await.0, 200);
    }
    api.start_run("two");
    let ids = async |path: &str| {
        let list = api.get(path).await;
        let runs = list["dag_runs"].as_array().unwrap();
        let ids: Vec<_> = runs.iter().map(|run| run["dag_run_id"].as_str().unwrap().to_owned()).collect();
        format!("{} of {}", ids.join(" "), list["total_entries"])
    };
    assert_eq!(ids("/dags/a/dagRuns").await, "one two of 2");
    assert_eq!(ids("/dags/~/dagRuns").await, "one two three of 3");
    assert_eq!(ids("/dags/~/dagRuns?order_by=-run_after&limit=2").await, "three two of 3");
    assert_eq!(ids("/dags/~/dagRuns?order_by=-dag_id&order_by=dag_run_id").await, "three one two of 3");
    assert_eq!(ids("/dags/~/dagRuns?state=queued").await, "one three of 2");
    assert_eq!(ids("/dags/~/dagRuns?state=queued&state=running&run_type=manual").await, "one two three of 3");
    assert_eq!(ids("/dags/~/dagRuns?run_type=scheduled").await, " of 0");
    assert_eq!(ids("/dags/~/dagRuns?logical_date_gte=2025-01-02T00:00:00Z").await, "two three of 2");
    assert_eq!(
        ids("/dags/~/dagRuns?logical_date_gt=2025-01-02T00:00:00%2B00:00&run_after_lt=2026-01-01T00:00:00Z").await,
        "three of 1"
    );
    assert_eq!(ids("/dags/~/dagRuns?run_after_lte=2025-01-01T00:00:00%2B00:00").await, "one of 1");
    assert_eq!(ids("/dags/~/dagRuns?run_id_pattern=TW%7Cthr").await, "two three of 2");
    assert_eq!(ids("/dags/~/dagRuns?dag_id_prefix_pattern=b").await, "three of 1");
    assert_eq!(ids("/dags/~/dagRuns?dag_version=1&duration_gte=0.5").await, "two of 1");
    assert_eq!(api.status("/dags/none/dagRuns").await.0, 404);
}

#[tokio::test]
async fn a_run_that_has_ended_says_when_and_why() {
    let api = Api::with(&[("hello.yaml", HELLO)]).await;
    api.trigger("hello", "r").await;
    api.sql(
        "UPDATE dag_run SET state = 'failed', reason = 'timed_out', started_at = '2025-01-01T00:00:00Z',
        ended_at = '2025-01-01T00:00:01.5Z'",
    );
    let run = api.get("/dags/hello/dagRuns/r").await;
    assert_eq!(run["state"], "failed");
    assert_eq!(run["reason"], "timed_out");
    assert_eq!(run["duration"], 1.5);
    assert_eq!(run["start_date"], "2025-01-01T00:00:00Z");
    assert_eq!(run["end_date"], "2025-01-01T00:00:01.500Z");
}

#[tokio::test]
async fn a_note_is_set_and_removed() {
    let api = Api::with(&[("hello.yaml", HELLO)]).await;
    api.trigger("hello", "r").await;
    let patch = async |query: &str, body: Value| api.patch(&format!("/dags/hello/dagRuns/r{query}"), body).await;
    assert_eq!(patch("", json!({"note": "look"})).await.1["note"], "look");
    assert_eq!(patch("?update_mask=state", json!({"note": "not this"})).await.1["note"], "look");
    assert_eq!(patch("?update_mask=note", json!({"note": "this", "state": "failed"})).await.1["state"], "queued");
    assert_eq!(patch("", json!({"note": ""})).await.1["note"], Value::Null);
    let (status, error) = patch("", json!({"note": "x".repeat(1001), "state": "running", "more": 1})).await;
    assert_eq!(status, 422);
    let kinds: Vec<_> =
        error["detail"].as_array().unwrap().iter().map(|issue| issue["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["string_too_long", "enum", "extra_forbidden"]);
    assert_eq!(error["detail"][1]["msg"], "Input should be 'queued', 'success' or 'failed'");
    assert_eq!(patch("", json!({"state": "success"})).await.0, 400);
}

/// Decides the only command as the leader would: with what it does to the run, in one transaction.
async fn decide(api: &Arc<Api>, outcome: &str, effect: &str) {
    api.inbox.notified().await;
    assert_eq!(api.sql("SELECT count(*) FROM command WHERE outcome IS NULL"), "1");
    api.sql(&format!("UPDATE command SET decided_at = now(), {outcome}; {effect}"));
    api.turn.notify_one();
}

#[tokio::test]
async fn failing_a_run_is_a_command_that_the_leader_decides() {
    let api = Arc::new(Api::with(&[("hello.yaml", HELLO)]).await);
    api.trigger("hello", "r").await;
    api.inbox.notified().await;
    let leader = tokio::spawn({
        let api = Arc::clone(&api);
        async move { decide(&api, "outcome = 'done'", "UPDATE dag_run SET state = 'failed', reason = 'canceled'").await }
    });
    let (status, run) = api.patch("/dags/hello/dagRuns/r", json!({"state": "failed"})).await;
    leader.await.unwrap();
    assert_eq!((status, &run["state"], &run["reason"]), (200, &json!("failed"), &json!("canceled")));
    assert_eq!(api.sql("SELECT kind, actor FROM command"), "cancel_run|admin");
    assert_eq!(api.patch("/dags/hello/dagRuns/r", json!({"state": "failed"})).await.0, 200, "it is what was asked for");
    api.sql("UPDATE dag_run SET state = 'success'");
    assert_eq!(api.patch("/dags/hello/dagRuns/r", json!({"state": "failed"})).await.0, 409);
    assert_eq!(api.sql("SELECT count(*) FROM command"), "1");
}

#[tokio::test]
async fn pausing_a_dag_is_a_command_too() {
    let api = Arc::new(Api::with(&[("hello.yaml", HELLO)]).await);
    assert_eq!(api.patch("/dags/hello", json!({"is_paused": false})).await.0, 200, "nothing to ask for");
    assert_eq!(api.patch("/dags/hello", json!({})).await.0, 422);
    assert_eq!(api.patch("/dags/hello?update_mask=tags", json!({"is_paused": true})).await.0, 400);
    assert_eq!(api.patch("/dags/none", json!({"is_paused": true})).await.0, 404);
    let leader = tokio::spawn({
        let api = Arc::clone(&api);
        async move { decide(&api, "outcome = 'done'", "UPDATE dag SET is_paused = true").await }
    });
    let (status, dag) = api.patch("/dags/hello", json!({"is_paused": true})).await;
    leader.await.unwrap();
    assert_eq!((status, &dag["is_paused"]), (200, &json!(true)));
}

#[tokio::test]
async fn a_refused_command_is_a_conflict_with_the_leader_s_words() {
    let api = Arc::new(Api::with(&[("hello.yaml", HELLO)]).await);
    let leader = tokio::spawn({
        let api = Arc::clone(&api);
        async move { decide(&api, "outcome = 'refused', error = 'not now'", "").await }
    });
    let refused = api.patch("/dags/hello", json!({"is_paused": true})).await;
    leader.await.unwrap();
    assert_eq!(refused, (409, json!({"detail": "not now"})));
}

#[tokio::test]
async fn a_command_that_nobody_answers_is_kept_and_named() {
    let api = Api::with(&[("hello.yaml", HELLO)]).await;
    let (status, error) = api.patch("/dags/hello", json!({"is_paused": true})).await;
    assert_eq!(status, 503);
    let id = api.sql("SELECT id FROM command WHERE outcome IS NULL");
    assert_snapshot!(error["detail"].as_str().unwrap().replace(&id, "[id]"), @"no scheduler has answered yet; the command [id] is kept and will be carried out");
}

#[tokio::test]
async fn a_run_s_list_has_the_fields_of_airflow_s() {
    let api = Api::with(&[("hello.yaml", HELLO)]).await;
    assert_snapshot!(shown(&api.get("/dags/hello/dagRuns").await), @r#"
    {
      "dag_runs": [],
      "total_entries": 0,
      "total_entries_limit": null,
      "next_cursor": null,
      "previous_cursor": null
    }
    "#);
    api.trigger("hello", "r").await;
    let list = api.get("/dags/hello/dagRuns").await;
    assert_eq!(list["dag_runs"][0], api.get("/dags/hello/dagRuns/r").await);
}

#[tokio::test]
async fn a_shutdown_waits_for_answers_under_way() {
    let mut api = Api::with(&[("hello.yaml", HELLO)]).await;
    let served = std::mem::replace(&mut api.served, tokio::spawn(async {}));
    let api = Arc::new(api);
    let asked = tokio::spawn({
        let api = Arc::clone(&api);
        async move { api.patch("/dags/hello", json!({"is_paused": true})).await.0 }
    });
    api.inbox.notified().await;
    api.shutdown.cancel();
    assert_eq!(asked.await.unwrap(), 503, "answered, not cut off");
    tokio::time::timeout(Duration::from_secs(20), served).await.unwrap().unwrap();
}
