//! Which clusters there are, and how far the executor may go.

use std::{path::PathBuf, sync::Arc, time::Duration};

use gridflow_core::InstallationId;

#[derive(Debug, Clone)]
pub struct Config {
    pub installation: InstallationId,
    /// Logs are written below it.
    pub state_dir: PathBuf,
    pub clusters: Vec<ClusterConfig>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterConfig {
    pub name: Arc<str>,
    pub access: Access,
    /// All of them are watched.
    pub namespaces: Vec<Arc<str>>,
    pub keep: Keep,
    /// A confirmed pod that no node can take for that long never starts.
    pub unschedulable_after: Duration,
    pub limits: Limits,
}

impl ClusterConfig {
    pub fn new(name: &str, access: Access, namespaces: &[&str]) -> Self {
        Self {
            name: name.into(),
            access,
            namespaces: namespaces.iter().map(|namespace| Arc::from(*namespace)).collect(),
            keep: Keep::default(),
            unschedulable_after: Duration::from_secs(600),
            limits: Limits::default(),
        }
    }
}

/// How the API server is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// With the service account of the pod that Gridflow runs in.
    InCluster,
    Kubeconfig {
        path: PathBuf,
        context: Option<String>,
    },
}

/// How long pods stay after their end is committed. Their logs are kept anyway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    pub succeeded: Duration,
    pub failed: Duration,
}

impl Default for Keep {
    fn default() -> Self {
        Self { succeeded: Duration::ZERO, failed: Duration::from_secs(3600) }
    }
}

/// How much is asked of one API server at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Calls that bring attempts forward: creations, confirmations.
    pub launches_at_once: usize,
    /// Calls that tidy up or look: deletions, finalizers, nodes, events.
    pub others_at_once: usize,
    /// Logs that are followed live. The others are read when their containers have ended.
    pub logs_at_once: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { launches_at_once: 16, others_at_once: 16, logs_at_once: 256 }
    }
}
