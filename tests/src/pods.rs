//! A namespace of the real Kubernetes, and the file that tells schedulers of a test about it.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use gridflow_testkit::kubernetes::{self, DEBIAN, Namespace};
use serde_json::{Value, json};

use crate::{Cluster, Wire, gridflow, wait_for};

/// Where attempts of a test run as pods.
#[derive(Debug)]
pub struct Pods {
    pub namespace: Namespace,
    file: PathBuf,
}

impl Pods {
    /// A fresh namespace. Every pod sees the test's own folder under its own name, so that commands write down what
    /// happens to them where commands of this machine do.
    pub fn new(kubernetes: &Arc<kubernetes::Cluster>, cluster: &Cluster) -> Result<Self> {
        Self::reached_by(kubernetes, cluster, kubernetes.kubeconfig())
    }

    /// The same for schedulers that have another way to the API server, such as through a proxy.
    pub fn reached_by(kubernetes: &Arc<kubernetes::Cluster>, cluster: &Cluster, kubeconfig: &Path) -> Result<Self> {
        let namespace = kubernetes.namespace()?;
        let folder = cluster.path("");
        let folder = folder.to_str().context("temporary folders have plain names")?.trim_end_matches('/');
        let clusters = json!({"clusters": {"test": {
            "kubeconfig": kubeconfig,
            "namespaces": [namespace.name()],
            "image": program_image(kubernetes)?,
            "task_image": DEBIAN,
            "pod": {"spec": {
                "volumes": [{"name": "test", "hostPath": {"path": folder, "type": "Directory"}}],
                "containers": [{
                    "name": "task",
                    "volumeMounts": [{"name": "test", "mountPath": folder}],
                    "env": [{"name": "POD_UID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}}],
                }],
            }},
        }}});
        let file = cluster.path("kubernetes.yaml");
        // JSON is YAML.
        std::fs::write(&file, clusters.to_string()).context("writing the file of clusters")?;
        Ok(Self { namespace, file })
    }

    /// The same for schedulers whose way to the API server is a wire that can fail.
    pub fn wired(kubernetes: &Arc<kubernetes::Cluster>, cluster: &Cluster) -> Result<(Self, Wire)> {
        let kubeconfig = std::fs::read_to_string(kubernetes.kubeconfig()).context("reading the kubeconfig")?;
        let server = kubeconfig.split('"').find_map(|word| word.strip_prefix("https://")).context("the server")?;
        let wire = Wire::start(server.parse().context("the server's address")?)?;
        let own = cluster.path("kubeconfig");
        std::fs::write(&own, kubeconfig.replace(server, &format!("127.0.0.1:{}", wire.port())))?;
        Ok((Self::reached_by(kubernetes, cluster, &own)?, wire))
    }

    /// What tells schedulers about the cluster.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// What a scheduler is started with.
    pub fn arguments(&self) -> [OsString; 2] {
        ["--kubernetes".into(), self.file.clone().into()]
    }

    /// Has schedulers that start from now on know only this namespace.
    pub fn rename_namespace(&self, from: &str, to: &str) -> Result<()> {
        let text = std::fs::read_to_string(&self.file).context("reading the file of clusters")?;
        std::fs::write(&self.file, text.replace(&format!("\"{from}\""), &format!("\"{to}\""))).context("writing it")
    }

    /// Waits until nothing is left but pods that failed, which people may look at for a while: no finalizer of ours, no
    /// gate of ours, and no Secret whose pod is gone.
    pub fn until_tidy(&self, within: Duration) -> Result<()> {
        let mut left = String::new();
        wait_for("the end of what is not needed any more", within, || {
            left = self.untidy()?;
            Ok(left.is_empty().then_some(()))
        })
        .with_context(|| left.clone())
    }

    fn untidy(&self) -> Result<String> {
        let (secrets, pods) = (self.namespace.list("secrets")?, self.namespace.pods()?);
        let name = |object: &Value| object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let is_kept = |pod: &Value| pod["metadata"]["finalizers"].is_null() && pod["status"]["phase"] == "Failed";
        let kept: Vec<String> = pods.iter().filter(|pod| is_kept(pod)).map(name).collect();
        let pods = pods.iter().filter(|pod| !is_kept(pod)).map(|pod| {
            let Value::Object(metadata) = &pod["metadata"] else { return name(pod) };
            let (finalizers, deleted) = (metadata.get("finalizers"), metadata.get("deletionTimestamp"));
            format!("pod {} is {}, {finalizers:?}, deleted {deleted:?}", name(pod), pod["status"]["phase"])
        });
        let secrets = secrets.iter().map(name).filter(|secret| secret.starts_with("gf-") && !kept.contains(secret));
        Ok(pods.chain(secrets.map(|secret| format!("secret {secret}"))).collect::<Vec<_>>().join("\n"))
    }

    /// What the clusters file says.
    pub fn clusters(&self) -> Result<Value> {
        serde_json::from_slice(&std::fs::read(&self.file)?).context("the file of clusters")
    }

    /// The pods of an attempt, as they are now.
    pub fn of_attempt(&self, attempt: &str) -> Result<Vec<Value>> {
        let label = format!("gridflow.io/attempt={attempt}");
        let text = self.namespace.kubectl(&["get", "pods", "--selector", &label, "--output", "json"])?;
        let mut list: Value = serde_json::from_str(&text).context("what kubectl says")?;
        Ok(list["items"].as_array_mut().map(std::mem::take).unwrap_or_default())
    }
}

/// Gridflow's own image: the program that lies beside the tests, and the small one that goes into pods.
fn program_image(kubernetes: &kubernetes::Cluster) -> Result<String> {
    kubernetes.program_image(&[&gridflow()?, &pod_program()?])
}

/// Built as for a release, since it runs where nothing of this machine is; quick if it has not changed.
fn pod_program() -> Result<PathBuf> {
    static BUILT: Mutex<Option<PathBuf>> = Mutex::new(None);
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(path) = &*built {
        return Ok(path.clone());
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/build-pod-program");
    let output = Command::new(script).output().context("building the program for pods")?;
    if !output.status.success() {
        bail!("building the program for pods: {}", String::from_utf8_lossy(&output.stderr));
    }
    let path = PathBuf::from(String::from_utf8(output.stdout).context("where the program lies")?.trim());
    Ok(built.insert(path).clone())
}
