//! From a DAG file and a clusters file to the pod that is created.

mod dag;

use serde_json::{Value, json};

use dag::pod_of;

fn task(pod: &Value) -> &Value {
    let containers = pod["spec"]["containers"].as_array().unwrap();
    containers.iter().find(|container| container["name"] == "task").unwrap()
}

/// Names and values of the variables that are not Gridflow's own.
fn variables(container: &Value) -> Vec<(&str, &str)> {
    let env = container["env"].as_array().unwrap();
    let all =
        env.iter().map(|variable| (variable["name"].as_str().unwrap(), variable["value"].as_str().unwrap_or("…")));
    let mut own: Vec<_> =
        all.filter(|(name, _)| !name.starts_with("GRIDFLOW_") && !name.starts_with("AIRFLOW_")).collect();
    own.sort_unstable();
    own
}

#[test]
fn every_level_has_its_say_and_the_inner_one_the_last() {
    let pod = pod_of(
        r#"
params: {n: 3}
env: {B: dag, C: dag}
executor: kubernetes
kubernetes: {labels: {team: sales}, resources: {cpu: 500m, memory: 1Gi}, secrets: minio, tolerations: [{key: gpu, operator: Exists}]}
defaults: {kubernetes: {node_selector: {pool: batch}}}
groups:
  g:
    kubernetes: {image: python:3.12, secrets: {name: s3, env: {SECRET_KEY: key}}}
    tasks: {b: echo}
tasks:
  a:
    bash: echo
    env: {C: task}
    kubernetes:
      resources: {memory: 2Gi}
      secrets: {name: s3, env: {SECRET_KEY: key}}
      spec: {containers: [{name: base, workingDir: /elsewhere, tty: true}, {name: sidecar, image: proxy}]}
      json_patch: [{op: add, path: /spec/hostname, value: "h{{ params.n }}"}]
"#,
        &[],
    );
    assert_eq!(pod["metadata"]["labels"], json!({ "site": "lab", "team": "sales" }));
    let spec = &pod["spec"];
    assert_eq!(spec["serviceAccountName"], "tasks");
    assert_eq!(spec["nodeSelector"], json!({ "pool": "batch" }));
    assert_eq!(spec["hostname"], "h3");
    // A list that Kubernetes merges only as a whole: the DAG's takes the place of the cluster's.
    assert_eq!(spec["tolerations"], json!([{ "key": "gpu", "operator": "Exists" }]));
    let names: Vec<_> = spec["containers"].as_array().unwrap().iter().map(|it| &it["name"]).collect();
    assert_eq!(names, ["task", "sidecar"]);
    let task = task(&pod);
    assert_eq!((&task["image"], &task["tty"]), (&json!("debian:12"), &json!(true)));
    assert_eq!(task["envFrom"], json!([{ "secretRef": { "name": "minio" } }]));
    assert_eq!(
        task["resources"],
        json!({ "requests": { "cpu": "500m", "memory": "2Gi" }, "limits": { "memory": "2Gi" } })
    );
    assert_eq!(variables(task), [("A", "cluster"), ("B", "dag"), ("C", "task"), ("SECRET_KEY", "…")]);
    assert_eq!(task["command"].as_array().unwrap().last().unwrap(), "echo");
}

#[test]
fn a_template_of_airflows_is_the_tasks_pod() {
    let file = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: x\n  namespace: data\nspec:\n  restartPolicy: Never\n  containers:\n    - name: base\n      image: \"job:{{ params.tag }}\"\n      args: [run, \"{{ ds }}\"]\n";
    let pod = pod_of("params: {tag: 7}\ntasks: {a: {pod: {template_file: pod.yaml}}}", &[("pod.yaml", file)]);
    let task = task(&pod);
    assert_eq!((&task["image"], &task["args"]), (&json!("job:7"), &json!(["run", "2025-01-31"])));
    // What the image runs is its own.
    assert_eq!(task["command"], Value::Null);
}

#[test]
fn the_command_of_a_pod_runs_where_its_files_are() {
    let pod = pod_of(
        "files: jobs/a.sql\ntasks: {a: {pod: {image: busybox, command: [sh, -c, \"cat jobs/a.sql\"], args: [x]}}}",
        &[("jobs/a.sql", "select 1")],
    );
    let command: Vec<_> = task(&pod)["command"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(command[command.len() - 4..], ["sh", "-c", "cat jobs/a.sql", "x"]);
    assert_eq!(pod["spec"]["initContainers"][0]["image"], "gridflow:1");
}
