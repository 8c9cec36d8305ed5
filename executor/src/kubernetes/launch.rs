//! What the scheduler asks for, and what it tells about attempts that are under way.

use std::{sync::Arc, time::Duration};

use gridflow_core::{AttemptId, AttemptState, ExecutorKind, RunKey, Turn};
use serde_json::Value;

/// One committed attempt, rendered and ready to be made.
///
/// Asking again is harmless: what is made has the attempt's own name, and does not run before its uid is confirmed.
#[derive(Debug, Clone)]
pub struct Launch {
    pub attempt: AttemptId,
    pub run: RunKey,
    /// The turn that committed the launch.
    pub turn: Turn,
    /// What was committed; a pod with another hash is not ours.
    pub spec_hash: [u8; 32],
    pub cluster: Arc<str>,
    pub namespace: Arc<str>,
    pub object: Object,
    pub payload: Option<Payload>,
    /// The container whose log, end and termination message are the task's.
    pub container: Arc<str>,
    /// Counted from the container's start.
    pub execution_timeout: Option<Duration>,
    /// Between SIGTERM and SIGKILL.
    pub grace: Duration,
}

impl Launch {
    /// One of turn 42 in the namespace `ns` of the cluster `c`, without files and without a time limit, its container
    /// `task`. For tests and measurements, which write down only what matters to them: `Launch { turn, ..sample }`.
    pub fn sample(run: RunKey, attempt: AttemptId, object: Object) -> Self {
        Self {
            attempt,
            run,
            turn: Turn(42),
            spec_hash: [0xab; 32],
            cluster: "c".into(),
            namespace: "ns".into(),
            object,
            payload: None,
            container: "task".into(),
            execution_timeout: None,
            grace: Duration::from_secs(30),
        }
    }
}

/// A whole manifest, but for what makes it this attempt's: name, labels, annotations and the gate.
#[derive(Debug, Clone)]
pub enum Object {
    Pod(Value),
    SparkApplication(Value),
}

/// What the pod needs to find beside its image: one Secret that the pod owns.
#[derive(Debug, Clone)]
pub struct Payload {
    pub files: Vec<(String, Arc<[u8]>)>,
}

/// An attempt that is open when a term of leadership begins.
#[derive(Debug, Clone)]
pub struct Open {
    pub attempt: AttemptId,
    pub run: RunKey,
    pub executor: ExecutorKind,
    pub state: AttemptState,
    /// The pod that was confirmed for it, as it was reported: `CLUSTER/NAMESPACE/UID`.
    pub claim: Option<Arc<str>>,
    /// Where that pod was seen running: `NODE/BOOT-ID`.
    pub place: Option<Arc<str>>,
    pub queued_turn: Turn,
}
