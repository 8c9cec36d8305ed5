//! The shapes of errors.

use insta::assert_snapshot;
use reqwest::Method;
use serde_json::json;

use crate::support::{Api, answer, shown};

#[tokio::test]
async fn what_is_not_there_is_404_and_the_wrong_method_405() {
    let api = Api::start().await;
    assert_eq!(api.status("/nope").await, (404, json!({"detail": "Not Found"})));
    assert_eq!(api.status("/dags/x").await, (404, json!({"detail": "The Dag with ID: `x` was not found"})));
    assert_eq!(
        api.status("/dags/x/dagRuns/y").await,
        (404, json!({"detail": "The DagRun with dag_id: `x` and run_id: `y` was not found"}))
    );
    assert_eq!(
        api.status("/dags/x/dagRuns/y/taskInstances/z").await,
        (404, json!({"detail": "The Task Instance with dag_id: `x`, run_id: `y` and task_id: `z` was not found"}))
    );
    assert_eq!(api.status("/pools/x").await, (404, json!({"detail": "The Pool with name: `x` was not found"})));
    let (status, body) = answer(api.request(Method::PUT, "/dags").json(&json!({}))).await;
    assert_eq!((status.as_u16(), body), (405, json!({"detail": "Method Not Allowed"})));
}

#[tokio::test]
async fn every_bad_parameter_is_named_at_once() {
    let api = Api::start().await;
    let (status, error) = api.status("/dags?limit=many&offset=-1&paused=perhaps").await;
    assert_eq!(status, 422);
    assert_snapshot!(shown(&error), @r#"
    {
      "detail": [
        {
          "type": "int_parsing",
          "loc": [
            "query",
            "limit"
          ],
          "msg": "Input should be a valid integer, unable to parse string as an integer",
          "input": "many"
        },
        {
          "type": "greater_than_equal",
          "loc": [
            "query",
            "offset"
          ],
          "msg": "Input should be greater than or equal to 0",
          "input": "-1",
          "ctx": {
            "ge": 0
          }
        },
        {
          "type": "bool_parsing",
          "loc": [
            "query",
            "paused"
          ],
          "msg": "Input should be a valid boolean, unable to interpret input",
          "input": "perhaps"
        }
      ]
    }
    "#);
}

#[tokio::test]
async fn bad_orders_states_and_instants_are_texts_as_in_airflow() {
    let api = Api::start().await;
    assert_snapshot!(api.status("/dags?order_by=password").await.1, @r#"{"detail":"Ordering with 'password' is disallowed or the attribute does not exist on the model"}"#);
    assert_snapshot!(api.status("/dags/~/dagRuns?state=odd").await.1, @r#"{"detail":"Invalid value for state. Valid values are queued, running, success, failed"}"#);
    assert_snapshot!(api.status("/dags/~/dagRuns?run_type=odd").await.1, @r#"{"detail":"Invalid value for run type. Valid values are backfill, scheduled, manual, operator_triggered, asset_triggered, asset_materialization"}"#);
    assert_snapshot!(api.status("/dags/~/dagRuns?run_after_gte=yesterday").await.1, @r#"{"detail":"Invalid datetime: 'yesterday'. Please check the date parameter have this value."}"#);
    assert_eq!(api.status(&format!("/dags?{}", "order_by=dag_id&".repeat(11))).await.0, 400);
}

#[tokio::test]
async fn a_body_that_is_no_json_says_where() {
    let api = Api::start().await;
    let send = async |body: &'static str| {
        let request =
            api.request(Method::POST, "/dags/x/dagRuns").header("content-type", "application/json").body(body);
        let (status, body) = answer(request).await;
        format!("{} {body}", status.as_u16())
    };
    assert_snapshot!(send("{\"a\":1,\n oops}").await, @r#"422 {"detail":[{"type":"json_invalid","loc":["body",9],"msg":"JSON decode error","input":{},"ctx":{"error":"key must be a string"}}]}"#);
    assert_snapshot!(send("").await, @r#"422 {"detail":[{"type":"missing","loc":["body"],"msg":"Field required","input":null}]}"#);
    assert_snapshot!(send("[1]").await, @r#"422 {"detail":[{"type":"model_attributes_type","loc":["body"],"msg":"Input should be a valid dictionary or object to extract fields from","input":[1]}]}"#);
}

#[tokio::test]
async fn a_body_that_is_too_large_is_not_read() {
    let api = Api::start().await;
    let request = api
        .request(Method::POST, "/dags/x/dagRuns")
        .header("content-type", "application/json")
        .body(vec![b' '; 3 << 20]);
    let (status, body) = answer(request).await;
    assert_eq!((status.as_u16(), body), (413, json!({"detail": "the request body has more than 1048576 bytes"})));
}

#[tokio::test]
async fn what_goes_wrong_inside_stays_inside() {
    let api = Api::start().await;
    api.sql("ALTER TABLE pool RENAME TO hidden");
    let (status, body) = api.status("/pools").await;
    assert_eq!(status, 500);
    let detail = body["detail"].as_str().unwrap();
    assert!(detail.starts_with("Internal Server Error, see the server's log for "), "{detail}");
    assert!(!detail.contains("relation"), "{detail}");
}

#[tokio::test]
async fn texts_that_no_database_holds_are_no_failures() {
    let api = Api::with(&[("hello.yaml", "tasks:\n  hello: echo hello\n")]).await;
    assert_eq!(api.status("/dags/%00").await.0, 404);
    assert_eq!(api.status("/dags/%ff").await.0, 404);
    assert_eq!(api.get("/dags?dag_id_pattern=%00&tags=a%00b").await["total_entries"], 0);
    assert_eq!(api.get("/dags?dag_id_pattern=%5C").await["total_entries"], 0);
    let body = json!({"logical_date": null, "dag_run_id": "r", "note": "a\u{0}b"});
    assert_eq!(api.post("/dags/hello/dagRuns", body).await.0, 200);
    assert_eq!(api.patch("/dags/hello/dagRuns/r", json!({"note": "c\u{0}d"})).await.0, 200);
}

#[tokio::test]
async fn a_database_that_is_gone_is_503_and_health_says_so() {
    let api = Api::start().await;
    api.database.pool().close().await;
    let response = api.request(Method::GET, "/dags").send().await.unwrap();
    assert_eq!(response.status(), 503);
    assert_eq!(response.headers()["retry-after"], "1");
    let (status, health) = api.status("/monitor/health").await;
    assert_eq!((status, &health["metadatabase"]["status"]), (200, &json!("unhealthy")));
}
