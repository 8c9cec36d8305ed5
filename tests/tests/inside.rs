//! Gridflow itself as a pod: the image of `scripts/build-image-root`, the manifests of `packaging/kubernetes/`, tasks
//! as pods beside it.
//!
//! Only its network is the node's, since the database of this test is on the node's loopback.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use gridflow_testkit::kubernetes::{self, DEBIAN, Namespace};
use gridflow_tests::{Cluster, wait_for};
use serde_json::{Value, json};

const IMAGE: &str = "gridflow.local/gridflow:static";
const PATIENCE: Duration = Duration::from_secs(180);

/// Says nothing of where it runs: in a cluster, that is a pod. The second task runs in Gridflow's own image.
const DAG: &str = r#"dag: inside
tasks:
  make: {bash: 'echo "{\"rows\": 3}" > "$GRIDFLOW_OUTPUT"; echo made'}
  copy: {needs: make, copy_file: {from: /etc/passwd, to: /gridflow/work/copy}}
  count: {needs: copy, python: "import os; print(int(os.environ['ROWS']) + 1)", env: {ROWS: "{{ tasks.make.rows }}"}}
"#;

/// What the Dockerfile copies: as `GRIDFLOW_IMAGE_ROOT` names it, or built, which takes minutes.
fn image_root() -> Result<Option<PathBuf>> {
    if let Some(root) = std::env::var_os("GRIDFLOW_IMAGE_ROOT").filter(|root| !root.is_empty()) {
        return Ok(Some(root.into()));
    }
    if std::env::var_os("GRIDFLOW_FAULTS").is_none() {
        eprintln!(
            "LEFT OUT of the short form, since the static build takes minutes: `make faults` has it, or \
             `scripts/build-image-root DIR` and GRIDFLOW_IMAGE_ROOT=DIR"
        );
        return Ok(None);
    }
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let root = top.join("target/image/root");
    let built = Command::new(top.join("scripts/build-image-root"))
        .arg(&root)
        .env("GRIDFLOW_PROFILE", "dev")
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .output()
        .context("building the image")?;
    if !built.status.success() {
        bail!("building the image: {}", String::from_utf8_lossy(&built.stderr));
    }
    Ok(Some(root))
}

/// The manifests with names of this test's own. What no namespace holds goes with it.
struct Installed<'a> {
    namespace: &'a Namespace,
}

impl<'a> Installed<'a> {
    fn new(namespace: &'a Namespace, url: &str) -> Result<Self> {
        let installed = Self { namespace };
        let cluster = namespace.cluster();
        cluster.kubectl_with(&["apply", "--filename", "-"], &installed.rights()?)?;
        let secret = format!("--from-literal=url={url}");
        namespace.kubectl(&["create", "secret", "generic", "gridflow-database", &secret])?;
        let dag = format!("--from-literal=inside.yaml={DAG}");
        namespace.kubectl(&["create", "configmap", "gridflow-dags", &dag])?;
        cluster.kubectl_with(&["apply", "--filename", "-"], &installed.deployment()?.to_string())?;
        Ok(installed)
    }

    fn manifest(&self, file: &str) -> Result<String> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/kubernetes").join(file);
        let text = std::fs::read_to_string(path)?;
        let name = self.namespace.name();
        let own = ["gridflow", "data"]
            .iter()
            .fold(text, |text, other| text.replace(&format!("namespace: {other}\n"), &format!("namespace: {name}\n")));
        Ok(own.replace("namespaces: [data]", &format!("namespaces: [{name}]\n        keep: {{succeeded: 1h}}")))
    }

    fn rights(&self) -> Result<String> {
        let text = self.manifest("rbac.yaml")?;
        let name = self.namespace.name();
        Ok(["tasks", "spark", "nodes"].iter().fold(text, |text, role| {
            text.replace(&format!("name: gridflow-{role}\n"), &format!("name: {name}-{role}\n"))
        }))
    }

    fn deployment(&self) -> Result<Value> {
        let text = self.manifest("deployment.yaml")?.replace("gridflow:0.1", IMAGE).replace("python:3.12", DEBIAN);
        let read = ["create", "--dry-run=client", "--output=json", "--filename", "-"];
        let objects = self.namespace.cluster().kubectl_with(&read, &text)?;
        let items = serde_json::Deserializer::from_str(&objects).into_iter::<Value>();
        let mut items = items.collect::<Result<Vec<_>, _>>().context("what kubectl says")?;
        // Nobody provides volumes here.
        items.retain(|item| item["kind"] != "PersistentVolumeClaim");
        for item in items.iter_mut().filter(|item| item["kind"] == "Deployment") {
            let spec = &mut item["spec"]["template"]["spec"];
            spec["hostNetwork"] = true.into();
            for volume in spec["volumes"].as_array_mut().into_iter().flatten() {
                if volume["name"] == "state" {
                    *volume = json!({ "name": "state", "emptyDir": {} });
                }
            }
            for container in spec["containers"].as_array_mut().into_iter().flatten() {
                // Addresses of services lead nowhere on this cluster.
                let env = container["env"].as_array_mut().context("variables")?;
                env.push(json!({ "name": "KUBERNETES_SERVICE_HOST", "value": "198.19.255.1" }));
                env.push(json!({ "name": "KUBERNETES_SERVICE_PORT", "value": "6443" }));
                if container["name"] == "web" {
                    container["args"] = json!(["web", "--port", "0"]);
                }
            }
        }
        Ok(json!({ "apiVersion": "v1", "kind": "List", "items": items }))
    }

    fn log(&self, container: &str) -> String {
        let log = self.namespace.kubectl(&["logs", "deployment/gridflow", "--container", container]);
        log.unwrap_or_else(|error| error.to_string())
    }

    /// A command of the program in its own pod.
    fn run(&self, address: &str, args: &[&str]) -> Result<Value> {
        let inside = ["exec", "deployment/gridflow", "--container", "web", "--", "gridflow"];
        let answer = self.namespace.kubectl(&[&inside, args, &["--server", address, "-o", "json"]].concat())?;
        serde_json::from_str(&answer).context("what gridflow says")
    }
}

impl Drop for Installed<'_> {
    fn drop(&mut self) {
        if let Ok(objects) = self.rights() {
            let _ = self
                .namespace
                .cluster()
                .kubectl_with(&["delete", "--ignore-not-found", "--wait=false", "--filename", "-"], &objects);
        }
    }
}

#[test]
fn gridflow_runs_in_the_cluster_that_its_tasks_run_in() -> Result<()> {
    let Some(root) = image_root()? else { return Ok(()) };
    let Some(kubernetes) = kubernetes::Cluster::shared()? else { return Ok(()) };
    kubernetes.image(
        IMAGE,
        &root,
        &["--user", "65532:65532", "--entrypoint", "gridflow", "--workdir", "/var/lib/gridflow"],
    )?;
    let database = Cluster::new(&[])?;
    let namespace = kubernetes.namespace()?;
    let gridflow = Installed::new(&namespace, database.url())?;
    let told = || format!("{}\n{}", gridflow.log("scheduler"), gridflow.log("web"));

    let address = wait_for("the API", PATIENCE, || {
        let log = gridflow.log("web");
        let line = log.lines().find_map(|line| line.strip_prefix("gridflow is ready: "));
        Ok(line.map(|url| url.trim_end_matches("/api/v2").to_owned()))
    })
    .with_context(told)?;
    database.until("SELECT count(*) FROM dag", "1").with_context(told)?;
    gridflow.run(&address, &["runs", "trigger", "inside", "--run-id", "first"]).with_context(told)?;
    let ended = gridflow.run(&address, &["runs", "wait", "inside", "first", "--timeout", "240s"]).with_context(told)?;
    assert_eq!(ended["state"], "success", "{}", told());

    // One pod a task, beside the one that made them.
    let pods = namespace.pods()?;
    let mut tasks: Vec<_> =
        pods.iter().filter_map(|pod| pod["metadata"]["labels"]["gridflow.io/task"].as_str()).collect();
    tasks.sort_unstable();
    assert_eq!(tasks, ["copy", "count", "make"]);
    let copy = pods.iter().find(|pod| pod["metadata"]["labels"]["gridflow.io/task"] == "copy").context("its pod")?;
    assert_eq!(copy["spec"]["containers"][0]["image"], IMAGE);
    let own =
        pods.iter().find(|pod| pod["metadata"]["labels"]["app.kubernetes.io/name"] == "gridflow").context("ours")?;
    for container in own["spec"]["containers"].as_array().context("containers")? {
        assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    }
    assert!(
        own["status"]["containerStatuses"].as_array().is_some_and(|all| all.iter().all(|it| it["restartCount"] == 0))
    );
    Ok(())
}
