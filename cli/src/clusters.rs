//! The clusters file: where pods run.

use std::{env, fs, path::PathBuf};

use gridflow_dag_spec::{
    clusters::{self, Access, Keep},
    render_text,
};
use gridflow_executor::kubernetes;
use gridflow_scheduler::Cluster;

use crate::failure::{Failure, Result, say};

pub const CLUSTERS_FILE: &str = "GRIDFLOW__KUBERNETES__FILE";

#[derive(Debug, clap::Args)]
pub struct ClustersArgs {
    /// File of the Kubernetes clusters that tasks may run in; without it, pods are refused. See docs/kubernetes.md
    #[arg(long, env = CLUSTERS_FILE, value_name = "FILE")]
    kubernetes: Option<PathBuf>,
}

impl ClustersArgs {
    /// The clusters, the default one first; none without a file.
    pub fn read(&self) -> Result<Vec<Cluster>> {
        let Some(path) = &self.kubernetes else { return Ok(Vec::new()) };
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
        read.clusters.into_iter().map(cluster).collect()
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
