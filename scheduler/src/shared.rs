//! What outlives a term of leadership.

use std::{collections::BTreeMap, sync::Arc};

use gridflow_core::{InstallationId, NodeId};
use gridflow_executor::{
    kubernetes::{self, KubernetesExecutor},
    local,
};
use gridflow_store::{
    Database,
    notify::{Channel, Waker},
};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    Clusters, Config, Error, Signals,
    bundle::Snapshot,
    lead::Lead,
    parts::Parts,
    quarantine::Quarantine,
    tend,
    trigger::file::{FileTriggers, Wanted},
    until, upkeep,
};

/// Shared by the scheduler's parts for as long as it runs.
pub(crate) struct Shared {
    pub config: Config,
    pub database: Database,
    pub node: NodeId,
    pub installation: InstallationId,
    pub signals: Signals,
    /// Tells other processes of turns.
    pub waker: Waker,
    /// The latest look at the folder of DAGs.
    pub snapshots: watch::Receiver<Option<Arc<Snapshot>>>,
    /// The file triggers that there should be.
    pub wanted: watch::Sender<Arc<Wanted>>,
    pub quarantine: Quarantine,
}

impl Shared {
    pub fn executor_config(&self) -> local::Config {
        let host_command = vec![self.config.program.clone().into_os_string(), "host".into()];
        let mut config = local::Config::new(self.config.state_dir.clone(), host_command, self.installation, self.node);
        config.host_start = self.config.host_start;
        config.environment = self.config.environment.clone();
        config
    }

    /// The Kubernetes executor for a term, if there are clusters.
    pub async fn start_pods(&self, clusters: &Clusters, open: Vec<kubernetes::Open>) -> Result<Option<Pods>, Error> {
        if clusters.is_empty() {
            return Ok(None);
        }
        let clusters = clusters.iter().map(|cluster| cluster.reach.clone()).collect();
        let state_dir = self.config.state_dir.clone();
        let config = kubernetes::Config { installation: self.installation, state_dir, clusters };
        Ok(Some(KubernetesExecutor::start(config, open).await?))
    }

    /// For streams and waiting handlers, here and in other processes.
    pub fn turn_committed(&self) {
        self.signals.turn.notify_one();
        self.waker.wake(Channel::Turn);
    }

    /// Triggers and upkeep of a term: they run only where the leader is.
    pub fn start_companions(&self, lead: &Lead, term: &CancellationToken) -> Parts {
        lead.triggers_changed();
        let triggers = FileTriggers {
            root: self.config.dags.clone(),
            database: self.database.clone(),
            wanted: self.wanted.subscribe(),
            received: Arc::clone(&self.signals.inbox),
        };
        let mut parts = Parts::default();
        parts.spawn("the watch over file triggers", triggers.run(term.clone()));
        let (beside, database, pass) = (lead.executors.beside.clone(), self.database.clone(), lead.leader.pass());
        let writing = async move { beside.keep_written(&database, pass).await };
        parts.spawn("the word on attempts", until(term.clone(), writing));
        parts.spawn("the upkeep of the database", until(term.clone(), upkeep::keep_tidy(self.database.clone())));
        parts.spawn(
            "the word that this node lives",
            until(term.clone(), tend::keep_seen(self.database.clone(), self.node)),
        );
        parts
    }
}

/// The way to the Kubernetes executor, and what it tells.
pub(crate) type Pods = (kubernetes::Handle, mpsc::Receiver<kubernetes::Report>);

/// No triggers: until a term says otherwise.
pub(crate) fn no_triggers() -> watch::Sender<Arc<Wanted>> {
    watch::Sender::new(Arc::new(BTreeMap::new()))
}
