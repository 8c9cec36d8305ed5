//! Pods as Gridflow makes them, on a real Kubernetes: what the manifest promises is what the command finds.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use gridflow_core::{AttemptId, AttemptOutcome, MapIndex, TryNumber};
use gridflow_executor::{
    identity::Identity,
    kubernetes::{
        logs::{Ended, Log, Source, follow},
        manifest::{ClusterDefaults, PodManifest, PodRequest, Process, Wrap, pod},
        output::{self, Left},
    },
};
use gridflow_testkit::kubernetes::{BUSYBOX, Cluster, DEBIAN, Namespace};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, oneshot};
use uuid::Uuid;

const DEADLINE: &str = "--timeout=120s";

/// One attempt in a namespace of its own.
struct Task<'a> {
    image: &'a str,
    process: Kind,
    layer: Value,
    env: &'a [(&'a str, &'a str)],
    files: &'a [(&'a str, &'a str)],
}

enum Kind {
    Shell(&'static str),
    Argv(&'static [&'static str]),
    /// `pod:`, as the layer says, without the program around it.
    Image,
}

impl Default for Task<'_> {
    fn default() -> Self {
        Self { image: DEBIAN, process: Kind::Image, layer: json!({}), env: &[], files: &[] }
    }
}

struct Started<'a> {
    namespace: &'a Namespace,
    name: String,
    attempt: AttemptId,
    log: PathBuf,
    ended: Option<oneshot::Sender<Ended>>,
    left: tokio::task::JoinHandle<Left>,
    _dir: tempfile::TempDir,
}

struct End {
    /// Of the task's container: `state.terminated`.
    container: Value,
    pod: Value,
    log: String,
    left: Left,
}

impl End {
    fn output(&self) -> &Value {
        match &self.left {
            Left::Json(output) => &output.value,
            other => panic!("{other:?}\n{}", self.log),
        }
    }

    fn message(&self) -> Option<&str> {
        self.container["message"].as_str()
    }
}

/// Gridflow's image with nothing but the program for pods in it; built once.
fn own_image(cluster: &Cluster) -> Result<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/build-pod-program");
    let built = Command::new(&script).output().context("running scripts/build-pod-program")?;
    if !built.status.success() {
        bail!("{}: {}", script.display(), String::from_utf8_lossy(&built.stderr));
    }
    let program = PathBuf::from(String::from_utf8(built.stdout)?.trim());
    cluster.program_image(&[&program])
}

impl Task<'_> {
    fn manifest(&self, namespace: &Namespace, attempt: AttemptId) -> Result<PodManifest> {
        let argv: Vec<String> = match self.process {
            Kind::Shell(line) => ["sh", "-c", line].map(str::to_owned).to_vec(),
            Kind::Argv(argv) => argv.iter().map(ToString::to_string).collect(),
            Kind::Image => Vec::new(),
        };
        let process = match self.process {
            Kind::Shell(_) | Kind::Argv(_) => Process::Command(&argv),
            Kind::Image => Process::Image { wrap: Wrap::Never },
        };
        let own =
            |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect::<Vec<_>>();
        let files: Vec<_> =
            own(self.files).into_iter().map(|(path, text)| (path, Arc::from(text.into_bytes()))).collect();
        let image = own_image(namespace.cluster())?;
        Ok(pod(&PodRequest {
            identity: Identity {
                attempt,
                dag_id: &"sales".parse()?,
                task_id: &"load".parse()?,
                run_id: &"manual__1".parse()?,
                map_index: MapIndex(-1),
                try_number: TryNumber(2),
                logical_date: Some("2026-03-01T00:00:00+00:00"),
                owner: "data",
                traceparent: None,
            },
            cluster: ClusterDefaults {
                image: Some(&image),
                task_image: Some(self.image),
                ..ClusterDefaults::default()
            },
            namespace: namespace.name(),
            process,
            layers: std::slice::from_ref(&self.layer),
            json_patch: None,
            env: &own(self.env),
            files: &files,
            context: &json!({ "dag_id": "sales", "params": { "rows": 3 } }),
            grace: Duration::from_secs(30),
        })?)
    }

    /// As the protocol does it: the pod, then what it waits for.
    async fn start<'n>(&self, namespace: &'n Namespace) -> Result<Started<'n>> {
        let attempt = AttemptId(Uuid::now_v7());
        let name = format!("gf-{attempt}");
        let mut made = self.manifest(namespace, attempt)?;
        made.pod["metadata"]["name"] = name.as_str().into();
        namespace.apply(&made.pod)?;
        if let Some(payload) = made.payload {
            let mut data = json!({});
            for (key, bytes) in &payload.files {
                data[key] = String::from_utf8(bytes.to_vec())?.into();
            }
            namespace.apply(
                &json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name }, "stringData": data }),
            )?;
        }
        let dir = tempfile::tempdir()?;
        let log = dir.path().join("a.log");
        let (ended, receiver) = oneshot::channel();
        let source = Source {
            client: client(namespace.cluster().kubeconfig()).await?,
            namespace: namespace.name().into(),
            pod: name.as_str().into(),
            container: "task".into(),
            attempt: attempt.to_string().into(),
            path: log.clone(),
            looks: Arc::new(Semaphore::new(1)),
        };
        let left = tokio::spawn(follow(source, receiver));
        Ok(Started { namespace, name, attempt, log, ended: Some(ended), left, _dir: dir })
    }

    async fn run(&self, namespace: &Namespace) -> Result<End> {
        self.start(namespace).await?.end().await
    }
}

impl Started<'_> {
    /// Waits until the kubelet has reported the container's end.
    async fn end(mut self) -> Result<End> {
        let pod: Value = {
            let path = r#"--for=jsonpath={.status.containerStatuses[?(@.name=="task")].state.terminated}"#;
            self.namespace.kubectl(&["wait", "pod", &self.name, path, DEADLINE])?;
            serde_json::from_str(&self.namespace.kubectl(&["get", "pod", &self.name, "--output=json"])?)?
        };
        let statuses = pod["status"]["containerStatuses"].as_array().context("no statuses")?;
        let container =
            statuses.iter().find(|status| status["name"] == "task").context("no task")?["state"]["terminated"].clone();
        let message = container["message"].as_str().map(Arc::from);
        let told = Ended { message, log: Log::Complete, notes: Vec::new() };
        self.ended.take().context("told twice")?.send(told).ok().context("the log's reader is gone")?;
        let left = self.left.await?;
        Ok(End { container, pod, log: std::fs::read_to_string(&self.log).unwrap_or_default(), left })
    }

    async fn wait_for_line(&self, line: &str) -> Result<()> {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(120);
        loop {
            if std::fs::read_to_string(&self.log).is_ok_and(|log| log.lines().any(|one| one == line)) {
                return Ok(());
            }
            if deadline < tokio::time::Instant::now() {
                bail!("no line `{line}`: {}", self.namespace.kubectl(&["describe", "pod", &self.name])?);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

async fn client(kubeconfig: &Path) -> Result<kube::Client> {
    let kubeconfig = kube::config::Kubeconfig::read_from(kubeconfig)?;
    let mut config =
        kube::Config::from_custom_kubeconfig(kubeconfig, &kube::config::KubeConfigOptions::default()).await?;
    config.read_timeout = None;
    Ok(kube::Client::try_from(config)?)
}

/// A namespace of its own, or nothing where there is no Kubernetes.
fn namespace() -> Result<Option<Namespace>> {
    // Whoever was first may have chosen; nothing here depends on which.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Cluster::shared()?.map(|cluster| cluster.namespace()).transpose()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_finds_its_files_its_context_and_who_it_is() -> Result<()> {
    let Some(namespace) = namespace()? else { return Ok(()) };
    let script = r#"import json, os
env = os.environ
print(os.getcwd(), open("deep/data.txt").read())
assert env["GRIDFLOW_TASK_ID"] == env["AIRFLOW_CTX_TASK_ID"] == "load" and env["AIRFLOW_CTX_TRY_NUMBER"] == "2"
json.dump({"price": env["PRICE"], "rows": json.load(open(env["GRIDFLOW_CONTEXT"]))["params"]["rows"],
    "attempt": env["GRIDFLOW_ATTEMPT_ID"]}, open(env["GRIDFLOW_OUTPUT"], "w"))"#;
    let task = Task {
        process: Kind::Argv(&["python3", "run.py"]),
        env: &[("PRICE", "$$5 $(PATH)")],
        files: &[("run.py", script), ("deep/data.txt", "seven")],
        ..Task::default()
    };
    let started = task.start(&namespace).await?;
    let attempt = started.attempt.to_string();
    let end = started.end().await?;
    assert_eq!(end.container["exitCode"], 0, "{}", end.log);
    assert_eq!(end.log, "/gridflow/work seven\n");
    assert_eq!(end.output(), &json!({ "price": "$$5 $(PATH)", "rows": 3, "attempt": attempt }));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_output_and_a_long_line_come_through_the_log() -> Result<()> {
    let Some(namespace) = namespace()? else { return Ok(()) };
    // The last thing it does is to write a line of a megabyte on the other stream: the frame lies in the middle of it.
    let line = r#"printf '"' >$GRIDFLOW_OUTPUT; head -c 1000000 /dev/zero | tr '\0' x >>$GRIDFLOW_OUTPUT; printf '"' >>$GRIDFLOW_OUTPUT;
        echo first; printf unfinished; head -c 1048576 /dev/zero | tr '\0' z >&2"#;
    let end = Task { image: BUSYBOX, process: Kind::Shell(line), ..Task::default() }.run(&namespace).await?;
    assert_eq!(end.container["exitCode"], 0);
    assert_eq!(end.output().as_str().map(str::len), Some(1_000_000));
    assert!(!end.log.contains("gridflow.io/output"), "a frame is left in the log");
    assert_eq!(end.log.matches('z').count(), 1_048_576);
    // Each stream in its own order; one line of a stream may lie in the middle of a long one of the other.
    assert!(end.log.contains("first\n") && end.log.contains("unfinished"), "{:?}", &end.log[..40]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_pod_has_its_grace_and_its_log_to_the_end() -> Result<()> {
    let Some(namespace) = namespace()? else { return Ok(()) };
    let line = "trap 'echo going; echo 4 >$GRIDFLOW_OUTPUT; exit 7' TERM; sleep 1000 & echo up; wait";
    // A finalizer, as a confirmed pod has: its end can be read after the deletion.
    let layer = json!({ "metadata": { "finalizers": ["gridflow.test/hold"] } });
    let started =
        Task { image: BUSYBOX, process: Kind::Shell(line), layer, ..Task::default() }.start(&namespace).await?;
    started.wait_for_line("up").await?;
    namespace.kubectl(&["delete", "pod", &started.name, "--wait=false"])?;
    let end = started.end().await?;
    assert_eq!(end.container["exitCode"], 7);
    assert_eq!(end.log, "up\ngoing\n");
    assert_eq!(end.output(), 4);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn how_a_command_ended_is_told_apart_from_what_its_exit_code_looks_like() -> Result<()> {
    let Some(namespace) = namespace()? else { return Ok(()) };
    let cases: [(Kind, i64, Option<AttemptOutcome>); 3] = [
        (Kind::Shell("kill -TERM $$"), 143, Some(AttemptOutcome::Signaled { signal: 15 })),
        (Kind::Shell("exit 143"), 143, Some(AttemptOutcome::Exited { code: 143 })),
        (
            Kind::Argv(&["no-such-program"]),
            127,
            Some(AttemptOutcome::SpawnFailed {
                message: "cannot start `no-such-program`: No such file or directory (os error 2)".into(),
            }),
        ),
    ];
    for (process, code, word) in cases {
        let end = Task { image: BUSYBOX, process, ..Task::default() }.run(&namespace).await?;
        assert_eq!((end.container["exitCode"].as_i64(), output::own_word(end.message())), (Some(code), word));
    }
    let end = Task { image: BUSYBOX, process: Kind::Shell("echo three >$GRIDFLOW_OUTPUT"), ..Task::default() };
    let end = end.run(&namespace).await?;
    assert!(matches!(&end.left, Left::Invalid(why) if why.contains("is not JSON")), "{:?}", end.left);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_runs_as_it_is_leaves_a_small_output_by_itself() -> Result<()> {
    let Some(namespace) = namespace()? else { return Ok(()) };
    let layer = json!({ "spec": { "containers": [{
        "name": "task", "image": BUSYBOX, "command": ["sh", "-c", r#"pwd; echo '{"rows": 2}' >$GRIDFLOW_OUTPUT"#],
    }] } });
    let end = Task { layer, ..Task::default() }.run(&namespace).await?;
    assert_eq!((end.output(), end.log.as_str()), (&json!({ "rows": 2 }), "/\n"));
    assert!(end.pod["spec"].get("initContainers").is_none());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_strictest_pod_security_and_a_quota_that_asks_for_limits_are_obeyed() -> Result<()> {
    let Some(namespace) = namespace()? else { return Ok(()) };
    let label = "pod-security.kubernetes.io/enforce=restricted";
    namespace.cluster().kubectl(&["label", "namespace", namespace.name(), label])?;
    let hard = json!({ "requests.cpu": "1", "limits.memory": "256Mi", "requests.memory": "256Mi" });
    namespace.apply(
        &json!({ "apiVersion": "v1", "kind": "ResourceQuota", "metadata": { "name": "q" }, "spec": { "hard": hard } }),
    )?;
    let layer = json!({ "spec": {
        "securityContext": { "runAsNonRoot": true, "runAsUser": 4711, "seccompProfile": { "type": "RuntimeDefault" } },
        "containers": [{
            "name": "task",
            "securityContext": { "readOnlyRootFilesystem": true, "capabilities": { "drop": ["ALL"] } },
            "resources": { "requests": { "cpu": "100m", "memory": "64Mi" }, "limits": { "memory": "64Mi" } },
        }],
    } });
    let line = "exec 2>&1; id -u; echo 1 >$GRIDFLOW_OUTPUT; ./tool.sh; touch /x || echo read-only";
    let files = [("tool.sh", "#!/bin/sh\necho tool")];
    let task = Task { image: BUSYBOX, process: Kind::Shell(line), layer, files: &files, ..Task::default() };
    // The controller has to have seen the quota once.
    namespace.kubectl(&["wait", "resourcequota", "q", "--for=jsonpath={.status.hard}", DEADLINE])?;
    let end = task.run(&namespace).await?;
    assert_eq!(end.output(), 1);
    assert!(end.log.starts_with("4711\ntool\n") && end.log.contains("\nread-only\n"), "{}", end.log);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_by_name_is_found_by_affinity() -> Result<()> {
    let Some(namespace) = namespace()? else { return Ok(()) };
    let layer = json!({ "spec": { "nodeName": gridflow_testkit::kubernetes::NODE } });
    let end =
        Task { image: BUSYBOX, process: Kind::Shell("echo here"), layer, ..Task::default() }.run(&namespace).await?;
    assert_eq!(end.log, "here\n");
    assert_eq!(end.pod["spec"]["nodeName"], gridflow_testkit::kubernetes::NODE);
    Ok(())
}

#[test]
fn the_rights_are_enough_and_no_more() -> Result<()> {
    let Some(namespace) = namespace()? else { return Ok(()) };
    let cluster = namespace.cluster();
    let file =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/kubernetes/rbac.yaml"))?;
    // Everything of the test's own names: roles of a cluster have no namespace.
    let name = namespace.name();
    let file = file
        .replace("name: gridflow-tasks", &format!("name: {name}-tasks"))
        .replace("name: gridflow-spark", &format!("name: {name}-spark"))
        .replace("name: gridflow-nodes", &format!("name: {name}-nodes"))
        .replace("namespace: gridflow", &format!("namespace: {name}"))
        .replace("namespace: data", &format!("namespace: {name}"));
    cluster.kubectl_with(&["apply", "--filename", "-"], &file)?;
    // Asked of the API server itself: `kubectl auth can-i` says no to what is not defined yet.
    let can = |namespace: &str, verb: &str, what: &str| {
        let (what, subresource) = what.split_once('/').unwrap_or((what, ""));
        let (resource, group) = what.split_once('.').unwrap_or((what, ""));
        let review = serde_json::json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": format!("system:serviceaccount:{name}:gridflow"),
                "groups": ["system:serviceaccounts", "system:authenticated"],
                "resourceAttributes": {
                    "namespace": namespace, "verb": verb, "group": group, "resource": resource,
                    "subresource": subresource,
                },
            },
        });
        let arguments = ["create", "--filename", "-", "--output", "jsonpath={.status.allowed}"];
        cluster.kubectl_with(&arguments, &review.to_string()).is_ok_and(|answer| answer.trim() == "true")
    };
    let granted = [
        ("pods", &["create", "get", "list", "watch", "patch", "delete"][..]),
        ("pods/log", &["get"]),
        ("secrets", &["create", "delete"]),
        ("events", &["list"]),
        ("sparkapplications.sparkoperator.k8s.io", &["create", "get", "list", "watch", "delete"]),
        ("configmaps", &["get"]),
        ("services", &["list"]),
        ("nodes", &["get"]),
    ];
    let mut wrong = Vec::new();
    for (what, verbs) in granted {
        for verb in ["create", "get", "list", "watch", "update", "patch", "delete", "deletecollection"] {
            if can(name, verb, what) != verbs.contains(&verb) {
                wrong.push(format!("{verb} {what}"));
            }
        }
    }
    for what in ["pods/exec", "pods/ephemeralcontainers", "serviceaccounts/token", "persistentvolumeclaims", "roles"] {
        if can(name, "create", what) || can(name, "get", what) {
            wrong.push(what.to_owned());
        }
    }
    if can("default", "create", "pods") || can("default", "create", "secrets") {
        wrong.push("another namespace".to_owned());
    }
    for (kind, role) in
        [("clusterrole", "tasks"), ("clusterrole", "spark"), ("clusterrole", "nodes"), ("clusterrolebinding", "nodes")]
    {
        cluster.kubectl(&["delete", kind, &format!("{name}-{role}")])?;
    }
    assert_eq!(wrong, Vec::<String>::new());
    Ok(())
}
