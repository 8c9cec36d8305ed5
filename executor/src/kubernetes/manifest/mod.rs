//! From the layers of settings to a whole manifest. Pure: the same settings give the same manifest.
//!
//! ```text
//! base ← the cluster's `pod:` ← settings of DAG, group and task ← `env:` ← JSON patch ─▶ what the protocol needs
//! ```
//! Everything is JSON from end to end, so that a field that is newer than Gridflow passes through.

mod error;
mod expansion;
mod layers;
mod repair;
#[cfg(test)]
mod sample;
pub mod shape;
mod spark;
pub mod strategic;
#[cfg(test)]
mod tests;
mod wrap;

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};

pub use error::{Error as ManifestError, Layer};
pub use layers::{apply_json_patch, apply_layers};
pub use spark::{SparkManifest, SparkRequest, spark};

use super::launch::Payload;
use crate::identity::Identity;

/// The container that is the task.
pub const TASK_CONTAINER: &str = "task";

/// What a pod is made from.
#[derive(Debug, Clone, Copy)]
pub struct PodRequest<'a> {
    pub identity: Identity<'a>,
    pub cluster: ClusterDefaults<'a>,
    pub namespace: &'a str,
    pub process: Process<'a>,
    /// Fragments of a Pod, weakest first.
    pub layers: &'a [Value],
    /// A JSON patch (RFC 6902) of the merged manifest.
    pub json_patch: Option<&'a Value>,
    /// The task's `env:`. Stronger than the layers, weaker than what Gridflow promises.
    pub env: &'a [(String, String)],
    /// Files of the DAG version, by their path in the working folder.
    pub files: &'a [(String, Arc<[u8]>)],
    /// Written to `$GRIDFLOW_CONTEXT`.
    pub context: &'a Value,
    /// Between SIGTERM and SIGKILL.
    pub grace: Duration,
}

/// What the clusters file says for every pod of a cluster.
#[derive(Debug, Clone, Copy, Default)]
pub struct ClusterDefaults<'a> {
    /// Gridflow's own image: for the init step, and for its operators.
    pub image: Option<&'a str>,
    /// For process tasks that name none.
    pub task_image: Option<&'a str>,
    pub service_account: Option<&'a str>,
    /// A fragment of a Pod.
    pub pod: Option<&'a Value>,
}

/// What the task's container runs.
#[derive(Debug, Clone, Copy)]
pub enum Process<'a> {
    /// A command (`bash`, `exec`, `python`) in the task's image and in a working folder with its files.
    Command(&'a [String]),
    /// An operator of Gridflow's own: a command in Gridflow's image.
    Operator(&'a [String]),
    /// `pod:` runs what its layers say.
    Image { wrap: Wrap },
}

/// Whether the command of a `pod:` runs below `gridflow-pod`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrap {
    /// If the layers give a command. An image's own entrypoint is not known, so it runs as it is.
    WhereThereIsACommand,
    Never,
}

/// A pod that can be created once it is named.
#[derive(Debug, Clone)]
pub struct PodManifest {
    pub pod: Value,
    /// The Secret it waits for.
    pub payload: Option<Payload>,
}

/// A whole Pod, but for what makes it this attempt's: name, labels, annotations and the gate.
pub fn pod(request: &PodRequest<'_>) -> Result<PodManifest, ManifestError> {
    let mut pod = base(request);
    apply_layers(&mut pod, request.cluster.pod, request.layers, &shape::POD)?;
    wrap::set_process(&mut pod, request)?;
    if let Some(patch) = request.json_patch {
        apply_json_patch(&mut pod, patch)?;
    }
    repair::repair(&mut pod, request.namespace)?;
    let payload = wrap::wrap(&mut pod, request)?;
    repair::default_security(&mut pod);
    Ok(PodManifest { pod, payload })
}

/// What holds where no layer says otherwise.
fn base(request: &PodRequest<'_>) -> Value {
    let ClusterDefaults { task_image, service_account, .. } = request.cluster;
    let mut task = json!({ "name": TASK_CONTAINER });
    if let Some(image) = task_image.filter(|_| !matches!(request.process, Process::Image { .. })) {
        task["image"] = image.into();
    }
    let mut pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "annotations": { "kubectl.kubernetes.io/default-container": TASK_CONTAINER } },
        "spec": {
            "restartPolicy": "Never",
            // A command's environment is what Gridflow promises, not the addresses of whatever runs beside it.
            "enableServiceLinks": false,
            "terminationGracePeriodSeconds": request.grace.as_secs().max(1),
            "containers": [task],
        },
    });
    if let Some(account) = service_account {
        pod["spec"]["serviceAccountName"] = account.into();
    }
    pod
}

/// The container of this name, in `containers`.
fn container_mut<'a>(pod: &'a mut Value, name: &str) -> Option<&'a mut Value> {
    let containers = pod.get_mut("spec")?.get_mut("containers")?.as_array_mut()?;
    containers.iter_mut().find(|container| container["name"] == name)
}

/// A list in a map, made where there is none. `None` if something else is in its place.
fn list_mut<'a>(map: &'a mut Value, name: &str) -> Option<&'a mut Vec<Value>> {
    map.as_object_mut()?.entry(name).or_insert_with(|| json!([])).as_array_mut()
}
