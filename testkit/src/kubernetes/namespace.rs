//! A namespace of a test's own.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::Cluster;

/// Deleted with all that is in it when it is dropped.
#[derive(Debug)]
pub struct Namespace {
    pub(super) cluster: Arc<Cluster>,
    name: String,
}

impl Cluster {
    /// A fresh one, in which pods can be made.
    pub fn namespace(self: &Arc<Self>) -> Result<Namespace> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let no = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("test-{}-{}-{no}", since.as_millis(), std::process::id());
        let namespace = Namespace { cluster: Arc::clone(self), name };
        self.kubectl(&["create", "namespace", &namespace.name])?;
        // Until its account is there, pods are refused.
        namespace.kubectl(&["wait", "--for=create", "serviceaccount/default", "--timeout=60s"])?;
        Ok(namespace)
    }
}

impl Namespace {
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// What `kubectl` answers about this namespace.
    pub fn kubectl(&self, args: &[&str]) -> Result<String> {
        self.cluster.kubectl(&[&["--namespace", &self.name], args].concat())
    }

    /// Makes an object, or changes it to be so.
    pub fn apply(&self, object: &Value) -> Result<()> {
        let args = ["--namespace", &self.name, "apply", "--filename", "-"];
        self.cluster.kubectl_with(&args, &object.to_string()).map(drop)
    }

    /// All objects of a kind, as they are now.
    pub fn list(&self, kind: &str) -> Result<Vec<Value>> {
        let text = self.kubectl(&["get", kind, "--output", "json"])?;
        let mut list: Value = serde_json::from_str(&text).context("what kubectl says")?;
        Ok(list["items"].as_array_mut().map(std::mem::take).unwrap_or_default())
    }

    pub fn pods(&self) -> Result<Vec<Value>> {
        self.list("pods")
    }

    /// Takes off whatever holds a pod back from being deleted.
    pub fn release(&self, pod: &str) -> Result<()> {
        let patch = json!({"metadata": {"finalizers": null}}).to_string();
        self.kubectl(&["patch", "pod", pod, "--type=merge", "--patch", &patch]).map(drop)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Nothing in it needs time to leave; and nobody waits for it.
        let _ = self.kubectl(&["delete", "pods", "--all", "--wait=false", "--grace-period=1"]);
        for pod in self.pods().unwrap_or_default() {
            if pod["metadata"]["finalizers"].is_array()
                && let Some(name) = pod["metadata"]["name"].as_str()
            {
                let _ = self.release(name);
            }
        }
        let _ = self.cluster.kubectl(&["delete", "namespace", &self.name, "--wait=false"]);
    }
}
