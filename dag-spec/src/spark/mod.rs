//! SparkApplications: what a manifest of one may not say, and where it holds text.

pub mod check;
mod place;
mod size;

use serde_json::Value;

use crate::kubernetes::{as_texts, pod_texts};

pub use place::{Names, Place, Places, Where};
pub use size::{Memory, Number};

pub const API_VERSION: &str = "sparkoperator.k8s.io/v1beta2";

/// What people read over the address of its UI.
pub const UI_LINK: &str = "Spark UI";

/// The container of a driver pod that is the driver.
pub const DRIVER_CONTAINER: &str = "spark-kubernetes-driver";

/// The container of an executor pod that is the executor.
pub const EXECUTOR_CONTAINER: &str = "spark-kubernetes-executor";

/// Paths below `spec` that hold text.
const SPEC: &[&str] = &[
    "arguments.*",
    "sparkConf.*",
    "hadoopConf.*",
    "sparkVersion",
    "image",
    "mainClass",
    "mainApplicationFile",
    "pythonVersion",
    "memoryOverheadFactor",
    "nodeSelector.*",
    "deps.*.*",
];

/// Paths below `spec.driver` and `spec.executor` that hold text.
const POD: &[&str] = &[
    "memory",
    "memoryOverhead",
    "coreLimit",
    "coreRequest",
    "javaOptions",
    "image",
    "serviceAccount",
    "labels.*",
    "annotations.*",
    "envVars.*",
    "env.*.value",
    "nodeSelector.*",
    "tolerations.*.value",
];

/// Makes text of numbers and truths where the manifest of an application holds text.
pub fn texts(application: &mut Value) {
    let Some(spec) = application.get_mut("spec") else { return };
    as_texts(spec, SPEC);
    for part in ["driver", "executor"] {
        let Some(pod) = spec.get_mut(part) else { continue };
        as_texts(pod, POD);
        if let Some(template) = pod.get_mut("template") {
            pod_texts(template);
        }
    }
}

/// An application as Airflow's operator takes it, below `spark:`, or as it is.
pub fn unwrapped(manifest: Value) -> Value {
    match manifest {
        Value::Object(mut map) if !map.contains_key("kind") && map.get("spark").is_some_and(Value::is_object) => {
            map.remove("spark").unwrap_or_default()
        }
        other => other,
    }
}

/// Why a rendered application cannot be one attempt.
pub fn refused(application: &Value) -> Result<(), String> {
    let text = |pointer: &str| application.pointer(pointer).and_then(Value::as_str);
    if let Some(version) = text("/apiVersion").filter(|version| *version != API_VERSION) {
        return Err(format!("its `apiVersion` is `{version}`, expected `{API_VERSION}`"));
    }
    if let Some(kind) = text("/kind").filter(|kind| *kind != "SparkApplication") {
        return Err(format!("it is a `{kind}`, not a SparkApplication"));
    }
    if let Some(policy) = text("/spec/restartPolicy/type").filter(|policy| *policy != "Never") {
        return Err(format!("`restartPolicy` is `{policy}`; remove it, and give the task `retries:`"));
    }
    if let Some(mode) = text("/spec/mode").filter(|mode| *mode != "cluster") {
        return Err(format!("`mode` is `{mode}`, expected `cluster`"));
    }
    match application.pointer("/spec/timeToLiveSeconds") {
        Some(_) => Err("`timeToLiveSeconds` would delete the application before its end is recorded".into()),
        None => Ok(()),
    }
}
