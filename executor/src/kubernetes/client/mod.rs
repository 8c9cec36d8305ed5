//! The shell around the protocol: clients, watches, calls, clocks. It carries out what the fleet says, and decides
//! nothing.

mod access;
mod actor;
mod call;
mod carry;
mod clean;
mod clock;
mod credentials;
mod events;
mod lanes;
mod log;
mod pace;
mod sight;
mod token;
mod watch;
mod watched;

use std::{path::PathBuf, sync::Arc};

use gridflow_core::{AttemptId, RunKey};
use tokio::sync::mpsc;

use super::{
    config::Config,
    fleet::Order,
    launch::{Launch, Open},
    report::Report,
};
use access::Cluster;
pub use clean::{Became, Cleaned, Running, clean};
pub use credentials::{fingerprint, try_access};

/// Calls of the handle that wait for the executor.
const ORDERS_MAX: usize = 1024;
/// Reports that wait for the scheduler. Behind them the watches wait, and what they miss is listed again.
const REPORTS_MAX: usize = 4096;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot use the kubeconfig `{}`", path.display())]
    Kubeconfig {
        path: PathBuf,
        #[source]
        source: Box<kube::config::KubeconfigError>,
    },
    #[error("cannot use the service account of this pod for the cluster `{cluster}`; does Gridflow run in it?")]
    InCluster {
        cluster: Arc<str>,
        #[source]
        source: Box<kube::config::InClusterError>,
    },
    #[error("cannot make a client for the cluster `{cluster}`")]
    Client {
        cluster: Arc<str>,
        #[source]
        source: Box<kube::Error>,
    },
    #[error("no cluster is configured, or one without a namespace")]
    NoCluster,
    /// Every call after the executor has ended.
    #[error("the Kubernetes executor has stopped")]
    Stopped,
}

/// The way in.
#[derive(Debug)]
pub struct KubernetesExecutor;

impl KubernetesExecutor {
    /// Begins a term of leadership, in which these attempts are open. Returns without waiting for any API server:
    /// [`Report::Synced`] comes when all of them were listed. Ends when the last handle is dropped; pods go on.
    pub async fn start(config: Config, open: Vec<Open>) -> Result<(Handle, mpsc::Receiver<Report>), Error> {
        if config.clusters.is_empty() || config.clusters.iter().any(|cluster| cluster.namespaces.is_empty()) {
            return Err(Error::NoCluster);
        }
        let mut clusters = Vec::with_capacity(config.clusters.len());
        for cluster in &config.clusters {
            clusters.push(Cluster::open(cluster).await?);
        }
        let (orders, order_queue) = mpsc::channel(ORDERS_MAX);
        let (reports, report_queue) = mpsc::channel(REPORTS_MAX);
        tokio::spawn(actor::run(config, clusters, open, order_queue, reports));
        Ok((Handle { orders }, report_queue))
    }
}

/// Tells the executor what to do. What it did comes as [`Report`]s.
#[derive(Debug, Clone)]
pub struct Handle {
    orders: mpsc::Sender<Order>,
}

impl Handle {
    /// Has the pods of committed attempts made, gated. May be asked again for any of them.
    pub async fn launch(&self, launches: Vec<Launch>) -> Result<(), Error> {
        self.order(Order::Launch(launches)).await
    }

    /// The claims are committed: these pods, and no others, may run.
    pub async fn confirm(&self, attempts: Vec<(RunKey, AttemptId, Arc<str>)>) -> Result<(), Error> {
        self.order(Order::Confirm(attempts)).await
    }

    /// Ends attempts, or keeps them from starting. The end is reported as any other.
    pub async fn cancel(&self, attempts: Vec<(RunKey, AttemptId)>) -> Result<(), Error> {
        self.order(Order::Cancel(attempts)).await
    }

    /// The ends are committed, or nobody knows the attempts: finalizers come off, and pods go when the policy says.
    pub async fn acknowledge(&self, attempts: Vec<(RunKey, AttemptId)>) -> Result<(), Error> {
        self.order(Order::Acknowledge(attempts)).await
    }

    async fn order(&self, order: Order) -> Result<(), Error> {
        self.orders.send(order).await.map_err(|_| Error::Stopped)
    }
}
