//! From a DAG file and a clusters file to the pod that is created.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use gridflow_core::{AttemptId, MapIndex, RunType, Timestamp, TryNumber};
use gridflow_dag_spec::{
    Context, Rendered, RunContext, TaskInstanceContext,
    clusters::{self, Cluster},
    compile, render_text,
};
use gridflow_executor::{
    identity::Identity,
    kubernetes::manifest::{self, ClusterDefaults, PodRequest, Process, Wrap},
};
use serde_json::{Value, json};
use uuid::Uuid;

const CLUSTERS: &str = "
clusters:
  default:
    in_cluster: true
    namespaces: [data]
    image: gridflow:1
    task_image: debian:12
    service_account: tasks
    pod:
      metadata: {labels: {site: lab, team: nobody}}
      spec: {tolerations: [{key: batch, operator: Exists}], containers: [{name: task, env: [{name: A, value: cluster}, {name: B, value: cluster}]}]}
";

/// The pod of task `a`, as it would be created but for its name and gate.
fn pod_of(yaml: &str, files: &[(&str, &str)]) -> Value {
    let files: BTreeMap<String, Arc<[u8]>> =
        files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().into())).collect();
    let compilation = compile("demo.yaml", yaml.as_bytes(), &files);
    let dag = compilation.dag.unwrap_or_else(|| panic!("{}", render_text(&compilation.diagnostics)));
    let clusters = clusters::read("clusters.yaml", CLUSTERS).unwrap_or_else(|said| panic!("{}", render_text(&said)));
    let cluster: &Cluster = clusters.find(None).unwrap();
    let at: Timestamp = "2025-01-31T06:00:00Z".parse().unwrap();
    let conf = json!({});
    let params = dag.params(&conf).unwrap();
    let context = Context {
        run: RunContext {
            run_id: "r",
            run_type: RunType::Manual,
            logical_date: Some(at),
            data_interval: None,
            run_after: at,
            start_date: None,
            conf: &conf,
        },
        ti: TaskInstanceContext { try_number: 1, map_index: -1, attempt_id: "0194b5c1", start_date: at },
        params: &params,
        trigger: None,
        outputs: &|_| None,
        variables: &|_| None,
    };
    let task = dag.dag.task_no("a").unwrap();
    let layers = dag.render_pod(task, &context).unwrap();
    let (argv, env, files) = match dag.render(task, &context).unwrap() {
        Rendered::Command { argv, env, files } => (Some(argv), env, files),
        Rendered::Pod { env, files } => (None, env, files),
        other => panic!("{other:?}"),
    };
    let request = PodRequest {
        identity: Identity {
            attempt: AttemptId(Uuid::from_u128(7)),
            dag_id: dag.dag.id(),
            task_id: &dag.dag.task(task).id,
            run_id: &"r".parse().unwrap(),
            map_index: MapIndex(-1),
            try_number: TryNumber(1),
            logical_date: None,
            owner: "me",
            traceparent: None,
        },
        cluster: ClusterDefaults {
            image: cluster.image.as_deref(),
            task_image: cluster.task_image.as_deref(),
            service_account: cluster.service_account.as_deref(),
            pod: cluster.pod.as_ref(),
        },
        namespace: "data",
        process: match &argv {
            Some(argv) => Process::Command(argv),
            None if layers.is_wrapped => Process::Image { wrap: Wrap::WhereThereIsACommand },
            None => Process::Image { wrap: Wrap::Never },
        },
        layers: &layers.layers,
        json_patch: layers.json_patch.as_ref(),
        env: &env,
        files: &files,
        context: &json!({}),
        grace: Duration::from_secs(10),
    };
    manifest::pod(&request).unwrap().pod
}

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
