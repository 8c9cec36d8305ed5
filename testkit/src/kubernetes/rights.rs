//! The rights that the shipped manifest gives, and no others.

use std::{fs, path::Path, sync::Arc};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{Cluster, Namespace};

/// The account, roles and bindings of `packaging/kubernetes/rbac.yaml`, the roles under names of this test's own. They
/// are deleted when this is dropped.
#[derive(Debug)]
pub struct Rights {
    cluster: Arc<Cluster>,
    objects: String,
}

impl Namespace {
    /// Gives them to Gridflow's account in this namespace, and writes the kubeconfig of that account.
    pub fn rights(&self, kubeconfig: &Path) -> Result<Rights> {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/kubernetes/rbac.yaml");
        let mut objects = fs::read_to_string(file).context("reading the shipped rights")?;
        let name = self.name();
        for role in ["tasks", "spark", "nodes"] {
            objects = objects.replace(&format!("name: gridflow-{role}"), &format!("name: {name}-{role}"));
        }
        for there in ["gridflow", "data"] {
            objects = objects.replace(&format!("namespace: {there}"), &format!("namespace: {name}"));
        }
        let rights = Rights { cluster: Arc::clone(&self.cluster), objects };
        rights.cluster.kubectl_with(&["apply", "--filename", "-"], &rights.objects)?;
        let view = rights.cluster.kubectl(&["config", "view", "--raw", "--output=json"])?;
        let mut own: Value = serde_json::from_str(&view).context("a kubeconfig")?;
        let token = self.kubectl(&["create", "token", "gridflow", "--duration=2h"])?;
        own["users"][0]["user"] = json!({ "token": token.trim() });
        fs::write(kubeconfig, own.to_string()).context("writing a kubeconfig")?;
        Ok(rights)
    }
}

impl Drop for Rights {
    fn drop(&mut self) {
        let _ = self.cluster.kubectl_with(&["delete", "--ignore-not-found", "--filename", "-"], &self.objects);
    }
}
