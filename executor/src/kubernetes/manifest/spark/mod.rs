//! From the layers of settings to a SparkApplication.
//!
//! ```text
//! base ← the cluster's `spark:` ← settings of DAG, group and task ← `env:` ← JSON patch ─▶ what the protocol needs
//! ```
//! The driver is a pod like any other of Gridflow's, made by way of `spec.driver.template`. What is needed there goes
//! into the template and not into the operator's own fields: those ask for its webhook, which a cluster need not have.

mod refuse;
mod template;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use gridflow_pod::layout;
use serde_json::{Map, Value, json};

use super::{ClusterDefaults, Payload, apply_json_patch, apply_layers, error::Error, shape, wrap};
use crate::{
    identity::Identity,
    kubernetes::spark::{GROUP, KIND, VERSION},
};

/// What a SparkApplication is made from.
#[derive(Debug, Clone, Copy)]
pub struct SparkRequest<'a> {
    pub identity: Identity<'a>,
    /// Its `pod` has no part in it.
    pub cluster: ClusterDefaults<'a>,
    /// The cluster's `spark:`, a fragment of a SparkApplication.
    pub spark: Option<&'a Value>,
    pub namespace: &'a str,
    /// Fragments of a SparkApplication, weakest first.
    pub layers: &'a [Value],
    /// A JSON patch (RFC 6902) of the merged manifest.
    pub json_patch: Option<&'a Value>,
    /// The task's `env:`, for driver and executors. Weaker than the layers.
    pub env: &'a [(String, String)],
    /// Files of the DAG version, by their path in the driver's working folder.
    pub files: &'a [(String, Arc<[u8]>)],
    /// Written to `$GRIDFLOW_CONTEXT` of the driver, where anything is laid out in it.
    pub context: &'a Value,
    /// Between SIGTERM and SIGKILL of the driver.
    pub grace: Duration,
}

/// A SparkApplication that can be created once it is named.
#[derive(Debug, Clone)]
pub struct SparkManifest {
    pub application: Value,
    /// The Secret that the driver waits for.
    pub payload: Option<Payload>,
}

/// A whole SparkApplication, but for what makes it this attempt's: name, labels, annotations and the driver's gate.
pub fn spark(request: &SparkRequest<'_>) -> Result<SparkManifest, Error> {
    let mut application = json!({
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "kind": KIND,
        "metadata": {},
        "spec": { "mode": "cluster", "restartPolicy": { "type": "Never" }, "driver": {}, "executor": {} },
    });
    apply_layers(&mut application, request.spark, request.layers, &shape::SPARK_APPLICATION)?;
    if let Some(patch) = request.json_patch {
        apply_json_patch(&mut application, patch)?;
    }
    metadata(&mut application, request.namespace)?;
    let spec = application["spec"].as_object_mut().ok_or_else(|| Error::unfit("spec", "a map is needed"))?;
    for role in ["driver", "executor"] {
        if !spec.get(role).is_some_and(Value::is_object) {
            return Err(Error::unfit(format!("spec.{role}"), "a map is needed"));
        }
    }
    refuse::refuse(spec)?;
    needed(spec)?;
    if let Some(account) = request.cluster.service_account {
        service_account(&mut spec["driver"], account);
    }
    let names_files = !request.files.is_empty() && names_files(spec);
    let layout = template::driver(&mut spec["driver"], request, names_files)?;
    template::executor(&mut spec["executor"], request, names_files)?;
    let payload = match layout {
        template::Layout::Needed => Some(wrap::pack(request.files, request.context)?),
        template::Layout::Needless => None,
    };
    Ok(SparkManifest { application, payload })
}

/// Whether anything but the program itself is a file of the DAG: then executors read it, too.
fn names_files(spec: &Map<String, Value>) -> bool {
    let parts = ["deps", "sparkConf", "hadoopConf", "executor"];
    parts.iter().filter_map(|part| spec.get(*part)).any(|part| part.to_string().contains(layout::WORK))
}

/// Names, owners and the like are not for layers to say.
fn metadata(application: &mut Value, namespace: &str) -> Result<(), Error> {
    let metadata = &application["metadata"];
    if let Some(other) = metadata.get("namespace").filter(|given| *given != namespace) {
        let problem = format!("it is {other}, and the task runs in `{namespace}`: write `namespace:`");
        return Err(Error::unfit("metadata.namespace", problem));
    }
    let mut kept = Map::new();
    for kind in ["labels", "annotations"] {
        let Some(pairs) = metadata.get(kind).and_then(Value::as_object) else { continue };
        if let Some(key) = pairs.keys().find(|key| key.starts_with("gridflow.io/")) {
            return Err(Error::unfit(format!("metadata.{kind}"), format!("`{key}` is Gridflow's own")));
        }
        kept.insert(kind.to_owned(), pairs.clone().into());
    }
    application["metadata"] = kept.into();
    Ok(())
}

/// Without these the API server refuses the object, or `spark-submit` ends with a page of help.
fn needed(spec: &Map<String, Value>) -> Result<(), Error> {
    let is_given = |value: Option<&Value>| value.and_then(Value::as_str).is_some_and(|text| !text.is_empty());
    for (key, what) in [
        ("type", "`Python`, `Scala`, `Java` or `R` is needed"),
        ("sparkVersion", "the version of Spark in the image is needed"),
        ("mainApplicationFile", "what Spark is to run is needed, such as `local:///opt/jobs/job.py`"),
    ] {
        if !is_given(spec.get(key)) {
            return Err(Error::unfit(format!("spec.{key}"), what));
        }
    }
    if !is_given(spec.get("image")) && !is_given(spec["driver"].get("image")) {
        return Err(Error::unfit("spec.image", "an image with Spark is needed"));
    }
    Ok(())
}

/// The driver makes its executors itself, so it needs an account that may.
fn service_account(driver: &mut Value, account: &str) {
    let template = driver.pointer("/template/spec/serviceAccountName").unwrap_or(&Value::Null);
    if driver.get("serviceAccount").is_none_or(Value::is_null) && template.is_null() {
        driver["serviceAccount"] = account.into();
    }
}
