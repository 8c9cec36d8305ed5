//! What a DAG has from its bundle and from the server.

use gridflow_core::{ExecutorKind, TaskKind};
use insta::assert_snapshot;
use serde_json::json;

use super::*;
use crate::clusters;

const BUNDLE: &str = "/gridflow.yaml";

fn compiled_with(yaml: &str, files: &[(&str, &str)]) -> Arc<CompiledDag> {
    let Compilation { dag, diagnostics } = compile("sales/demo.yaml", yaml.as_bytes(), &in_memory(files));
    dag.unwrap_or_else(|| panic!("{}", render_text(&diagnostics)))
}

fn kind(dag: &CompiledDag, task: &str) -> TaskKind {
    dag.dag.task(dag.dag.task_no(task).unwrap()).kind
}

#[test]
fn every_level_lies_over_the_one_outside_of_it() {
    let files = [
        (SERVER, "defaults: {executor: kubernetes, retries: 1, pool_slots: 2, env: {WHO: server, A: '1'}}"),
        (BUNDLE, "defaults:\n  retries: 2\n  env: {WHO: bundle, B: '{{ ds }}'}\n"),
    ];
    let dag = compiled_with(
        "defaults: {env: {WHO: dag}}\ntasks:\n  a: {bash: 'true'}\n  b: {bash: 'true', retries: 3, executor: local}\n",
        &files,
    );
    let task = |id: &str| dag.dag.task(dag.dag.task_no(id).unwrap());
    assert_eq!((task("a").retries, task("b").retries, task("a").pool_slots.get()), (2, 3, 2));
    assert_eq!(kind(&dag, "a"), TaskKind::Attempt(ExecutorKind::Kubernetes));
    assert_eq!(kind(&dag, "b"), TaskKind::Attempt(ExecutorKind::Local));
    let Ok(Rendered::Command { env, files, .. }) = Launch::default().render(&dag, "b") else { panic!() };
    let env: BTreeMap<_, _> = env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(env, BTreeMap::from([("A", "1"), ("B", "2025-01-31"), ("WHO", "dag")]));
    assert!(files.iter().all(|(path, _)| !path.contains("gridflow")), "they are in no task's folder: {files:?}");
}

const SERVER: &str = crate::SERVER_FILE;

#[test]
fn pods_are_made_of_all_levels_and_a_template_beside_the_bundles_file() {
    let files = [
        (SERVER, "defaults: {kubernetes: {labels: {from: server, team: platform}, node_selector: {pool: batch}}}"),
        (BUNDLE, "defaults: {kubernetes: {template_file: pods/base.yaml, labels: {from: bundle}}}"),
        (
            "/pods/base.yaml",
            "spec: {priorityClassName: low, containers: [{name: base, image: 'python:{{ dag.dag_id }}'}]}",
        ),
    ];
    let dag =
        compiled_with("kubernetes: {labels: {from: dag}}\ntasks: {a: {pod: {labels: {day: '{{ ds }}'}}}}\n", &files);
    let layers = Launch::default().pod(&dag, "a").unwrap().layers;
    assert_eq!(
        layers,
        [
            json!({"metadata": {"labels": {"from": "server", "team": "platform"}}, "spec": {"nodeSelector": {"pool": "batch"}}}),
            json!({"spec": {"priorityClassName": "low", "containers": [{"name": "task", "image": "python:demo"}]}}),
            json!({"metadata": {"labels": {"from": "bundle"}}}),
            json!({"metadata": {"labels": {"from": "dag"}}}),
            json!({"metadata": {"labels": {"day": "2025-01-31"}}}),
        ]
    );
    assert_eq!(dag.inherited.keys().collect::<Vec<_>>(), [SERVER, BUNDLE, "/pods/base.yaml"]);
    assert!(dag.files.is_empty());
}

#[test]
fn what_a_dag_inherits_is_part_of_its_version() {
    let yaml = "tasks: {a: 'true'}\n";
    let hash = |files: &[(&str, &str)]| compiled_with(yaml, files).hash.clone();
    let none = hash(&[]);
    let of_bundle = hash(&[(BUNDLE, "defaults: {retries: 1}")]);
    let of_server = hash(&[(SERVER, "defaults: {retries: 1}")]);
    assert!(none != of_bundle && of_bundle != of_server && none != of_server);
    // As it comes back from the database.
    let dag = compiled_with(yaml, &[(BUNDLE, "defaults: {retries: 1}")]);
    let stored: BTreeMap<_, _> = dag.files.iter().chain(&dag.inherited).map(|(k, v)| (k.clone(), v.clone())).collect();
    let again = compile("moved/elsewhere.yaml", format!("dag: demo\n{yaml}").as_bytes(), &stored).dag.unwrap();
    assert_eq!(again.dag.task(again.dag.task_no("a").unwrap()).retries, 1);
}

#[test]
fn mistakes_in_it_have_places_in_its_own_file() {
    let files = [
        (
            BUNDLE,
            "defaults:\n  retris: 2\n  depends_on_past: true\n  env:\n    DAY: '{{ dss }}'\n    OUT: '{{ tasks.a }}'\n  kubernetes: {template_file: pod.yaml}\nvars: {}\n",
        ),
        ("/pod.yaml", "spec:\n  nodeName: '{{ nodee }}'\n"),
    ];
    assert_snapshot!(diagnose_with("tasks: {a: 'true', b: {executor: kubernetes, bash: 'true'}}\n", &files), @r"
    error[GF0201]: unknown key `retris` in `task-defaults`
     --> gridflow.yaml:2:3
      |
    2 |   retris: 2
      |   ^^^^^^
      = help: did you mean `retries`?

    error[GF0901]: `depends_on_past` is not available in this version
     --> gridflow.yaml:3:20
      |
    3 |   depends_on_past: true
      |                    ^^^^
      = help: `max_active_runs: 1` keeps runs from overlapping

    error[GF0502]: there is no variable `dss`
     --> gridflow.yaml:5:14
      |
    5 |     DAY: '{{ dss }}'
      |              ^^^
      = help: did you mean `ds`?

    error[GF0506]: outputs of tasks are not possible here: this holds for every task, also for those before
     --> gridflow.yaml:6:14
      |
    6 |     OUT: '{{ tasks.a }}'
      |              ^^^^^^^
      = help: say it on the task that needs the output

    error[GF0201]: unknown key `vars` in the file of a bundle
     --> gridflow.yaml:8:1
      |
    8 | vars: {}
      | ^^^^
      = help: known keys: `defaults`

    error[GF0502]: there is no variable `nodee`
     --> pod.yaml:2:17
      |
    2 |   nodeName: '{{ nodee }}'
      |                 ^^^^^
    ");
}

#[test]
fn an_empty_file_of_a_bundle_says_nothing() {
    for text in ["", "# nothing yet\n", "defaults:\n"] {
        assert_eq!(compiled_with("tasks: {a: 'true'}\n", &[(BUNDLE, text)]).warnings, [], "{text:?}");
    }
    assert_snapshot!(diagnose_with("tasks: {a: 'true'}\n", &[(BUNDLE, "[1]")]), @r"
    error[GF0203]: expected a map with `defaults:`, found a list
     --> gridflow.yaml:1:1
      |
    1 | [1]
      | ^^^
    ");
}

#[test]
fn the_clusters_file_says_what_holds_for_all_tasks() {
    let defaults = |text: &str| {
        let read = clusters::read("clusters.yaml", text).unwrap_or_else(|wrong| panic!("{}", render_text(&wrong)));
        read.defaults.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap()).unwrap_or_default()
    };
    let outside = "clusters: {far: {kubeconfig: /k, namespaces: [a]}, near: {in_cluster: true, namespaces: [a]}}\n";
    let inside = "clusters: {near: {in_cluster: true, namespaces: [a]}}\n";
    assert_eq!(defaults(outside), "");
    assert_snapshot!(defaults(&format!("{outside}defaults: {{retries: 2, env: {{V: 1.10}}}}\n")), @r#"defaults: {"retries": 2, "env": {"V": 1.10}}"#);
    // A process beside a scheduler that is a pod ends with it.
    assert_snapshot!(defaults(inside), @r#"defaults: {"executor": "kubernetes"}"#);
    assert_snapshot!(defaults(&format!("{inside}defaults: {{executor: local}}\n")), @r#"defaults: {"executor": "local"}"#);
    let dag = compiled_with("tasks: {a: 'true', b: {empty: }}\n", &[(SERVER, &defaults(inside))]);
    assert_eq!(kind(&dag, "a"), TaskKind::Attempt(ExecutorKind::Kubernetes));
    assert_eq!(kind(&dag, "b"), TaskKind::Empty);
}

#[test]
fn clusters_may_be_named_as_connections_are() {
    let read = |name: &str| clusters::read("clusters.yaml", &format!("clusters: {{'{name}': {{namespaces: [a]}}}}"));
    for name in ["kubernetes_default", "eu-west.1", "A"] {
        assert!(read(name).is_ok(), "{name}");
    }
    for name in ["a/b", "-a", "a b", ""] {
        assert!(read(name).is_err(), "{name:?}");
    }
}
