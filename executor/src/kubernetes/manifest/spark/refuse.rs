//! What a SparkApplication of ours must not say, each with what to do instead.

use serde_json::{Map, Value};

use super::super::error::Error;

/// Labels and annotations that are Gridflow's own.
const RESERVED: &str = "gridflow.io/";

/// Settings that would take the driver out of our hands. A name that ends in `/` stands for all that begin with it.
const SETTINGS: [(&str, &str); 8] = [
    ("spark.kubernetes.driver.pod.name", "the driver is named after its attempt"),
    ("spark.kubernetes.namespace", "write `namespace:`"),
    ("spark.kubernetes.driver.podTemplateFile", "write `spec.driver.template`"),
    ("spark.kubernetes.driver.podTemplateContainerName", "the container is `spark-kubernetes-driver`"),
    ("spark.kubernetes.submission.waitAppCompletion", "the operator would never say that it has submitted"),
    ("spark.submit.deployMode", "the driver runs in a pod of its own"),
    ("spark.kubernetes.driver.label.gridflow.io/", "these labels are Gridflow's own"),
    ("spark.kubernetes.driver.annotation.gridflow.io/", "these annotations are Gridflow's own"),
];

pub(super) fn refuse(spec: &Map<String, Value>) -> Result<(), Error> {
    let none = Value::Null;
    let field = |name: &str| spec.get(name).unwrap_or(&none);
    match &field("restartPolicy")["type"] {
        Value::Null => {}
        policy if policy == "Never" => {}
        policy => {
            let problem = format!("{policy} is not possible, each try is an application of its own: write `retries:`");
            return Err(Error::unfit("spec.restartPolicy.type", problem));
        }
    }
    if !field("timeToLiveSeconds").is_null() {
        let problem = "the cluster's `keep:` says how long applications stay: leave it out";
        return Err(Error::unfit("spec.timeToLiveSeconds", problem));
    }
    if !field("mode").is_null() && field("mode") != "cluster" {
        return Err(Error::unfit("spec.mode", "`cluster` is needed: the driver is a pod"));
    }
    if !field("driver")["podName"].is_null() {
        return Err(Error::unfit("spec.driver.podName", "the driver is named after its attempt: leave it out"));
    }
    for key in keys(field("sparkConf")) {
        let refused = SETTINGS.iter().find(|(name, _)| key == *name || name.ends_with('/') && key.starts_with(name));
        if let Some((_, instead)) = refused {
            return Err(Error::unfit("spec.sparkConf", format!("`{key}` is not possible: {instead}")));
        }
    }
    reserved(spec)
}

/// The operator would hand them to the pods, in the place of ours.
fn reserved(spec: &Map<String, Value>) -> Result<(), Error> {
    for role in ["driver", "executor"] {
        let pod = spec.get(role).unwrap_or(&Value::Null);
        for (place, found) in [("", pod), (".template.metadata", &pod["template"]["metadata"])] {
            for kind in ["labels", "annotations"] {
                if let Some(key) = keys(&found[kind]).find(|key| key.starts_with(RESERVED)) {
                    return Err(Error::unfit(
                        format!("spec.{role}{place}.{kind}"),
                        format!("`{key}` is Gridflow's own"),
                    ));
                }
            }
        }
    }
    Ok(())
}

fn keys(map: &Value) -> impl Iterator<Item = &str> {
    map.as_object().into_iter().flat_map(|map| map.keys().map(String::as_str))
}
