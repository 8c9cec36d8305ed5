//! Where tasks run, and the pods that they become.

use insta::assert_snapshot;

use super::*;
use crate::PodLayers;

/// The pod of a task, in the form that people would write it.
fn pod_of(yaml: &str, files: &[(&str, &str)]) -> PodLayers {
    let compilation = compile("dags/demo.yaml", yaml.trim_start_matches('\n').as_bytes(), &in_memory(files));
    let dag = compilation.dag.unwrap_or_else(|| panic!("{}", render_text(&compilation.diagnostics)));
    Launch::default().pod(&dag, "a").unwrap()
}

fn layers(yaml: &str) -> String {
    shown(&pod_of(yaml, &[]))
}

fn shown(pod: &PodLayers) -> String {
    let mut lines: Vec<_> = pod.layers.iter().map(Value::to_string).collect();
    lines.extend(pod.json_patch.as_ref().map(|patch| format!("patch {patch}")));
    lines.extend(pod.cluster.as_ref().map(|cluster| format!("cluster {cluster}")));
    lines.extend(pod.namespace.as_ref().map(|namespace| format!("namespace {namespace}")));
    lines.extend((!pod.is_wrapped).then(|| "not wrapped".to_owned()));
    lines.join("\n")
}

#[test]
fn any_process_runs_where_its_task_says() {
    let dag = compiled(
        "
executor: kubernetes
tasks:
  a: echo a
  b: {exec: [x], executor: local}
  c: {copy_file: {from: /a, to: /b}}
  d: {empty: {}}
  e: {pod: {image: busybox}}
groups:
  g: {executor: local, tasks: {f: x, g: {python: x, executor: kubernetes}}}
",
    );
    let kinds: Vec<_> = dag.dag.tasks().map(|(_, task)| format!("{} {:?}", task.id, task.kind)).collect();
    assert_snapshot!(kinds.join("\n"), @r"
    a Attempt(Kubernetes)
    b Attempt(Local)
    c Attempt(Kubernetes)
    d Empty
    e Attempt(Kubernetes)
    g.f Attempt(Local)
    g.g Attempt(Kubernetes)
    ");
}

#[test]
fn levels_are_laid_over_each_other() {
    assert_snapshot!(layers(r#"
executor: kubernetes
kubernetes: {cluster: prod, namespace: data, image: python:3.12, labels: {team: sales}, tolerations: [{key: gpu, operator: Exists}]}
defaults: {kubernetes: {secrets: minio, resources: {cpu: 500m, memory: 1Gi}}}
tasks:
  a:
    bash: echo
    kubernetes:
      namespace: "{{ 'ml' if ds else 'x' }}"
      env_from: [{secretRef: {name: other}}]
      secrets: {name: s3, env: {AWS_SECRET_ACCESS_KEY: secret-key}, optional: true}
      config_maps: {name: app.config, mount: /etc/app, items: {a.yaml: b.yaml}}
      tolerations: [{key: spot, operator: Exists}]
      node_selector: {zone: 3}
      resources: {nvidia.com/gpu: 1}
      image_pull_policy: IfNotPresent
      image_pull_secrets: registry
      host_network: true
      security_context: {runAsUser: 1000, newerField: {x: 1}}
"#), @r#"
    {"metadata":{"labels":{"team":"sales"}},"spec":{"tolerations":[{"key":"gpu","operator":"Exists"}],"containers":[{"name":"task","image":"python:3.12"}]}}
    {"spec":{"containers":[{"name":"task","envFrom":[{"secretRef":{"name":"minio"}}],"resources":{"requests":{"cpu":"500m","memory":"1Gi"},"limits":{"memory":"1Gi"}}}]}}
    {"spec":{"imagePullSecrets":[{"name":"registry"}],"nodeSelector":{"zone":"3"},"tolerations":[{"key":"gpu","operator":"Exists"},{"key":"spot","operator":"Exists"}],"volumes":[{"name":"config-map-app-config-5a841abf","configMap":{"name":"app.config","items":[{"key":"a.yaml","path":"b.yaml"}]}}],"hostNetwork":true,"containers":[{"name":"task","imagePullPolicy":"IfNotPresent","env":[{"name":"AWS_SECRET_ACCESS_KEY","valueFrom":{"secretKeyRef":{"name":"s3","key":"secret-key","optional":true}}}],"envFrom":[{"secretRef":{"name":"minio"}},{"secretRef":{"name":"other"}}],"resources":{"requests":{"nvidia.com/gpu":"1"},"limits":{"nvidia.com/gpu":"1"}},"volumeMounts":[{"name":"config-map-app-config-5a841abf","mountPath":"/etc/app","readOnly":true}],"securityContext":{"runAsUser":1000,"newerField":{"x":1}}}]}}
    cluster prod
    namespace ml
    "#);
}

#[test]
fn a_pod_is_an_image_and_what_it_runs() {
    assert_snapshot!(layers(r#"
params: {n: 3}
tasks:
  a:
    pod:
      image: "busybox:{{ params.n }}"
      command: [sh, -c, "echo $0", "{{ params.n }}"]
      args: [1, true]
      volumes: [{name: scratch, emptyDir: {sizeLimit: 1Gi}}]
      volume_mounts: [{name: scratch, mountPath: /scratch}]
      init_containers: [{name: before, image: busybox, args: ["{{ params.n }}"]}]
      json_patch: [{op: add, path: /spec/nodeName, value: node-1}]
"#), @r#"
    {"spec":{"volumes":[{"name":"scratch","emptyDir":{"sizeLimit":"1Gi"}}],"initContainers":[{"name":"before","image":"busybox","args":["3"]}],"containers":[{"name":"task","image":"busybox:3","volumeMounts":[{"name":"scratch","mountPath":"/scratch"}],"command":["sh","-c","echo $0","3"],"args":["1","true"]}]}}
    patch [{"op":"add","path":"/spec/nodeName","value":"node-1"}]
    "#);
    assert_snapshot!(layers("tasks: {a: {pod: {image: nginx, args: [-v]}}}"), @r#"
    {"spec":{"containers":[{"name":"task","image":"nginx","args":["-v"]}]}}
    not wrapped
    "#);
}

#[test]
fn a_spec_is_weaker_than_keys_and_a_file_is_weaker_than_both() {
    let file = "apiVersion: v1\nkind: Pod\nmetadata: {name: x, namespace: ml, labels: {day: \"{{ ds_nodash }}\"}}\nspec:\n  containers:\n    - {name: main, image: from-file, args: [\"{{ params.n }}\"]}\n    - {name: sidecar, image: proxy}\n";
    let yaml = "params: {n: 3}\ntasks: {a: {pod: {template_file: pods/a.yaml, spec: {hostAliases: [], containers: [{name: base, command: [run], env: [{name: N, value: \"{{ params.n }}\"}]}]}, image: from-key}}}";
    assert_snapshot!(shown(&pod_of(yaml, &[("pods/a.yaml", file)])), @r#"
    {"metadata":{"labels":{"day":"20250131"}},"spec":{"containers":[{"name":"task","image":"from-file","args":["3"]},{"name":"sidecar","image":"proxy"}]}}
    {"spec":{"hostAliases":[],"containers":[{"name":"task","command":["run"],"env":[{"name":"N","value":"3"}]}]}}
    {"spec":{"containers":[{"name":"task","image":"from-key"}]}}
    namespace ml
    "#);
}

#[test]
fn a_file_whose_templates_make_its_structure_is_rendered_first() {
    let file = "kind: Pod\nspec:\n  containers:\n    - name: base\n      image: {{ params.image }}\n      args:\n      {% for n in range(2) %}\n      - n{{ n }}\n      {% endfor %}\n";
    let yaml = "params: {image: 'busybox:1'}\ntasks: {a: {pod: {template_file: a.yaml}}}";
    assert_snapshot!(shown(&pod_of(yaml, &[("a.yaml", file)])), @r#"
    {"spec":{"containers":[{"name":"task","image":"busybox:1","args":["n0","n1"]}]}}
    not wrapped
    "#);
    let json = "{\n\t\"kind\": \"Pod\", \"spec\": {\"containers\": [{\"name\": \"only\", \"image\": \"x\"}]}\n}";
    assert_snapshot!(shown(&pod_of("tasks: {a: {pod: {template_file: a.json}}}", &[("a.json", json)])), @r#"
    {"spec":{"containers":[{"name":"task","image":"x"}]}}
    not wrapped
    "#);
}

#[test]
fn what_a_file_rendered_to_is_checked_at_the_launch() {
    let dag = |file: &str| {
        let yaml = "params: {x: 1}\ntasks: {a: {pod: {template_file: a.yaml}}}";
        let compilation = compile("demo.yaml", yaml.as_bytes(), &in_memory(&[("a.yaml", file)]));
        let dag = compilation.dag.unwrap_or_else(|| panic!("{}", render_text(&compilation.diagnostics)));
        Launch::default().pod(&dag, "a").unwrap_err().to_string()
    };
    assert_snapshot!(dag("kind: {{ 'Job' }}\nspec: {}\n"), @r#"template `a.yaml`: it is a "Job", not a Pod"#);
    assert_snapshot!(dag("spec: {{ '[' }}\n"), @"template `a.yaml`: line 1 once rendered: this bracket is not closed, or what is in it is no list or map");
    assert_snapshot!(dag("{{ params.x }}\n"), @"template `a.yaml`: it is no map");
}

/// What merging reads as a directive is nothing that lacks a name.
#[test]
fn directives_of_strategic_merge_go_through() {
    assert_snapshot!(layers(r#"
executor: kubernetes
tasks:
  a:
    bash: x
    kubernetes:
      spec:
        volumes: [{name: old, $patch: delete}]
        tolerations: ~
        containers: [{name: task, env: [{$patch: replace}, {name: A, value: b}]}, {$patch: replace}]
"#), @r#"{"spec":{"volumes":[{"name":"old","$patch":"delete"}],"tolerations":null,"containers":[{"name":"task","env":[{"$patch":"replace"},{"name":"A","value":"b"}]},{"$patch":"replace"}]}}"#);
}

#[test]
fn operators_of_our_own_have_pods_too() {
    assert_snapshot!(layers(r#"
executor: kubernetes
kubernetes: {image: python, node_selector: {x: y}}
tasks: {a: {copy_file: {from: /a, to: /b}}}
"#), @r#"{"spec":{"nodeSelector":{"x":"y"},"containers":[{"name":"task","image":"python"}]}}"#);
}

#[test]
fn templates_of_outer_levels_see_the_task() {
    assert_snapshot!(layers(r#"
executor: kubernetes
kubernetes: {labels: {task: "{{ task.task_id }}-{{ try_number }}"}}
tasks: {a: echo}
"#), @r#"{"metadata":{"labels":{"task":"a-2"}}}"#);
}

#[test]
fn a_local_task_is_not_hindered_by_templates_of_pods() {
    let dag = compiled("kubernetes: {labels: {day: \"{{ ds }}\"}}\ntasks: {a: echo}");
    let launch = Launch { logical_date: None, ..Launch::default() };
    assert_eq!(launch.command(&dag, "a"), "bash -c echo");
}
