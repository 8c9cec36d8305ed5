//! Pods for tests, as an API server shows them.

use serde_json::{Value, json};

use super::Pod;

/// The attempt that all of them are of.
pub const ATTEMPT: &str = "00000000-0000-0000-0000-000000000007";

/// A gated pod that was just made, changed by the parts: JSON that is merged into it.
pub fn pod(parts: &[Value]) -> Pod {
    Pod::read(serde_json::from_value(raw(parts)).expect("it is a pod")).expect("it has an attempt")
}

pub fn raw(parts: &[Value]) -> Value {
    parts.iter().fold(gated(), merged)
}

fn gated() -> Value {
    json!({
        "metadata": {
            "name": format!("gf-{ATTEMPT}"),
            "uid": "u1",
            "resourceVersion": "10",
            "labels": {"gridflow.io/attempt": ATTEMPT, "gridflow.io/run": "00000000-0000-0000-0000-000000000005"},
            "annotations": {
                "gridflow.io/turn": "42",
                "gridflow.io/spec-hash": "ab".repeat(32),
                "gridflow.io/grace": "30",
                "gridflow.io/container": "task",
            },
        },
        "spec": {"schedulingGates": [{"name": "gridflow.io/confirm"}], "containers": [{"name": "task"}]},
        "status": {"phase": "Pending"},
    })
}

fn merged(mut to: Value, from: &Value) -> Value {
    merge(&mut to, from);
    to
}

fn merge(to: &mut Value, from: &Value) {
    match (to, from) {
        (Value::Object(to), Value::Object(from)) => {
            for (key, value) in from {
                merge(to.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (to, from) => *to = from.clone(),
    }
}

pub fn version(version: u64) -> Value {
    json!({"metadata": {"resourceVersion": version.to_string()}})
}

pub fn uid(uid: &str) -> Value {
    json!({"metadata": {"uid": uid}})
}

/// Confirmed, and not scheduled yet.
pub fn confirmed() -> Value {
    json!({
        "metadata": {"resourceVersion": "20", "finalizers": ["gridflow.io/attempt"]},
        "spec": {"schedulingGates": null},
    })
}

pub fn bound() -> Value {
    json!({"metadata": {"resourceVersion": "21"}, "spec": {"nodeName": "n1"}})
}

pub fn waiting(reason: &str) -> Value {
    json!({"status": {"containerStatuses": [{"name": "task", "state": {"waiting": {"reason": reason, "message": "no such thing"}}}]}})
}

/// Since 00:01:00.
pub fn running() -> Value {
    json!({
        "metadata": {"resourceVersion": "30"},
        "status": {
            "phase": "Running",
            "containerStatuses": [{"name": "task", "state": {"running": {"startedAt": "2026-01-01T00:01:00Z"}}}],
        },
    })
}

/// At 00:02:00.
pub fn ended(exit_code: i32, reason: &str) -> Value {
    json!({
        "metadata": {"resourceVersion": "40"},
        "status": {
            "phase": if exit_code == 0 { "Succeeded" } else { "Failed" },
            "containerStatuses": [{"name": "task", "state": {"terminated": {
                "exitCode": exit_code,
                "reason": reason,
                "startedAt": "2026-01-01T00:01:00Z",
                "finishedAt": "2026-01-01T00:02:00Z",
            }}}],
        },
    })
}

/// Asked for at such a second of 00:01, with 30 s of grace.
pub fn deleted(second: u32) -> Value {
    let kill_at = format!("2026-01-01T00:{:02}:{:02}Z", 1 + (second + 30) / 60, (second + 30) % 60);
    json!({"metadata": {"deletionTimestamp": kill_at, "deletionGracePeriodSeconds": 30}})
}

/// As the garbage collector for pods of lost nodes leaves it.
pub fn failed_by_collector() -> Value {
    json!({"status": {
        "phase": "Failed",
        "conditions": [{"type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC"}],
    }})
}
