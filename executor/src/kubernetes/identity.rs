//! How an object outside says which attempt it is. The one place that knows these names.

use gridflow_core::{AttemptId, InstallationId, RunKey, Turn};
use serde_json::{Map, Value, json};

use super::launch::Launch;

pub const INSTALLATION: &str = "gridflow.io/installation";
pub const ATTEMPT: &str = "gridflow.io/attempt";
pub const RUN: &str = "gridflow.io/run";
pub const TURN: &str = "gridflow.io/turn";
pub const SPEC_HASH: &str = "gridflow.io/spec-hash";
pub const EXECUTION_TIMEOUT: &str = "gridflow.io/execution-timeout";
pub const GRACE: &str = "gridflow.io/grace";
pub const CONTAINER: &str = "gridflow.io/container";

/// A pod with this gate is not scheduled, so it holds quota and runs nothing.
pub const GATE: &str = "gridflow.io/confirm";
/// Keeps the object of a confirmed pod until its end is committed, whoever deletes it.
pub const FINALIZER: &str = "gridflow.io/attempt";

/// The name of the attempt's pod, application and secret.
pub fn name(attempt: AttemptId) -> String {
    format!("gf-{attempt}")
}

/// Selects everything of an installation.
pub fn selector(installation: InstallationId) -> String {
    format!("{INSTALLATION}={installation}")
}

pub fn labels(installation: InstallationId, run: RunKey, attempt: AttemptId) -> [(&'static str, String); 3] {
    [(INSTALLATION, installation.to_string()), (ATTEMPT, attempt.to_string()), (RUN, run.to_string())]
}

/// What the next leader needs to go on, written where it can't be lost.
pub fn annotations(launch: &Launch) -> Vec<(&'static str, String)> {
    let mut annotations = vec![
        (TURN, launch.turn.to_string()),
        (SPEC_HASH, hex(&launch.spec_hash)),
        (GRACE, launch.grace.as_secs().to_string()),
        (CONTAINER, launch.container.to_string()),
    ];
    if let Some(timeout) = launch.execution_timeout {
        annotations.push((EXECUTION_TIMEOUT, timeout.as_millis().to_string()));
    }
    annotations
}

/// Makes a pod's manifest this attempt's: name, labels, annotations and the gate.
pub fn stamp_pod(mut pod: Value, installation: InstallationId, launch: &Launch) -> Value {
    let root = object(&mut pod);
    root.insert("apiVersion".into(), json!("v1"));
    root.insert("kind".into(), json!("Pod"));
    stamp_metadata(entry(root, "metadata"), installation, launch);
    gate(entry(root, "spec"));
    pod
}

fn gate(spec: &mut Map<String, Value>) {
    let gates = spec.entry("schedulingGates").or_insert_with(|| json!([]));
    if !gates.is_array() {
        *gates = json!([]);
    }
    if let Some(gates) = gates.as_array_mut()
        && !gates.iter().any(|gate| gate["name"] == GATE)
    {
        gates.push(json!({"name": GATE}));
    }
}

/// Makes a SparkApplication this attempt's. Its driver gets the same marks, and the gate, through the pod template.
pub fn stamp_application(mut application: Value, installation: InstallationId, launch: &Launch) -> Value {
    let root = object(&mut application);
    stamp_metadata(entry(root, "metadata"), installation, launch);
    let spec = entry(root, "spec");
    let template = entry(entry(spec, "driver"), "template");
    mark(entry(template, "metadata"), installation, launch);
    gate(entry(template, "spec"));
    application
}

/// The part that every object of an attempt has.
pub fn stamp_metadata(metadata: &mut Map<String, Value>, installation: InstallationId, launch: &Launch) {
    for key in ["generateName", "uid", "resourceVersion", "ownerReferences", "finalizers", "creationTimestamp"] {
        metadata.remove(key);
    }
    metadata.insert("name".into(), json!(name(launch.attempt)));
    metadata.insert("namespace".into(), json!(&*launch.namespace));
    mark(metadata, installation, launch);
}

fn mark(metadata: &mut Map<String, Value>, installation: InstallationId, launch: &Launch) {
    let known = entry(metadata, "labels");
    for (key, value) in labels(installation, launch.run, launch.attempt) {
        known.insert(key.into(), json!(value));
    }
    let known = entry(metadata, "annotations");
    for (key, value) in annotations(launch) {
        known.insert(key.into(), json!(value));
    }
}

fn entry<'a>(map: &'a mut Map<String, Value>, key: &str) -> &'a mut Map<String, Value> {
    object(map.entry(key).or_insert_with(|| json!({})))
}

fn object(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = json!({});
    }
    value.as_object_mut().expect("it was made one")
}

pub fn parse_turn(text: &str) -> Option<Turn> {
    text.parse().ok().map(Turn)
}

pub fn hex(bytes: &[u8; 32]) -> String {
    blake3::Hash::from_bytes(*bytes).to_hex().to_string()
}

pub fn parse_hex(text: &str) -> Option<[u8; 32]> {
    blake3::Hash::from_hex(text).ok().map(|hash| *hash.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use uuid::Uuid;

    use super::{super::launch::Object, *};

    fn launch() -> Launch {
        let (run, attempt) = (RunKey(Uuid::from_u128(5)), AttemptId(Uuid::from_u128(7)));
        let execution_timeout = Some(Duration::from_secs(90));
        let sample = Launch::sample(run, attempt, Object::Pod(Value::Null));
        Launch { namespace: "data".into(), execution_timeout, ..sample }
    }

    #[test]
    fn a_stamped_pod_is_gated_and_says_whose_it_is() {
        let pod = json!({
            "metadata": {"name": "mine", "labels": {"team": "data"}, "finalizers": ["x/y"]},
            "spec": {"schedulingGates": [{"name": "other/gate"}], "futureField": 1},
        });
        let stamped = stamp_pod(pod, InstallationId(Uuid::from_u128(1)), &launch());
        insta::assert_snapshot!(serde_json::to_string_pretty(&stamped).unwrap(), @r#"
        {
          "metadata": {
            "name": "gf-00000000-0000-0000-0000-000000000007",
            "labels": {
              "team": "data",
              "gridflow.io/installation": "00000000-0000-0000-0000-000000000001",
              "gridflow.io/attempt": "00000000-0000-0000-0000-000000000007",
              "gridflow.io/run": "00000000-0000-0000-0000-000000000005"
            },
            "namespace": "data",
            "annotations": {
              "gridflow.io/turn": "42",
              "gridflow.io/spec-hash": "abababababababababababababababababababababababababababababababab",
              "gridflow.io/grace": "30",
              "gridflow.io/container": "task",
              "gridflow.io/execution-timeout": "90000"
            }
          },
          "spec": {
            "schedulingGates": [
              {
                "name": "other/gate"
              },
              {
                "name": "gridflow.io/confirm"
              }
            ],
            "futureField": 1
          },
          "apiVersion": "v1",
          "kind": "Pod"
        }
        "#);
    }

    #[test]
    fn a_hash_reads_back() {
        assert_eq!(parse_hex(&hex(&[7; 32])), Some([7; 32]));
        assert_eq!(parse_hex("seven"), None);
    }
}
