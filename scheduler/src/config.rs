//! What the scheduler needs to be told.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use gridflow_executor::{kubernetes, local::HostStart};
use serde_json::Value;
use tokio::sync::watch;

/// Settings of the scheduler; every one has a default but the folders.
#[derive(Debug, Clone)]
pub struct Config {
    /// The folder of DAGs.
    pub dags: PathBuf,
    /// Where this node keeps its host's records, logs and scratch folders.
    pub state_dir: PathBuf,
    /// The program that is started as host and as `operator`: normally the running one.
    pub program: PathBuf,
    pub host_start: HostStart,
    /// Where pods run, now and later: another value ends the term of leadership, and the next one has it.
    pub clusters: watch::Receiver<Arc<Clusters>>,
    /// What holds for all tasks, as a file of every DAG version, now and later.
    pub defaults: watch::Receiver<Option<Arc<[u8]>>>,
    /// Attempts of all DAGs at the same time (Airflow's `parallelism`).
    pub parallelism: u32,
    /// Retries after losses of infrastructure, apart from the user's `retries`.
    pub losses_max: u32,
    /// How long a node may be silent before its attempts are given up. None: for ever. When it is set, a command of a
    /// node that was only cut off may run beside its retry.
    pub node_lost_after: Option<Duration>,
    /// The program's own environment; commands get an allow-listed part of it.
    pub environment: BTreeMap<String, String>,
    /// How often the leader says that it lives, and looks for wake-ups that got lost.
    pub heartbeat: Duration,
}

impl Config {
    pub fn new(dags: PathBuf, state_dir: PathBuf, program: PathBuf) -> Self {
        Self {
            dags,
            state_dir,
            program,
            host_start: HostStart::WhenMissing,
            clusters: watch::channel(Arc::default()).1,
            defaults: watch::channel(None).1,
            parallelism: 32,
            losses_max: 3,
            node_lost_after: None,
            environment: BTreeMap::new(),
            heartbeat: Duration::from_secs(1),
        }
    }
}

/// The clusters, the default one first. Without any, tasks that ask for one fail.
pub type Clusters = Vec<Cluster>;

/// A cluster, and what holds for all that runs there.
#[derive(Debug, Clone, PartialEq)]
pub struct Cluster {
    pub reach: kubernetes::ClusterConfig,
    /// Gridflow's own image: it prepares pods, and carries out operators.
    pub image: Option<String>,
    /// For commands whose task names none.
    pub task_image: Option<String>,
    pub service_account: Option<String>,
    /// Below every pod: a fragment of its manifest.
    pub pod: Option<Value>,
    /// The same for SparkApplications.
    pub spark: Option<Value>,
}
