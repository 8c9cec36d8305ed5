//! A namespace of the real Kubernetes, and the file that tells schedulers of a test about it.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, Result, bail};
use gridflow_testkit::kubernetes::{self, DEBIAN, Namespace};
use serde_json::{Value, json};

use crate::{Cluster, gridflow};

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

    /// What a scheduler is started with.
    pub fn arguments(&self) -> [OsString; 2] {
        ["--kubernetes".into(), self.file.clone().into()]
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
