//! From a DAG file and a clusters file to a manifest.

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
pub fn pod_of(yaml: &str, files: &[(&str, &str)]) -> Value {
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
