//! DAG runs before they run: what creates them and what is pinned at creation.

use std::sync::Arc;

use crate::id::{DagId, DagVersionId, EventId, RunId, RunKey, TaskInstanceKey, Timestamp};

/// Why a run exists (Airflow's `DagRunType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunType {
    Scheduled,
    Manual,
    Backfill,
    AssetTriggered,
    AssetMaterialization,
    OperatorTriggered,
}

impl RunType {
    pub const ALL: [Self; 6] = [
        Self::Scheduled,
        Self::Manual,
        Self::Backfill,
        Self::AssetTriggered,
        Self::AssetMaterialization,
        Self::OperatorTriggered,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Manual => "manual",
            Self::Backfill => "backfill",
            Self::AssetTriggered => "asset_triggered",
            Self::AssetMaterialization => "asset_materialization",
            Self::OperatorTriggered => "operator_triggered",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// Who asked for a run (Airflow's `DagRunTriggeredByType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TriggeredBy {
    Cli,
    Operator,
    RestApi,
    Ui,
    Test,
    Timetable,
    Asset,
    Backfill,
}

impl TriggeredBy {
    pub const ALL: [Self; 8] =
        [Self::Cli, Self::Operator, Self::RestApi, Self::Ui, Self::Test, Self::Timetable, Self::Asset, Self::Backfill];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cli => "cli",
            Self::Operator => "operator",
            Self::RestApi => "rest_api",
            Self::Ui => "ui",
            Self::Test => "test",
            Self::Timetable => "timetable",
            Self::Asset => "asset",
            Self::Backfill => "backfill",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|by| by.as_str() == text)
    }
}

/// `[start, end)` of the data a run is about; point-in-time schedules have `start == end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DataInterval {
    pub start: Timestamp,
    pub end: Timestamp,
}

/// A run that is committed and waits to start: what admission needs to know of it.
#[derive(Debug, Clone, PartialEq)]
pub struct QueuedRun {
    pub key: RunKey,
    pub dag: DagId,
    pub version: DagVersionId,
    pub run_id: RunId,
    pub run_type: RunType,
    pub logical_date: Option<Timestamp>,
    pub data_interval: Option<DataInterval>,
    /// Never started before this instant.
    pub run_after: Timestamp,
}

/// A run to be inserted. The shell inserts one for a person's request; the core for schedules,
/// triggers and `trigger_dag`.
#[derive(Debug, Clone, PartialEq)]
pub struct NewRun {
    pub queued: QueuedRun,
    pub queued_at: Timestamp,
    pub triggered_by: TriggeredBy,
    /// The name of the person or token that asked.
    pub actor: Option<String>,
    /// Params that differ from the DAG's defaults.
    pub conf: Arc<serde_json::Value>,
    /// What the trigger saw (`{{ trigger.… }}`).
    pub trigger: Option<Arc<serde_json::Value>>,
    /// The outside events that this run answers.
    pub events: Vec<EventId>,
    /// The `trigger_dag` task instance that asked, if one did.
    pub parent: Option<TaskInstanceKey>,
    pub note: Option<String>,
    /// W3C trace context that the run's spans belong to.
    pub traceparent: Option<String>,
}
