//! Creating runs.

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::support::{Api, shown};

const HELLO: &str = "tasks:\n  hello: echo hello\n";
const TABLE: &str =
    "params:\n  table: {type: string}\n  limit: {type: integer, default: 5}\ntasks:\n  hello: echo hello\n";

#[tokio::test]
async fn a_run_is_created_with_its_letter_and_answered_while_no_leader_lives() {
    let api = Api::with(&[("hello.yaml", HELLO)]).await;
    let run = api.trigger("hello", "first").await;
    assert_snapshot!(shown(&run), @r#"
    {
      "dag_run_id": "first",
      "dag_id": "hello",
      "logical_date": null,
      "queued_at": "[instant]",
      "start_date": null,
      "end_date": null,
      "duration": null,
      "data_interval_start": null,
      "data_interval_end": null,
      "run_after": "[instant]",
      "last_scheduling_decision": null,
      "run_type": "manual",
      "state": "queued",
      "triggered_by": "rest_api",
      "triggering_user_name": "admin",
      "conf": {},
      "note": null,
      "dag_versions": [
        {
          "id": "[uuid]",
          "version_number": 1,
          "dag_id": "hello",
          "bundle_name": "dags",
          "bundle_version": null,
          "created_at": "[instant]",
          "dag_display_name": "hello",
          "bundle_url": null
        }
      ],
      "bundle_version": null,
      "dag_display_name": "hello",
      "partition_key": null,
      "partition_date": null,
      "reason": null
    }
    "#);
    assert_eq!(api.get("/dags/hello/dagRuns/first").await, run);
    assert_eq!(
        api.sql("SELECT kind, run_id, r.state FROM inbox i JOIN dag_run r ON r.id = i.subject"),
        "run_queued|first|queued"
    );
    // The scheduler in the same process was woken.
    api.inbox.notified().await;
}

#[tokio::test]
async fn dates_and_intervals_follow_airflow() {
    let api = Api::with(&[("hello.yaml", HELLO)]).await;
    let post = async |body: Value| {
        let (status, run) = api.post("/dags/hello/dagRuns", body).await;
        assert_eq!(status, 200, "{run}");
        run
    };
    let run = post(json!({"logical_date": "2025-03-30T02:30:00+02:00", "run_after": "2025-04-01T00:00:00Z"})).await;
    assert_eq!(run["dag_run_id"], "manual__2025-04-01T00:00:00+00:00");
    assert_eq!(run["logical_date"], "2025-03-30T00:30:00Z");
    assert_eq!(run["data_interval_start"], run["logical_date"]);
    assert_eq!(run["data_interval_end"], run["logical_date"]);
    let run = post(json!({"logical_date": null, "data_interval_start": null, "note": "why"})).await;
    assert_eq!(run["data_interval_start"], Value::Null);
    assert_eq!(run["note"], "why");
    let body = json!({"logical_date": "2025-05-01T00:00:00.123456789Z", "data_interval_start": "2025-04-01T00:00:00Z",
        "data_interval_end": "2025-05-01T00:00:00Z"});
    let run = post(body).await;
    assert_eq!(run["data_interval_start"], "2025-04-01T00:00:00Z");
    assert_eq!(run["logical_date"], "2025-05-01T00:00:00.123456Z", "as the database keeps it");
    assert_eq!(api.get(&format!("/dags/hello/dagRuns/{}", run["dag_run_id"].as_str().unwrap())).await, run);
}

#[tokio::test]
async fn a_repeated_trigger_is_a_conflict_and_changes_nothing() {
    let api = Api::with(&[("hello.yaml", HELLO)]).await;
    api.trigger("hello", "first").await;
    let again = json!({"dag_run_id": "first", "logical_date": null});
    let (status, error) = api.post("/dags/hello/dagRuns", again).await;
    assert_eq!(status, 409);
    assert_snapshot!(shown(&error), @r#"
    {
      "detail": {
        "reason": "Unique constraint violation",
        "statement": "hidden",
        "orig_error": "hidden",
        "message": "the DAG `hello` has a run with dag_run_id `first` already"
      }
    }
    "#);
    let date = json!({"logical_date": "2025-01-01T00:00:00Z"});
    assert_eq!(api.post("/dags/hello/dagRuns", date.clone()).await.0, 200);
    assert_eq!(api.post("/dags/hello/dagRuns", date).await.0, 409);
    assert_eq!(api.sql("SELECT count(*) FROM inbox"), "2");
}

#[tokio::test]
async fn conf_is_checked_against_the_params() {
    let api = Api::with(&[("table.yaml", TABLE)]).await;
    let post = async |conf: Value| api.post("/dags/table/dagRuns", json!({"logical_date": null, "conf": conf})).await;
    let (status, run) = post(json!({"table": "a", "limit": 7})).await;
    assert_eq!((status, &run["conf"]), (200, &json!({"table": "a", "limit": 7})));
    let (status, error) = post(json!({"limit": "many"})).await;
    assert_eq!(status, 400);
    assert_snapshot!(error["detail"].as_str().unwrap(), @r#"param `table`: it has no default and must be given; param `limit`: must be of type integer, not "many""#);
    assert_eq!(api.sql("SELECT count(*) FROM dag_run"), "1");
}

#[tokio::test]
async fn a_version_that_was_overwritten_in_place_is_compiled_again() {
    let api = Api::with(&[("table.yaml", HELLO)]).await;
    let body = json!({"logical_date": null, "conf": {"table": "a"}});
    assert_eq!(api.post("/dags/table/dagRuns", body.clone()).await.0, 400, "no such param");
    let mut leader = api.lead().await;
    api.publish(&mut leader, &[("table.yaml", TABLE)]).await;
    assert_eq!(api.sql("SELECT count(*) FROM dag_version"), "1");
    assert_eq!(api.post("/dags/table/dagRuns", body).await.0, 200);
}

#[tokio::test]
async fn what_can_t_be_triggered_says_why() {
    let api = Api::with(&[("hello.yaml", HELLO), ("gone.yaml", HELLO)]).await;
    api.sql("UPDATE dag SET removed_at = now() WHERE dag_id = 'gone'");
    let detail = async |dag: &str, body: Value| {
        let (status, error) = api.post(&format!("/dags/{dag}/dagRuns"), body).await;
        format!("{status} {}", error["detail"].as_str().unwrap_or_default())
    };
    let plain = json!({"logical_date": null});
    assert_eq!(detail("nope", plain.clone()).await, "404 Dag with dag_id: 'nope' not found");
    assert_eq!(detail("gone", plain.clone()).await, "404 Dag with dag_id: 'gone' not found");
    let named = |id: &str| json!({"logical_date": null, "dag_run_id": id});
    assert_eq!(
        detail("hello", named("scheduled__x")).await,
        "400 A manual DAG run cannot use ID 'scheduled__x' since it is reserved for scheduled runs"
    );
    assert!(detail("hello", named("a/b")).await.starts_with("400 "));
    assert!(detail("hello", named("a..b")).await.starts_with("400 "));
    assert!(detail("hello", json!({"logical_date": null, "partition_key": "x"})).await.starts_with("400 "));
    api.sql("INSERT INTO import_error (bundle_id, file, message, at) SELECT id, 'hello.yaml', 'no', now() FROM bundle");
    assert_eq!(detail("hello", plain).await, "400 Dag with dag_id: 'hello' has import errors and cannot be triggered");
    assert_eq!(api.sql("SELECT count(*) FROM dag_run"), "0");
}

#[tokio::test]
async fn a_body_is_read_whole_before_it_is_refused() {
    let api = Api::with(&[("hello.yaml", HELLO)]).await;
    let body = json!({"dag_run_id": 7, "conf": [], "extra": true, "run_after": "2025-01-01T00:00:00",
        "data_interval_start": "soon", "data_interval_end": "2025-01-01T00:00:00Z"});
    let (status, error) = api.post("/dags/hello/dagRuns", body).await;
    assert_eq!(status, 422);
    let half = json!({"logical_date": null, "data_interval_end": "2025-01-01T00:00:00Z"});
    assert_eq!(api.post("/dags/hello/dagRuns", half).await.1["detail"][0]["type"], "value_error");
    let issues: Vec<_> = error["detail"]
        .as_array()
        .unwrap()
        .iter()
        .map(|issue| format!("{} {} {}", issue["type"], issue["loc"], issue["msg"]))
        .collect();
    assert_snapshot!(issues.join("\n"), @r#"
    "missing" ["body","logical_date"] "Field required"
    "datetime_from_date_parsing" ["body","data_interval_start"] "Input should be a valid datetime or date, it must be ISO 8601 with an offset"
    "string_type" ["body","dag_run_id"] "Input should be a valid string"
    "timezone_aware" ["body","run_after"] "Input should have timezone info"
    "dict_type" ["body","conf"] "Input should be a valid dictionary"
    "extra_forbidden" ["body","extra"] "Extra inputs are not permitted"
    "#);
}
