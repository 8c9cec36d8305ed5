//! Every option of `pod:` and `kubernetes:`, with templates, as a real API server takes and keeps it.

mod dag;

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use gridflow_dag_spec::json_schema;
use gridflow_testkit::kubernetes::{Cluster, Namespace};
use serde_json::{Value, json};

const DAG: &str = r#"
params: {team: sales, mib: 64, account: loader}
files: data/a.txt
tasks:
  a:
    env: {DAY: "{{ ds }}"}
    pod:
      template_file: pod.yaml
      spec:
        subdomain: "{{ params.team }}"
        topologySpreadConstraints: [{maxSkew: "{{ params.mib - 63 }}", topologyKey: zone, whenUnsatisfiable: ScheduleAnyway}]
        hostAliases: [{ip: 192.0.2.1, hostnames: ["{{ params.team }}.example.com"]}]
        containers: [{name: sidecar, image: "gridflow.local/busybox:1", command: [sleep, "{{ params.mib }}"]}]
      image: "gridflow.local/busybox:{{ 1 }}"
      image_pull_policy: IfNotPresent
      image_pull_secrets: "registry-{{ params.team }}"
      command: [sh, -c, "echo {{ ds }}"]
      args: ["{{ params.team }}"]
      env_from: [{configMapRef: {name: "settings-{{ params.team }}"}}]
      secrets:
        - "minio-{{ params.team }}"
        - {name: s3, env: {SECRET_KEY: "{{ params.team }}-key"}}
        - {name: tls, mount: "/tls/{{ params.team }}", items: {tls.crt: cert.pem}, optional: true}
      config_maps: {name: app, env: true, prefix: APP_}
      resources: {cpu: 100m, memory: "{{ params.mib }}Mi", ephemeral-storage: 1Gi}
      node_selector: {kubernetes.io/os: linux, team: "{{ params.team }}"}
      affinity:
        podAntiAffinity:
          preferredDuringSchedulingIgnoredDuringExecution:
            - {weight: 1, podAffinityTerm: {topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {team: "{{ params.team }}"}}}}
      tolerations: [{key: batch, operator: Equal, value: "{{ params.team }}", effect: NoSchedule}]
      service_account: "{{ params.account }}"
      automount_service_account_token: true
      volumes: [{name: scratch, emptyDir: {sizeLimit: "{{ params.mib }}Mi"}}]
      volume_mounts: [{name: scratch, mountPath: "/scratch/{{ ds }}"}]
      init_containers: [{name: prepare, image: "gridflow.local/busybox:1", command: [sh, -c, "echo {{ ds }}"]}]
      security_context: {runAsUser: 1000, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
      pod_security_context: {fsGroup: 2000, runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
      priority_class: CLASS
      runtime_class: CLASS
      scheduler_name: "scheduler-of-{{ params.team }}"
      host_network: true
      dns_policy: ClusterFirstWithHostNet
      labels: {team: "{{ params.team }}"}
      annotations: {note: "of {{ ds }}"}
      json_patch: [{op: add, path: /spec/hostname, value: "day-{{ ds }}"}]
"#;

const TEMPLATE: &str = "apiVersion: v1\nkind: Pod\nmetadata: {labels: {from: file, team: nobody}}\nspec:\n  os: {name: linux}\n  containers: [{name: base, image: none, tty: true, env: [{name: FROM_FILE, value: \"{{ params.team }}\"}]}]\n";

/// What the API server is asked for: where it stands in the pod, and what stands there.
fn wanted(class: &str) -> Vec<(&'static str, Value)> {
    vec![
        ("/metadata/labels/team", json!("sales")),
        ("/metadata/labels/from", json!("file")),
        ("/metadata/annotations/note", json!("of 2025-01-31")),
        ("/spec/subdomain", json!("sales")),
        ("/spec/topologySpreadConstraints/0/maxSkew", json!(1)),
        ("/spec/os/name", json!("linux")),
        ("/spec/hostAliases", json!([{ "ip": "192.0.2.1", "hostnames": ["sales.example.com"] }])),
        ("/spec/hostname", json!("day-2025-01-31")),
        ("/spec/imagePullSecrets", json!([{ "name": "registry-sales" }])),
        ("/spec/nodeSelector", json!({ "kubernetes.io/os": "linux", "team": "sales" })),
        (
            "/spec/affinity/podAntiAffinity/preferredDuringSchedulingIgnoredDuringExecution/0/podAffinityTerm/labelSelector/matchLabels",
            json!({ "team": "sales" }),
        ),
        (
            "/spec/tolerations/0",
            json!({ "key": "batch", "operator": "Equal", "value": "sales", "effect": "NoSchedule" }),
        ),
        ("/spec/serviceAccountName", json!("loader")),
        ("/spec/automountServiceAccountToken", json!(true)),
        ("/spec/priorityClassName", json!(class)),
        ("/spec/runtimeClassName", json!(class)),
        ("/spec/schedulerName", json!("scheduler-of-sales")),
        ("/spec/hostNetwork", json!(true)),
        ("/spec/dnsPolicy", json!("ClusterFirstWithHostNet")),
        ("/spec/restartPolicy", json!("Never")),
        (
            "/spec/securityContext",
            json!({ "fsGroup": 2000, "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } }),
        ),
    ]
}

/// The same of the task's container.
fn wanted_of_task() -> Vec<(&'static str, Value)> {
    vec![
        ("/image", json!("gridflow.local/busybox:1")),
        ("/imagePullPolicy", json!("IfNotPresent")),
        ("/tty", json!(true)),
        (
            "/envFrom",
            json!([
                { "configMapRef": { "name": "settings-sales" } },
                { "configMapRef": { "name": "app" }, "prefix": "APP_" },
                { "secretRef": { "name": "minio-sales" } },
            ]),
        ),
        (
            "/resources",
            json!({
                "requests": { "cpu": "100m", "memory": "64Mi", "ephemeral-storage": "1Gi" },
                "limits": { "memory": "64Mi", "ephemeral-storage": "1Gi" },
            }),
        ),
        (
            "/securityContext",
            json!({
                "runAsUser": 1000, "readOnlyRootFilesystem": true, "allowPrivilegeEscalation": false,
                "capabilities": { "drop": ["ALL"] },
            }),
        ),
    ]
}

/// Classes that pods name, for all namespaces; they go with the test.
struct Classes<'a>(&'a Namespace);

impl Classes<'_> {
    fn make(&self) -> Result<()> {
        let name = self.0.name();
        self.0.apply(&json!({
            "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": { "name": name }, "value": 7,
        }))?;
        self.0.apply(&json!({
            "apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": { "name": name }, "handler": "runc",
        }))
    }
}

impl Drop for Classes<'_> {
    fn drop(&mut self) {
        for kind in ["priorityclass", "runtimeclass"] {
            let _ = self.0.cluster().kubectl(&["delete", kind, self.0.name(), "--wait=false"]);
        }
    }
}

fn by<'v>(list: &'v Value, key: &str, value: &str) -> Result<&'v Value> {
    let found = list.as_array().and_then(|items| items.iter().find(|item| item[key] == value));
    found.with_context(|| format!("nothing with `{key}: {value}` in {list:#}"))
}

#[test]
fn every_option_reaches_the_pod() -> Result<()> {
    let Some(cluster) = Cluster::shared()? else { return Ok(()) };
    let namespace = cluster.namespace()?;
    let classes = Classes(&namespace);
    classes.make()?;
    namespace.kubectl(&["create", "serviceaccount", "loader"])?;
    let text = DAG.replace("CLASS", namespace.name());
    let mut pod = dag::pod_of(&text, &[("pod.yaml", TEMPLATE), ("data/a.txt", "a")]);
    pod["metadata"]["name"] = "all".into();
    // It is to be looked at, not to run.
    pod["spec"]["schedulingGates"] = json!([{ "name": "example.com/never" }]);
    namespace.cluster().kubectl_with(
        &["--namespace", namespace.name(), "create", "--validate=strict", "--filename", "-"],
        &pod.to_string(),
    )?;
    let pods = namespace.pods()?;
    let pod = pods.first().context("the pod")?;

    for (place, value) in wanted(namespace.name()) {
        assert_eq!(pod.pointer(place), Some(&value), "{place} in {pod:#}");
    }
    let containers = &pod["spec"]["containers"];
    let task = by(containers, "name", "task")?;
    for (place, value) in wanted_of_task() {
        assert_eq!(task.pointer(place), Some(&value), "{place} in {task:#}");
    }
    let command: Vec<_> = task["command"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    assert_eq!(command[command.len() - 4..], ["sh", "-c", "echo 2025-01-31", "sales"]);
    let env = &task["env"];
    assert_eq!(by(env, "name", "DAY")?["value"], "2025-01-31");
    assert_eq!(by(env, "name", "FROM_FILE")?["value"], "sales");
    assert_eq!(
        by(env, "name", "SECRET_KEY")?["valueFrom"]["secretKeyRef"],
        json!({ "name": "s3", "key": "sales-key" })
    );
    let mounts = &task["volumeMounts"];
    assert_eq!(by(mounts, "name", "scratch")?["mountPath"], "/scratch/2025-01-31");
    let certificates = by(mounts, "mountPath", "/tls/sales")?["name"].as_str().context("a volume")?;
    let volumes = &pod["spec"]["volumes"];
    assert_eq!(by(volumes, "name", "scratch")?["emptyDir"]["sizeLimit"], "64Mi");
    let secret = &by(volumes, "name", certificates)?["secret"];
    assert_eq!((&secret["secretName"], &secret["optional"]), (&json!("tls"), &json!(true)));
    assert_eq!(secret["items"], json!([{ "key": "tls.crt", "path": "cert.pem" }]));
    assert_eq!(by(containers, "name", "sidecar")?["command"], json!(["sleep", "64"]));
    let init: Vec<_> = pod["spec"]["initContainers"].as_array().into_iter().flatten().map(|it| &it["name"]).collect();
    assert_eq!(init, ["gridflow-init", "prepare"]);
    assert_eq!(
        by(&pod["spec"]["initContainers"], "name", "prepare")?["command"],
        json!(["sh", "-c", "echo 2025-01-31"])
    );
    Ok(())
}

#[test]
fn no_option_is_left_out_of_the_test() {
    let schema = json_schema();
    let keys =
        |name: &str| schema["$defs"][name]["properties"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    // Where pods run has tests of its own.
    let all: BTreeSet<_> =
        keys("pod").into_iter().filter(|key| !["cluster", "namespace"].contains(&key.as_str())).collect();
    let missing: Vec<_> = all.iter().filter(|key| !DAG.contains(&format!("\n      {key}:"))).collect();
    assert!(20 < all.len() && missing.is_empty(), "{missing:?}");
}
