//! The clusters file: where pods run, and what holds for all tasks.

use std::{env, fs, path::PathBuf, sync::Arc, time::Duration};

use gridflow_dag_spec::{
    clusters::{self, Access, Keep},
    render_text,
};
use gridflow_executor::kubernetes;
use gridflow_scheduler::{Cluster, Clusters};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};

use crate::failure::{Failure, Result, say};

pub const CLUSTERS_FILE: &str = "GRIDFLOW__KUBERNETES__FILE";

/// How often the file, and what it names, is looked at. Some of the ways that files of containers are exchanged send
/// no notification.
const LOOK: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, clap::Args)]
pub struct ClustersArgs {
    /// File of the Kubernetes clusters that tasks may run in; without it, pods are refused. See docs/kubernetes.md
    #[arg(long, env = CLUSTERS_FILE, value_name = "FILE")]
    kubernetes: Option<PathBuf>,
}

/// What the file says.
#[derive(Debug, Default)]
pub struct Read {
    /// The default one first; none without a file.
    pub clusters: Clusters,
    /// What every DAG version has as the server's defaults.
    pub defaults: Option<Arc<[u8]>>,
    trace: Trace,
}

/// The file, and what stands for all that the clients of its clusters are made of.
#[derive(Debug, Default, PartialEq, Eq)]
struct Trace {
    text: String,
    access: Vec<[u8; 32]>,
}

/// Keeps a scheduler's clusters as the file says.
#[derive(Debug)]
pub struct Watch {
    args: ClustersArgs,
    last: Read,
    clusters: watch::Sender<Arc<Clusters>>,
    defaults: watch::Sender<Option<Arc<[u8]>>>,
}

impl ClustersArgs {
    /// What the file says now.
    pub fn read(&self) -> Result<Read> {
        let Some(path) = &self.kubernetes else { return Ok(Read::default()) };
        let shown = path.display().to_string();
        let text = fs::read_to_string(path).map_err(|error| {
            Failure::user(format!("cannot read the clusters file `{shown}`"))
                .because(&error)
                .help("name one with `--kubernetes FILE`; docs/kubernetes.md shows what is in it")
        })?;
        let read = clusters::read(&shown, &text).map_err(|diagnostics| {
            say(render_text(&diagnostics));
            Failure::user(format!("the clusters file `{shown}` can't be used"))
                .help("the lines above say what is wrong")
        })?;
        let clusters = read.clusters.into_iter().map(cluster).collect::<Result<Clusters>>()?;
        let trace = Trace::of(text, &clusters);
        Ok(Read { clusters, defaults: read.defaults, trace })
    }

    /// The scheduler's settings follow the file from now on, as long as what is returned runs.
    pub fn follow(&self, config: &mut gridflow_scheduler::Config) -> Result<Watch> {
        let last = self.read()?;
        let (clusters, later_clusters) = watch::channel(Arc::new(last.clusters.clone()));
        let (defaults, later_defaults) = watch::channel(last.defaults.clone());
        config.clusters = later_clusters;
        config.defaults = later_defaults;
        Ok(Watch { args: self.clone(), last, clusters, defaults })
    }
}

impl Watch {
    /// Never ends. What can't be used is said once, and changes nothing.
    pub async fn run(mut self) {
        let Some(path) = self.args.kubernetes.clone() else { return std::future::pending().await };
        let mut ticks = interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut refused = None;
        loop {
            ticks.tick().await;
            // Files may lie on a network.
            let (seen, known) = (path.clone(), self.last.clusters.clone());
            let look = tokio::task::spawn_blocking(move || {
                fs::read_to_string(&seen).map(|text| Trace::of(text, &known)).unwrap_or_default()
            });
            let Ok(trace) = look.await else { continue };
            if trace == self.last.trace || refused.as_ref() == Some(&trace) {
                continue;
            }
            refused = match self.take().await {
                Ok(()) => None,
                Err(failure) => {
                    tracing::error!("the clusters stay as they were: {}", failure.text());
                    Some(trace)
                }
            };
        }
    }

    async fn take(&mut self) -> Result<()> {
        let read = self.args.read()?;
        for cluster in &read.clusters {
            kubernetes::try_access(&cluster.reach).await.map_err(|error| {
                Failure::user(format!("cannot use the cluster `{}`", cluster.reach.name)).because(&error)
            })?;
        }
        if read.clusters != self.last.clusters || read.trace.access != self.last.trace.access {
            self.clusters.send_replace(Arc::new(read.clusters.clone()));
        }
        if read.defaults != self.last.defaults {
            self.defaults.send_replace(read.defaults.clone());
        }
        self.last = read;
        Ok(())
    }
}

impl Trace {
    fn of(text: String, clusters: &[Cluster]) -> Self {
        let access = clusters.iter().map(|cluster| kubernetes::fingerprint(&cluster.reach.access)).collect();
        Self { text, access }
    }
}

fn cluster(read: clusters::Cluster) -> Result<Cluster> {
    let clusters::Cluster { name, access, namespaces, image, task_image, service_account, pod, spark, .. } = read;
    let Keep { succeeded, failed } = read.keep;
    let reach = kubernetes::ClusterConfig {
        access: reached_by(access)?,
        namespaces: namespaces.into_iter().map(Into::into).collect(),
        keep: kubernetes::Keep { succeeded, failed },
        unschedulable_after: read.unschedulable_after,
        ..kubernetes::ClusterConfig::new(&name, kubernetes::Access::InCluster, &[])
    };
    Ok(Cluster { reach, image, task_image, service_account, pod, spark })
}

fn reached_by(access: Access) -> Result<kubernetes::Access> {
    Ok(match access {
        Access::InCluster => kubernetes::Access::InCluster,
        Access::Kubeconfig { path, context } => {
            let path = path.or_else(kubeconfig).ok_or_else(|| {
                Failure::user("there is no kubeconfig").help("name one with `kubeconfig:` in the clusters file")
            })?;
            kubernetes::Access::Kubeconfig { path, context }
        }
    })
}

/// Where `kubectl` looks, too.
fn kubeconfig() -> Option<PathBuf> {
    let named = env::var_os("KUBECONFIG").filter(|path| !path.is_empty()).map(PathBuf::from);
    named.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".kube/config")))
}
