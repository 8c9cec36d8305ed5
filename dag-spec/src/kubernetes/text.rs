//! Places of manifests that hold text and nothing else.
//!
//! A template that is one expression keeps its type, which is right for `replicas` and wrong for
//! `args`: Kubernetes takes `"3"` there and refuses `3`.

use serde_json::Value;

/// Paths below a container; `*` is every item of a list or map.
const CONTAINER: &[&str] = &[
    "name",
    "image",
    "imagePullPolicy",
    "workingDir",
    "command.*",
    "args.*",
    "env.*.value",
    "env.*.valueFrom.*.key",
    "resources.requests.*",
    "resources.limits.*",
    "volumeMounts.*.mountPath",
    "volumeMounts.*.subPath",
];

/// Paths below a pod's `spec`.
const POD_SPEC: &[&str] = &[
    "nodeSelector.*",
    "nodeName",
    "serviceAccountName",
    "priorityClassName",
    "runtimeClassName",
    "tolerations.*.key",
    "tolerations.*.value",
    "imagePullSecrets.*.name",
    "volumes.*.name",
];

const METADATA: &[&str] = &["labels.*", "annotations.*"];

/// Makes text of numbers and truths where a pod's manifest holds text.
pub fn pod_texts(pod: &mut Value) {
    if !pod.is_object() {
        return;
    }
    as_texts(&mut pod["metadata"], METADATA);
    as_texts(&mut pod["spec"], POD_SPEC);
    for containers in ["containers", "initContainers", "ephemeralContainers"] {
        let found = pod["spec"].get_mut(containers).and_then(Value::as_array_mut);
        for container in found.into_iter().flatten() {
            as_texts(container, CONTAINER);
        }
    }
    for part in ["metadata", "spec"] {
        if let Some(map) = pod.as_object_mut().filter(|map| map.get(part).is_some_and(Value::is_null)) {
            map.remove(part);
        }
    }
}

/// Makes text of what lies at some paths.
pub fn as_texts(value: &mut Value, paths: &[&str]) {
    for path in paths {
        as_text(value, path);
    }
}

fn as_text(value: &mut Value, path: &str) {
    let (first, rest) = path.split_once('.').unwrap_or((path, ""));
    let next: Vec<&mut Value> = match (value, first) {
        (Value::Array(items), "*") => items.iter_mut().collect(),
        (Value::Object(map), "*") => map.values_mut().collect(),
        (Value::Object(map), name) => map.get_mut(name).into_iter().collect(),
        _ => return,
    };
    for value in next {
        match (rest.is_empty(), &*value) {
            (false, _) => as_text(value, rest),
            (true, Value::Number(_) | Value::Bool(_)) => *value = value.to_string().into(),
            (true, Value::Null | Value::String(_) | Value::Array(_) | Value::Object(_)) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_become_text_only_where_text_belongs() {
        let mut pod = json!({
            "metadata": { "labels": { "version": 3 } },
            "spec": {
                "activeDeadlineSeconds": 5,
                "nodeSelector": { "gpu": true },
                "containers": [{ "args": [1, "a", true], "env": [{ "name": "N", "value": 2 }], "ports": [{ "containerPort": 80 }] }],
            },
        });
        pod_texts(&mut pod);
        assert_eq!(
            pod,
            json!({
                "metadata": { "labels": { "version": "3" } },
                "spec": {
                    "activeDeadlineSeconds": 5,
                    "nodeSelector": { "gpu": "true" },
                    "containers": [{ "args": ["1", "a", "true"], "env": [{ "name": "N", "value": "2" }], "ports": [{ "containerPort": 80 }] }],
                },
            })
        );
    }
}
