//! Nodes, and what people are told when one is silent or the database went back in time.

use crate::support::Api;

const ONE: &str = "tasks:\n  a: echo a\n";
const NODE: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

/// A run with a running task on a node that was last seen so many seconds ago.
async fn api(seen_ago: u32) -> Api {
    let api = Api::with(&[("one.yaml", ONE)]).await;
    api.trigger("one", "r").await;
    api.start_run("r");
    api.attempt("r", "a", 1, "running");
    api.sql(&format!(
        "INSERT INTO node (id, boot, hostname, seen_at)
         VALUES ('{NODE}', 'boot', 'anvil', clock_timestamp() - interval '{seen_ago} s');
         UPDATE attempt SET node_id = '{NODE}', boot = 'boot'; UPDATE task_instance SET state = 'running'"
    ));
    api
}

async fn why(api: &Api) -> Vec<(String, String)> {
    let answer = api.get("/dags/one/dagRuns/r/taskInstances/a/dependencies").await;
    let text = |one: &serde_json::Value, name: &str| one[name].as_str().unwrap().to_owned();
    answer["dependencies"].as_array().unwrap().iter().map(|one| (text(one, "name"), text(one, "reason"))).collect()
}

#[tokio::test]
async fn nodes_are_listed_with_what_is_open_on_them() {
    let api = api(3).await;
    let nodes = api.get("/nodes").await;
    let node = &nodes["nodes"][0];
    assert_eq!((node["node_id"].as_str(), node["hostname"].as_str()), (Some(NODE), Some("anvil")));
    assert_eq!((node["state"].as_str(), node["open_attempts"].as_i64()), (Some("standby"), Some(1)));
    assert_eq!(nodes["total_entries"], 1);
    assert_eq!(why(&api).await, [], "it runs, and its node lives");
}

#[tokio::test]
async fn a_task_on_a_silent_node_says_which_node_that_is() {
    let api = api(60).await;
    assert_eq!(api.get("/nodes").await["nodes"][0]["state"], "silent");
    let reasons = why(&api).await;
    let [(name, reason)] = &reasons[..] else { panic!("{reasons:?}") };
    assert_eq!(name, "Node");
    assert!(reason.starts_with(&format!("an attempt of it is on node `anvil` ({NODE}), which has been silent since ")));
}

#[tokio::test]
async fn a_database_that_went_back_in_time_is_said_by_health_and_by_what_waits() {
    let api = api(3).await;
    let _leader = api.lead().await;
    assert_eq!(api.get("/monitor/health").await.get("hold"), None);
    api.sql(&format!("INSERT INTO hold VALUES (true, '{NODE}', 900, 700, now())"));
    api.sql("UPDATE task_instance SET state = 'queued'");
    let health = api.get("/monitor/health").await;
    assert_eq!(health["scheduler"]["status"], "unhealthy");
    let reason = health["hold"]["reason"].as_str().unwrap();
    assert!(reason.contains("has seen turn 900, the database had turn 700"), "{reason}");
    assert!(why(&api).await.iter().any(|(name, said)| name == "Database" && said == reason));
}
