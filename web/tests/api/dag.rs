//! DAGs, their tasks and sources.

use insta::assert_snapshot;
use serde_json::json;

use crate::support::{Api, shown};

const SALES: &str = r#"
description: Loads the day's sales
owner: data-platform
tags: [sales, nightly]
schedule: "0 6 * * *"
timezone: Europe/Berlin
start_date: 2025-01-01
dagrun_timeout: 2h
max_active_runs: 4
params:
  table: {type: string, default: sales.transactions, description: where to}
tasks:
  extract: {bash: echo extract, retries: 3, retry_delay: 10s, execution_timeout: 5m}
  load: {needs: extract, bash: echo load, trigger_rule: all_done}
"#;
const HELLO: &str = "tasks:\n  hello: echo hello\n";

#[tokio::test]
async fn a_dag_has_every_field_of_airflow_s() {
    let api = Api::with(&[("sales.yaml", SALES)]).await;
    assert_snapshot!(shown(&api.get("/dags/sales").await), @r#"
    {
      "dag_id": "sales",
      "dag_display_name": "sales",
      "is_paused": false,
      "is_stale": false,
      "last_parsed_time": "[instant]",
      "last_parse_duration": null,
      "last_expired": null,
      "bundle_name": "dags",
      "bundle_version": null,
      "relative_fileloc": "sales.yaml",
      "fileloc": "sales.yaml",
      "description": "Loads the day's sales",
      "timetable_summary": "0 6 * * *",
      "timetable_description": "At the ticks of 0 6 * * *",
      "timetable_partitioned": false,
      "timetable_periodic": true,
      "tags": [
        {
          "name": "nightly",
          "dag_id": "sales",
          "dag_display_name": "sales"
        },
        {
          "name": "sales",
          "dag_id": "sales",
          "dag_display_name": "sales"
        }
      ],
      "max_active_tasks": 16,
      "max_active_runs": 4,
      "max_consecutive_failed_dag_runs": 0,
      "has_task_concurrency_limits": false,
      "has_import_errors": false,
      "next_dagrun_logical_date": null,
      "next_dagrun_data_interval_start": null,
      "next_dagrun_data_interval_end": null,
      "next_dagrun_run_after": null,
      "allowed_run_types": null,
      "owners": [
        "data-platform"
      ],
      "is_backfillable": true,
      "file_token": "dags:sales.yaml"
    }
    "#);
}

#[tokio::test]
async fn details_add_what_only_the_file_says() {
    let api = Api::with(&[("sales.yaml", SALES)]).await;
    let mut details = api.get("/dags/sales/details").await;
    let dag = api.get("/dags/sales").await;
    let fields = details.as_object_mut().unwrap();
    for (name, value) in dag.as_object().unwrap() {
        assert_eq!(fields.shift_remove(name).as_ref(), Some(value), "{name}");
    }
    assert_snapshot!(shown(&details), @r#"
    {
      "catchup": false,
      "dag_run_timeout": "PT7200S",
      "asset_expression": null,
      "doc_md": null,
      "start_date": "[instant]",
      "end_date": null,
      "is_paused_upon_creation": false,
      "params": {
        "table": {
          "value": "sales.transactions",
          "description": "where to",
          "schema": {
            "type": "string",
            "default": "sales.transactions",
            "description": "where to"
          }
        }
      },
      "render_template_as_native_obj": true,
      "template_search_path": null,
      "timezone": "Europe/Berlin",
      "last_parsed": "[instant]",
      "default_args": {},
      "rerun_with_latest_version": null,
      "owner_links": null,
      "is_favorite": false,
      "active_runs_count": 0,
      "concurrency": 16,
      "latest_dag_version": {
        "id": "[uuid]",
        "version_number": 1,
        "dag_id": "sales",
        "bundle_name": "dags",
        "bundle_version": null,
        "created_at": "[instant]",
        "dag_display_name": "sales",
        "bundle_url": null
      }
    }
    "#);
}

#[tokio::test]
async fn tasks_are_those_of_the_current_version() {
    let api = Api::with(&[("sales.yaml", SALES)]).await;
    assert_snapshot!(shown(&api.get("/dags/sales/tasks/extract").await), @r##"
    {
      "task_id": "extract",
      "task_display_name": "extract",
      "owner": "data-platform",
      "start_date": null,
      "end_date": null,
      "trigger_rule": "all_success",
      "depends_on_past": false,
      "wait_for_downstream": false,
      "retries": 3,
      "queue": "default",
      "pool": "default_pool",
      "pool_slots": 1,
      "execution_timeout": {
        "__type": "TimeDelta",
        "days": 0,
        "seconds": 300,
        "microseconds": 0
      },
      "retry_delay": {
        "__type": "TimeDelta",
        "days": 0,
        "seconds": 10,
        "microseconds": 0
      },
      "retry_exponential_backoff": 0.0,
      "priority_weight": 1,
      "weight_rule": "downstream",
      "ui_color": "#fff",
      "ui_fgcolor": "#000",
      "template_fields": [],
      "downstream_task_ids": [
        "load"
      ],
      "doc_md": null,
      "operator_name": "bash",
      "params": {
        "table": {
          "value": "sales.transactions",
          "description": "where to",
          "schema": {
            "type": "string",
            "default": "sales.transactions",
            "description": "where to"
          }
        }
      },
      "class_ref": {
        "class_name": "bash",
        "module_path": "gridflow.operator"
      },
      "is_mapped": false,
      "extra_links": []
    }
    "##);
    let tasks = api.get("/dags/sales/tasks?order_by=-task_id").await;
    assert_eq!(tasks["total_entries"], 2);
    assert_eq!(tasks["tasks"][0]["task_id"], "load");
    assert_eq!(tasks["tasks"][0]["trigger_rule"], "all_done");
    assert_eq!(api.status("/dags/sales/tasks/nope").await, (404, json!({"detail": "Task with id nope was not found"})));
    assert_eq!(api.status("/dags/sales/tasks?order_by=secret").await.0, 400);
}

#[tokio::test]
async fn a_list_is_filtered_ordered_and_paged() {
    let api = Api::with(&[("sales.yaml", SALES), ("hello.yaml", HELLO), ("other.yaml", HELLO)]).await;
    let ids = async |query: &str| {
        let list = api.get(&format!("/dags{query}")).await;
        let ids: Vec<_> =
            list["dags"].as_array().unwrap().iter().map(|dag| dag["dag_id"].as_str().unwrap().to_owned()).collect();
        format!("{} of {}", ids.join(" "), list["total_entries"])
    };
    assert_eq!(ids("").await, "hello other sales of 3");
    assert_eq!(ids("?order_by=-dag_id").await, "sales other hello of 3");
    assert_eq!(ids("?limit=1&offset=1").await, "other of 3");
    assert_eq!(ids("?limit=0").await, " of 3");
    assert_eq!(ids("?offset=9").await, " of 3");
    assert_eq!(ids("?dag_id_pattern=E").await, "hello other sales of 3");
    assert_eq!(ids("?dag_id_pattern=HEL%7Csal").await, "hello sales of 2");
    assert_eq!(ids("?dag_id_prefix_pattern=o").await, "other of 1");
    assert_eq!(ids("?dag_id_prefix_pattern=%25").await, " of 0");
    assert_eq!(ids("?tags=sales&tags=none").await, "sales of 1");
    assert_eq!(ids("?tags=sales&tags=none&tags_match_mode=all").await, " of 0");
    assert_eq!(ids("?tags=sales&tags=nightly&tags_match_mode=all").await, "sales of 1");
    assert_eq!(ids("?owners=data-platform").await, "sales of 1");
    assert_eq!(ids("?paused=true").await, " of 0");
    assert_eq!(ids("?paused=false&unknown=ignored").await, "hello other sales of 3");
    assert_eq!(ids("?dag_id_pattern=~").await, "hello other sales of 3");
    api.trigger("other", "one").await;
    assert_eq!(ids("?last_dag_run_state=queued").await, "other of 1");
    assert_eq!(ids("?order_by=last_run_state").await, "other hello sales of 3");
    api.sql("UPDATE dag SET removed_at = now() WHERE dag_id = 'hello'");
    assert_eq!(ids("").await, "other sales of 2");
    assert_eq!(ids("?exclude_stale=false").await, "hello other sales of 3");
}

#[tokio::test]
async fn a_source_is_json_or_text_as_asked() {
    let api = Api::with(&[("hello.yaml", HELLO)]).await;
    assert_snapshot!(shown(&api.get("/dagSources/hello").await), @r#"
    {
      "content": "tasks:\n  hello: echo hello\n",
      "dag_id": "hello",
      "version_number": 1,
      "dag_display_name": "hello"
    }
    "#);
    let text =
        api.request(reqwest::Method::GET, "/dagSources/hello").header("accept", "text/plain").send().await.unwrap();
    assert_eq!(text.headers()["content-type"], "text/plain; charset=utf-8");
    assert_eq!(text.text().await.unwrap(), HELLO);
    assert_eq!(api.status("/dagSources/hello?version_number=2").await.0, 404);
    let image =
        api.request(reqwest::Method::GET, "/dagSources/hello").header("accept", "image/png").send().await.unwrap();
    assert_eq!(image.status(), 406);
}

#[tokio::test]
async fn import_errors_say_which_file_is_broken() {
    let api = Api::with(&[("hello.yaml", HELLO)]).await;
    api.sql("INSERT INTO import_error (bundle_id, file, message, at) SELECT id, 'hello.yaml', 'line 2: no', now() FROM bundle");
    assert_snapshot!(shown(&api.get("/importErrors?filename_pattern=HELLO").await), @r#"
    {
      "import_errors": [
        {
          "import_error_id": 1,
          "timestamp": "[instant]",
          "filename": "hello.yaml",
          "bundle_name": "dags",
          "stack_trace": "line 2: no"
        }
      ],
      "total_entries": 1
    }
    "#);
    assert_eq!(api.get("/dags/hello").await["has_import_errors"], true);
    assert_eq!(api.get("/dags?has_import_errors=false").await["total_entries"], 0);
    assert_eq!(api.get("/importErrors/1").await["filename"], "hello.yaml");
    assert_eq!(api.status("/importErrors/7").await.0, 404);
}

#[tokio::test]
async fn health_says_whether_anybody_leads() {
    let api = Api::start().await;
    let health = api.get("/monitor/health").await;
    assert_eq!(health["metadatabase"]["status"], "healthy");
    assert_eq!(health["scheduler"], json!({"status": "unhealthy", "latest_scheduler_heartbeat": null}));
    let _leader = api.lead().await;
    assert_snapshot!(shown(&api.get("/monitor/health").await), @r#"
    {
      "metadatabase": {
        "status": "healthy"
      },
      "scheduler": {
        "status": "healthy",
        "latest_scheduler_heartbeat": "[instant]"
      },
      "triggerer": {
        "status": "healthy",
        "latest_triggerer_heartbeat": "[instant]"
      },
      "dag_processor": {
        "status": "healthy",
        "latest_dag_processor_heartbeat": "[instant]"
      }
    }
    "#);
}
