//! Task instances, their tries, XComs and pools.

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::support::{Api, shown};

const CHAIN: &str =
    "tasks:\n  a: echo a\n  b: {needs: a, bash: echo b, pool: default_pool}\n  c: {needs: b, empty: {}}\n";
const PATH: &str = "/dags/chain/dagRuns/r/taskInstances";

async fn queued() -> Api {
    let api = Api::with(&[("chain.yaml", CHAIN)]).await;
    api.trigger("chain", "r").await;
    api
}

async fn ids(api: &Api, query: &str) -> String {
    let list = api.get(&format!("{PATH}{query}")).await;
    let rows = list["task_instances"].as_array().unwrap();
    let ids: Vec<_> = rows.iter().map(|row| row["task_id"].as_str().unwrap()).collect();
    format!("{} of {}", ids.join(" "), list["total_entries"])
}

#[tokio::test]
async fn a_queued_run_has_its_task_instances_with_no_state() {
    let api = queued().await;
    let list = api.get(PATH).await;
    assert_eq!(ids(&api, "").await, "a b c of 3");
    assert_snapshot!(shown(&list["task_instances"][0]), @r#"
    {
      "id": "[uuid]",
      "task_id": "a",
      "dag_id": "chain",
      "dag_run_id": "r",
      "map_index": -1,
      "start_date": null,
      "end_date": null,
      "duration": null,
      "state": null,
      "try_number": 0,
      "max_tries": 0,
      "task_display_name": "a",
      "dag_display_name": "chain",
      "hostname": null,
      "unixname": null,
      "pool": "default_pool",
      "pool_slots": 1,
      "queue": "default",
      "priority_weight": 3,
      "operator": "bash",
      "operator_name": "bash",
      "queued_when": null,
      "scheduled_when": null,
      "pid": null,
      "executor": null,
      "executor_config": "{}",
      "dag_version": {
        "id": "[uuid]",
        "version_number": 1,
        "dag_id": "chain",
        "bundle_name": "dags",
        "bundle_version": null,
        "created_at": "[instant]",
        "dag_display_name": "chain",
        "bundle_url": null
      },
      "logical_date": null,
      "run_after": "[instant]",
      "note": null,
      "rendered_map_index": null,
      "rendered_fields": {},
      "trigger": null,
      "triggerer_job": null,
      "reason": null
    }
    "#);
    let before = list["task_instances"][1]["id"].clone();
    assert_eq!(api.get(&format!("{PATH}/b")).await["id"], before, "always the same");
    assert_ne!(list["task_instances"][0]["id"], before);
    api.start_run("r");
    assert_eq!(api.get(&format!("{PATH}/b")).await["id"], before, "also once it has a row");
}

#[tokio::test]
async fn a_running_one_shows_its_attempt() {
    let api = queued().await;
    api.start_run("r");
    let attempt = api.attempt("r", "a", 1, "running");
    let row = api.get(&format!("{PATH}/a")).await;
    assert_eq!(row["id"], attempt.to_string());
    assert_eq!(row["state"], "running");
    assert_eq!((&row["pid"], &row["executor"], &row["try_number"]), (&json!(42), &json!("local"), &json!(1)));
    api.close(attempt, 0, "success");
    let row = api.get(&format!("{PATH}/a")).await;
    assert_eq!((&row["state"], &row["duration"], &row["max_tries"]), (&json!("success"), &json!(2.5), &json!(2)));
}

#[tokio::test]
async fn lists_are_filtered_and_ordered() {
    let api = queued().await;
    api.start_run("r");
    api.attempt("r", "a", 1, "running");
    assert_eq!(ids(&api, "?state=running").await, "a of 1");
    assert_eq!(ids(&api, "?state=none").await, "b c of 2");
    assert_eq!(ids(&api, "?state=no_status&state=running").await, "a b c of 3");
    assert_eq!(ids(&api, "?task_id=b").await, "b of 1");
    assert_eq!(ids(&api, "?task_display_name_pattern=B%7Cc").await, "b c of 2");
    assert_eq!(ids(&api, "?map_index=0").await, " of 0");
    assert_eq!(ids(&api, "?map_index=-1&limit=1&offset=1").await, "b of 3");
    assert_eq!(ids(&api, "?operator=empty").await, "c of 1");
    assert_eq!(ids(&api, "?executor=local&try_number=1&pool=default_pool&queue=default").await, "a of 1");
    assert_eq!(ids(&api, "?order_by=-task_id").await, "c b a of 3");
    assert_eq!(ids(&api, "?order_by=state&order_by=-operator").await, "c b a of 3");
    assert_eq!(ids(&api, "?start_date_gte=2020-01-01T00:00:00Z").await, "a of 1");
    assert_eq!(api.get("/dags/~/dagRuns/~/taskInstances?state=running").await["total_entries"], 1);
    assert_eq!(api.get("/dags/chain/dagRuns/~/taskInstances").await["total_entries"], 3);
    assert_eq!(api.status("/dags/~/dagRuns/r/taskInstances").await.0, 400);
    assert_eq!(api.status(&format!("{PATH}?state=odd")).await.0, 422);
    assert_eq!(api.status(&format!("{PATH}?map_index=x")).await.0, 422);
}

#[tokio::test]
async fn a_mapped_task_needs_its_index() {
    let api = queued().await;
    api.start_run("r");
    api.sql(
        "UPDATE task_instance SET map_index = 0 WHERE task_no = 1;
        INSERT INTO task_instance (dag_run_id, task_no, map_index, state, try_number, tries_max)
        SELECT id, 1, 1, 'success', 1, 0 FROM dag_run",
    );
    let error = json!({"detail": "Task instance is mapped, add the map_index value to the URL"});
    assert_eq!(api.status(&format!("{PATH}/b")).await, (404, error));
    assert_eq!(api.get(&format!("{PATH}/b/1")).await["state"], "success");
    assert_eq!(api.status(&format!("{PATH}/b/7")).await.0, 404);
    assert_eq!(api.status(&format!("{PATH}/b/x")).await.0, 422);
    assert_eq!(api.get(PATH).await["total_entries"], 4);
    assert_eq!(api.get(&format!("{PATH}/b/1/tries")).await["task_instances"][0]["map_index"], 1);
    assert_eq!(api.get(&format!("{PATH}/b/1/tries/1")).await["state"], "success");
    assert_eq!(api.get(&format!("{PATH}/b/tries?map_index=1")).await["total_entries"], 1);
}

#[tokio::test]
async fn tries_are_the_attempts_in_order() {
    let api = queued().await;
    api.start_run("r");
    assert_eq!(api.get(&format!("{PATH}/a/tries")).await, json!({"task_instances": [], "total_entries": 0}));
    let first = api.attempt("r", "a", 1, "running");
    api.close(first, 1, "up_for_retry");
    let tries = async || {
        let tries = api.get(&format!("{PATH}/a/tries")).await;
        let shown: Vec<_> = tries["task_instances"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| format!("{} {}", one["try_number"], one["state"].as_str().unwrap_or("null")))
            .collect();
        shown.join(", ")
    };
    assert_eq!(tries().await, "1 failed");
    let second = api.attempt("r", "a", 2, "running");
    assert_eq!(tries().await, "1 failed, 2 running");
    api.close(second, 0, "success");
    assert_eq!(tries().await, "1 failed, 2 success");
    assert_snapshot!(shown(&api.get(&format!("{PATH}/a/tries/1")).await), @r#"
    {
      "task_id": "a",
      "dag_id": "chain",
      "dag_run_id": "r",
      "map_index": -1,
      "start_date": "[instant]",
      "end_date": "[instant]",
      "duration": 2.5,
      "state": "failed",
      "try_number": 1,
      "max_tries": 2,
      "task_display_name": "a",
      "dag_display_name": "chain",
      "hostname": null,
      "unixname": null,
      "pool": "default_pool",
      "pool_slots": 1,
      "queue": "default",
      "priority_weight": 3,
      "operator": "bash",
      "operator_name": "bash",
      "queued_when": "[instant]",
      "scheduled_when": null,
      "pid": 42,
      "executor": "local",
      "executor_config": "{}",
      "dag_version": {
        "id": "[uuid]",
        "version_number": 1,
        "dag_id": "chain",
        "bundle_name": "dags",
        "bundle_version": null,
        "created_at": "[instant]",
        "dag_display_name": "chain",
        "bundle_url": null
      }
    }
    "#);
    assert_eq!(api.status(&format!("{PATH}/a/tries/3")).await.0, 404);
    api.sql("UPDATE task_instance SET state = 'success', try_number = 1 WHERE task_no = 2");
    let own = api.get(&format!("{PATH}/c/tries")).await;
    assert_eq!(own["task_instances"][0]["state"], "success", "one that needed no attempt is its own try");
}

#[tokio::test]
async fn xcoms_are_listed_without_and_read_with_their_values() {
    let api = queued().await;
    api.start_run("r");
    api.sql("INSERT INTO xcom (dag_run_id, task_no, map_index, name, value, bytes, created_at)
        SELECT id, 0, -1, n, '{\"z\": 1, \"a\": [\"ü\", null]}', 26, now() FROM dag_run, unnest(ARRAY['return_value', 'a/b']) n;
        INSERT INTO xcom (dag_run_id, task_no, map_index, name, uri, bytes, created_at)
        SELECT id, 1, -1, 'return_value', 'file:///x', 99999, now() FROM dag_run");
    let path = format!("{PATH}/a/xcomEntries");
    let list = api.get(&path).await;
    assert_eq!(list["total_entries"], 2);
    assert_snapshot!(shown(&list["xcom_entries"][1]), @r#"
    {
      "key": "return_value",
      "timestamp": "[instant]",
      "logical_date": null,
      "map_index": -1,
      "task_id": "a",
      "dag_id": "chain",
      "run_id": "r",
      "dag_display_name": "chain",
      "task_display_name": "a",
      "run_after": "[instant]"
    }
    "#);
    let entry = api.get(&format!("{path}/return_value")).await;
    assert_eq!(entry["value"].to_string(), r#"{"z":1,"a":["ü",null]}"#, "in the order that the task wrote");
    let text = api.get(&format!("{path}/return_value?stringify=true&deserialize=false")).await;
    assert_eq!(text["value"], r#"{"z":1,"a":["ü",null]}"#);
    assert_eq!(api.get(&format!("{path}/a/b")).await["key"], "a/b");
    assert_eq!(api.get(&format!("{path}/a%2Fb")).await["key"], "a/b");
    assert_eq!(api.get(&format!("{path}?xcom_key=return_value")).await["total_entries"], 1);
    assert_eq!(api.get(&format!("{path}?map_index=0")).await["total_entries"], 0);
    assert_eq!(api.get("/dags/~/dagRuns/~/taskInstances/~/xcomEntries").await["total_entries"], 3);
    assert_eq!(
        api.status(&format!("{path}/none")).await,
        (404, json!({"detail": "XCom entry with key: `none` not found"}))
    );
    let large = api.get(&format!("{PATH}/b/xcomEntries/return_value")).await;
    assert_eq!(large["value"], json!({"uri": "file:///x", "bytes": 99999}));
}

#[tokio::test]
async fn pools_count_what_holds_their_slots() {
    let api = queued().await;
    api.start_run("r");
    api.attempt("r", "a", 1, "running");
    api.attempt("r", "b", 1, "queued");
    api.sql(
        "UPDATE task_instance SET state = 'scheduled' WHERE task_no = 2;
        INSERT INTO pool (name, slots) VALUES ('unlimited', -1)",
    );
    assert_snapshot!(shown(&api.get("/pools/default_pool").await), @r#"
    {
      "name": "default_pool",
      "slots": 128,
      "description": "Default pool",
      "include_deferred": false,
      "occupied_slots": 2,
      "running_slots": 1,
      "queued_slots": 1,
      "scheduled_slots": 1,
      "open_slots": 126,
      "deferred_slots": 0,
      "team_name": null
    }
    "#);
    let list = api.get("/pools?order_by=-name").await;
    assert_eq!((&list["total_entries"], &list["pools"][0]["open_slots"]), (&json!(2), &json!(-1)));
    // A task that was marked failed still holds its slot while its processes live.
    api.sql("UPDATE task_instance SET state = 'failed' WHERE task_no = 0");
    assert_eq!(api.get("/pools/default_pool").await["running_slots"], 1);
    assert_eq!(api.get("/pools?pool_name_pattern=UNL").await["total_entries"], 1);
    assert_eq!(api.get(PATH).await["task_instances"][0]["note"], Value::Null);
}
