//! Where else a try can be looked at.

use gridflow_core::RunKey;
use gridflow_store::beside::{Links, Word};
use serde_json::json;

use crate::support::Api;

const LAKE: &str =
    "tasks:\n  job:\n    spark: {main_file: 'local:///job.py', image: 'spark:4'}\n  after: {needs: job, empty: {}}\n";

#[tokio::test]
async fn a_spark_job_links_to_its_ui_while_it_runs() {
    let api = Api::with(&[("lake.yaml", LAKE)]).await;
    let leader = api.lead().await;
    api.trigger("lake", "r").await;
    let links = async |task: &str, query: &str| {
        api.get(&format!("/dags/lake/dagRuns/r/taskInstances/{task}/links{query}")).await
    };
    let unknown = json!({"extra_links": {"Spark UI": null}, "total_entries": 1});
    assert_eq!(links("job", "").await, unknown);
    assert_eq!(links("after", "").await, json!({"extra_links": {}, "total_entries": 0}));
    assert_eq!(api.get("/dags/lake/tasks/job").await["extra_links"], json!(["Spark UI"]));

    api.start_run("r");
    let attempt = api.attempt("r", "job", 1, "running");
    api.sql("UPDATE task_instance SET state = 'running', try_number = 1 WHERE task_no = 0");
    let run = RunKey(api.sql("SELECT id FROM dag_run").trim().parse().unwrap());
    let told = Links { run, attempt, links: [("Spark UI", "http://10.0.0.7:4040".into())].into() };
    let mut conn = api.database.reader().await.unwrap();
    assert!(Links::write(&mut conn, leader.pass(), &[told]).await.unwrap().is_empty());
    let known = json!({"extra_links": {"Spark UI": "http://10.0.0.7:4040"}, "total_entries": 1});
    assert_eq!(links("job", "").await, known);
    assert_eq!(links("job", "?map_index=-1&try_number=1").await, known);

    api.close(attempt, 0, "success");
    assert_eq!(links("job", "").await, unknown, "the page went with the driver");
    for (path, what) in [("job/links?try_number=2", "try_number: `2`"), ("nothing/links", "task_id: `nothing`")] {
        let (status, missing) = api.status(&format!("/dags/lake/dagRuns/r/taskInstances/{path}")).await;
        assert_eq!(status, 404);
        assert!(missing["detail"].as_str().unwrap().contains(what), "{missing}");
    }
}
