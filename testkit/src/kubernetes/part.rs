//! Breaking the cluster, and putting it together again.

use anyhow::{Result, bail};

use super::{Cluster, script};

/// A server of the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Etcd,
    ApiServer,
    ControllerManager,
    Scheduler,
    Kubelet,
}

impl Part {
    const ALL: [Self; 5] = [Self::Etcd, Self::ApiServer, Self::ControllerManager, Self::Scheduler, Self::Kubelet];

    fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
            Self::Kubelet => "kubelet",
        }
    }
}

/// Only for who holds the cluster [alone](Cluster::alone).
impl Cluster {
    /// Asks a server to end, and waits until it has.
    pub fn stop(&self, part: Part) -> Result<()> {
        change(part, "stop")
    }

    /// `kill -9`, and its end waited for.
    pub fn kill(&self, part: Part) -> Result<()> {
        change(part, "kill")
    }

    /// Starts a server unless it runs, and waits until it answers.
    pub fn start(&self, part: Part) -> Result<()> {
        change(part, "start")
    }

    /// Everything runs again.
    pub fn mend(&self) -> Result<()> {
        Part::ALL.into_iter().try_for_each(|part| self.start(part))
    }
}

fn change(part: Part, how: &str) -> Result<()> {
    let output = script("kubernetes", &["part", part.name(), how])?;
    if !output.status.success() {
        bail!("{how} {}: {}", part.name(), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
