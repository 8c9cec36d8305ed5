//! A pod as the protocol sees it: a small digest of what the API server shows.

mod raw;
#[cfg(test)]
pub(super) mod sample;

use std::sync::Arc;

use gridflow_core::{AttemptId, RunKey, Timestamp, Turn};
use uuid::Uuid;

pub use raw::RawPod;

use super::identity;

/// One state of one pod. Some hundred bytes: thousands are kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Pod {
    pub uid: Arc<str>,
    pub name: Arc<str>,
    pub version: Version,
    pub mark: Mark,
    pub gate: Gate,
    /// Their names, if there are any.
    pub other_gates: Option<Box<str>>,
    pub is_guarded: bool,
    /// Where it was bound to. Never changes once it is there.
    pub node: Option<Arc<str>>,
    pub deletion: Option<Deletion>,
    pub phase: Phase,
    /// Of the pod's status, and why it is or was disrupted.
    pub reason: Option<Box<str>>,
    pub message: Option<Box<str>>,
    pub disruption: Option<Box<str>>,
    pub unschedulable: Option<Box<str>>,
    /// The kubelet says that what its containers share is not there: not yet, or not any more. Kubernetes 1.29 and later.
    pub has_no_sandbox: bool,
    /// The container whose end is the task's.
    pub task: Container,
    /// All containers together.
    pub containers: Containers,
    /// The first init container that failed, or can't start.
    pub init: Option<Box<InitTrouble>>,
}

/// Whose pod it says it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    pub attempt: AttemptId,
    pub run: Option<RunKey>,
    pub turn: Option<Turn>,
    pub spec_hash: Option<[u8; 32]>,
    pub execution_timeout_ms: Option<i64>,
    pub grace_s: Option<i64>,
    pub container: Option<Box<str>>,
    pub role: Role,
}

/// What a pod is to its attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It runs the task: gated, confirmed, guarded.
    Main,
    /// It works for the main one, which makes and ends it: an executor of Spark.
    Helper,
}

/// Our own gate; other owners' gates are theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    Closed,
    Open,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deletion {
    /// When somebody asked for it.
    pub asked_at: Timestamp,
    /// When its containers get SIGKILL.
    pub kill_at: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Pending,
    Running,
    Succeeded,
    Failed,
    /// The node controller's word for a silent node, and whatever comes later.
    Unknown,
}

impl Phase {
    pub fn is_final(self) -> bool {
        match self {
            Self::Succeeded | Self::Failed => true,
            Self::Pending | Self::Running | Self::Unknown => false,
        }
    }
}

/// What the kubelet says of the task's container.
#[derive(Debug, Clone, PartialEq)]
pub enum Container {
    /// Nothing yet.
    Absent,
    Waiting {
        reason: Option<Box<str>>,
        message: Option<Box<str>>,
    },
    Running {
        started_at: Timestamp,
    },
    Ended(Box<End>),
}

/// How a container ended.
#[derive(Debug, Clone, PartialEq)]
pub struct End {
    pub exit_code: i32,
    pub signal: Option<i32>,
    pub reason: Option<Box<str>>,
    pub message: Option<Arc<str>>,
    /// `None`: it never ran.
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
}

/// What the kubelet has reported about all containers, init and ephemeral ones too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Containers {
    pub total: u16,
    pub running: u16,
    pub ended: u16,
}

#[derive(Debug, Clone, PartialEq)]
pub enum InitTrouble {
    Failed { name: Box<str>, end: End },
    Waiting { name: Box<str>, reason: Box<str>, message: Option<Box<str>> },
}

/// The version of an object. The API promises no order, but every server of today counts up; where that can't be
/// read, the newest word counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Version {
    Counted(u64),
    Opaque(Arc<str>),
}

impl Version {
    pub fn parse(text: &str) -> Self {
        text.parse().map_or_else(|_| Self::Opaque(text.into()), Self::Counted)
    }

    pub fn is_before(&self, other: &Self) -> bool {
        matches!((self, other), (Self::Counted(mine), Self::Counted(theirs)) if mine < theirs)
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Counted(count) => count.fmt(f),
            Self::Opaque(text) => f.write_str(text),
        }
    }
}

impl Pod {
    /// `None`: it carries no attempt's id, so it is none of ours.
    pub fn read(raw: RawPod) -> Option<Self> {
        let RawPod { metadata, spec, status } = raw;
        let mark = mark(&metadata)?;
        let container = mark.container.as_deref().unwrap_or("task");
        let task = status.container_statuses.iter().find(|status| status.name == container);
        let task = task.map_or(Container::Absent, |status| read_container(&status.state));
        let gate = if spec.scheduling_gates.iter().any(|gate| gate.name == identity::GATE) {
            Gate::Closed
        } else {
            Gate::Open
        };
        Some(Self {
            uid: metadata.uid.into(),
            name: metadata.name.into(),
            version: Version::parse(&metadata.resource_version),
            gate,
            other_gates: other_gates(&spec),
            is_guarded: metadata.finalizers.iter().any(|finalizer| finalizer == identity::FINALIZER),
            node: spec.node_name.as_deref().filter(|node| !node.is_empty()).map(Arc::from),
            deletion: metadata
                .deletion_timestamp
                .map(|kill_at| deletion(kill_at, metadata.deletion_grace_period_seconds)),
            phase: phase(status.phase.as_deref()),
            disruption: condition(&status, "DisruptionTarget", "True").and_then(|found| boxed(&found.reason)),
            unschedulable: condition(&status, "PodScheduled", "False")
                .filter(|found| found.reason.as_deref() == Some("Unschedulable"))
                .map(|found| found.message.as_deref().unwrap_or("no node takes it").into()),
            has_no_sandbox: condition(&status, "PodReadyToStartContainers", "False").is_some(),
            reason: boxed(&status.reason),
            message: boxed(&status.message),
            containers: count(&spec, &status),
            init: init_trouble(&spec, &status),
            task,
            mark,
        })
    }

    /// Gated and without our finalizer: it never ran, and may be deleted as long as it is in this very version.
    pub fn is_unconfirmed(&self) -> bool {
        self.gate == Gate::Closed && !self.is_guarded
    }

    pub fn started_at(&self) -> Option<Timestamp> {
        match &self.task {
            Container::Absent | Container::Waiting { .. } => None,
            Container::Running { started_at } => Some(*started_at),
            Container::Ended(end) => end.started_at,
        }
    }
}

fn other_gates(spec: &raw::RawSpec) -> Option<Box<str>> {
    let others = spec.scheduling_gates.iter().filter(|gate| gate.name != identity::GATE);
    let names: Vec<String> = others.map(|gate| format!("`{}`", gate.name)).collect();
    (!names.is_empty()).then(|| names.join(", ").into())
}

fn mark(metadata: &raw::RawMetadata) -> Option<Mark> {
    let label = |key: &str| metadata.labels.get(key).map(String::as_str);
    let annotation = |key: &str| metadata.annotations.get(key).map(String::as_str);
    let uuid = |text: &str| Uuid::parse_str(text).ok();
    Some(Mark {
        attempt: AttemptId(label(identity::ATTEMPT).and_then(uuid)?),
        run: label(identity::RUN).and_then(uuid).map(RunKey),
        turn: annotation(identity::TURN).and_then(identity::parse_turn),
        spec_hash: annotation(identity::SPEC_HASH).and_then(identity::parse_hex),
        execution_timeout_ms: annotation(identity::EXECUTION_TIMEOUT).and_then(|text| text.parse().ok()),
        grace_s: annotation(identity::GRACE).and_then(|text| text.parse().ok()),
        container: annotation(identity::CONTAINER).map(Into::into),
        role: match label("spark-role") {
            Some("executor") => Role::Helper,
            _ => Role::Main,
        },
    })
}

fn boxed(text: &Option<String>) -> Option<Box<str>> {
    text.as_deref().filter(|text| !text.is_empty()).map(Into::into)
}

fn phase(text: Option<&str>) -> Phase {
    match text {
        None | Some("Pending" | "") => Phase::Pending,
        Some("Running") => Phase::Running,
        Some("Succeeded") => Phase::Succeeded,
        Some("Failed") => Phase::Failed,
        Some(_) => Phase::Unknown,
    }
}

fn deletion(kill_at: Timestamp, grace_s: Option<i64>) -> Deletion {
    let grace = chrono::TimeDelta::try_seconds(grace_s.unwrap_or(0)).unwrap_or_default();
    Deletion { asked_at: kill_at.checked_sub_signed(grace).unwrap_or(kill_at), kill_at }
}

fn condition<'a>(status: &'a raw::RawStatus, kind: &str, value: &str) -> Option<&'a raw::RawCondition> {
    status.conditions.iter().find(|condition| condition.kind == kind && condition.status == value)
}

fn read_container(state: &raw::RawState) -> Container {
    if let Some(ended) = &state.terminated {
        Container::Ended(Box::new(end(ended)))
    } else if let Some(started_at) = state.running.as_ref().map(|running| running.started_at.unwrap_or_default()) {
        Container::Running { started_at }
    } else {
        let waiting = state.waiting.clone().unwrap_or_default();
        Container::Waiting { reason: boxed(&waiting.reason), message: boxed(&waiting.message) }
    }
}

fn end(ended: &raw::RawTerminated) -> End {
    // A container that never ran is given the year 1970, or none.
    let real = |at: Option<Timestamp>| at.filter(|at| 0 < at.timestamp());
    End {
        exit_code: ended.exit_code,
        signal: ended.signal.filter(|signal| *signal != 0),
        reason: boxed(&ended.reason),
        message: ended.message.as_deref().filter(|message| !message.is_empty()).map(Arc::from),
        started_at: real(ended.started_at),
        finished_at: real(ended.finished_at),
    }
}

fn count(spec: &raw::RawSpec, status: &raw::RawStatus) -> Containers {
    let declared = spec.containers.len() + spec.init_containers.len() + spec.ephemeral_containers.len();
    let of = |is: fn(&raw::RawState) -> bool| {
        [&status.container_statuses, &status.init_container_statuses, &status.ephemeral_container_statuses]
            .into_iter()
            .flatten()
            .filter(|status| is(&status.state))
            .count()
    };
    let small = |count: usize| u16::try_from(count).unwrap_or(u16::MAX);
    Containers {
        total: small(declared),
        running: small(of(|state| state.running.is_some())),
        ended: small(of(|state| state.terminated.is_some())),
    }
}

fn init_trouble(spec: &raw::RawSpec, status: &raw::RawStatus) -> Option<Box<InitTrouble>> {
    let is_sidecar = |name: &str| {
        spec.init_containers.iter().any(|init| init.name == name && init.restart_policy.as_deref() == Some("Always"))
    };
    status.init_container_statuses.iter().find_map(|init| {
        let name = init.name.as_str().into();
        if let Some(ended) = &init.state.terminated {
            let failed = ended.exit_code != 0 && !is_sidecar(&init.name);
            return failed.then(|| Box::new(InitTrouble::Failed { name, end: end(ended) }));
        }
        let waiting = init.state.waiting.as_ref()?;
        let reason = boxed(&waiting.reason).filter(|reason| &**reason != "PodInitializing")?;
        Some(Box::new(InitTrouble::Waiting { name, reason, message: boxed(&waiting.message) }))
    })
}

#[cfg(test)]
mod tests;
