//! The few fields of a pod that are read. Everything else is skipped while parsing, never kept.

use std::collections::HashMap;

use gridflow_core::Timestamp;
use serde::Deserialize;

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RawPod {
    pub metadata: RawMetadata,
    #[serde(deserialize_with = "null_is_default")]
    pub spec: RawSpec,
    #[serde(deserialize_with = "null_is_default")]
    pub status: RawStatus,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RawMetadata {
    pub name: String,
    pub uid: String,
    pub resource_version: String,
    #[serde(deserialize_with = "null_is_default")]
    pub labels: HashMap<String, String>,
    #[serde(deserialize_with = "null_is_default")]
    pub annotations: HashMap<String, String>,
    #[serde(deserialize_with = "null_is_default")]
    pub finalizers: Vec<String>,
    pub deletion_timestamp: Option<Timestamp>,
    pub deletion_grace_period_seconds: Option<i64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RawSpec {
    pub node_name: Option<String>,
    #[serde(deserialize_with = "null_is_default")]
    pub scheduling_gates: Vec<Named>,
    #[serde(deserialize_with = "null_is_default")]
    pub containers: Vec<Named>,
    #[serde(deserialize_with = "null_is_default")]
    pub init_containers: Vec<Named>,
    #[serde(deserialize_with = "null_is_default")]
    pub ephemeral_containers: Vec<Named>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Named {
    pub name: String,
    /// `Always` makes an init container a sidecar, which ends after the others.
    pub restart_policy: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RawStatus {
    pub phase: Option<String>,
    pub reason: Option<String>,
    pub message: Option<String>,
    #[serde(deserialize_with = "null_is_default")]
    pub conditions: Vec<RawCondition>,
    #[serde(deserialize_with = "null_is_default")]
    pub container_statuses: Vec<RawContainer>,
    #[serde(deserialize_with = "null_is_default")]
    pub init_container_statuses: Vec<RawContainer>,
    #[serde(deserialize_with = "null_is_default")]
    pub ephemeral_container_statuses: Vec<RawContainer>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct RawCondition {
    #[serde(rename = "type")]
    pub kind: String,
    pub status: String,
    pub reason: Option<String>,
    pub message: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct RawContainer {
    pub name: String,
    #[serde(deserialize_with = "null_is_default")]
    pub state: RawState,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct RawState {
    pub waiting: Option<RawWaiting>,
    pub running: Option<RawRunning>,
    pub terminated: Option<RawTerminated>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct RawWaiting {
    pub reason: Option<String>,
    pub message: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RawRunning {
    pub started_at: Option<Timestamp>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RawTerminated {
    pub exit_code: i32,
    pub signal: Option<i32>,
    pub reason: Option<String>,
    pub message: Option<String>,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
}

/// The API server writes `null` for some empty lists and maps.
fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
