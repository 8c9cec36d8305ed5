//! What an installation has in its clusters, taken away: for its end, when no scheduler runs any more.
//!
//! A finalizer outlives whoever would take it off, and holds pods, and the namespace they are in, for ever.

use std::sync::Arc;

use gridflow_core::InstallationId;

use super::{
    super::{
        attempt::{Condition, Deleted, Refused},
        config::Config,
        gone, identity,
        pod::{Pod, Role},
    },
    Error,
    access::Cluster,
    call,
};

/// What becomes of pods that run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Running {
    Leave,
    /// With the grace that they were given.
    End,
}

/// One object that was there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cleaned {
    pub cluster: Arc<str>,
    pub namespace: Arc<str>,
    pub name: String,
    pub what: Became,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Became {
    Deleted,
    /// It runs, and nobody said that it may be ended.
    Left,
    /// Try again.
    Failed(String),
}

/// Deletes pods and applications of an installation, and takes its finalizer off; secrets go with what owns them.
pub async fn clean(config: &Config, running: Running) -> Result<Vec<Cleaned>, Error> {
    let mut cleaned = Vec::new();
    for cluster_config in &config.clusters {
        let cluster = Cluster::open(cluster_config).await?;
        for namespace in &cluster_config.namespaces {
            let found = clean_namespace(&cluster, namespace, config.installation, running).await;
            cleaned.extend(found.into_iter().map(|(name, what)| Cleaned {
                cluster: cluster.name.clone(),
                namespace: namespace.clone(),
                name,
                what,
            }));
        }
    }
    Ok(cleaned)
}

async fn clean_namespace(
    cluster: &Cluster,
    namespace: &str,
    installation: InstallationId,
    running: Running,
) -> Vec<(String, Became)> {
    let mut cleaned = Vec::new();
    // First those that would make pods again.
    match call::list_applications(cluster, namespace, installation).await {
        Ok(attempts) => {
            for attempt in attempts {
                let what = match running {
                    Running::Leave => Became::Left,
                    Running::End => became(call::drop_application(cluster, installation, namespace, attempt).await),
                };
                cleaned.push((identity::name(attempt), what));
            }
        }
        Err(reason) => cleaned.push(("sparkapplications".to_owned(), Became::Failed(reason))),
    }
    match call::list_pods(cluster, namespace, installation).await {
        Ok(pods) => {
            for pod in pods {
                let what = clean_pod(cluster, namespace, &pod, running).await;
                cleaned.push((pod.name.to_string(), what));
            }
        }
        Err(reason) => cleaned.push(("pods".to_owned(), Became::Failed(reason))),
    }
    cleaned
}

fn became(refused: Refused<()>) -> Became {
    match refused {
        Refused::Done(()) | Refused::Missing => Became::Deleted,
        Refused::Invalid(reason) | Refused::Later(reason) => Became::Failed(reason),
    }
}

async fn clean_pod(cluster: &Cluster, namespace: &str, pod: &Pod, running: Running) -> Became {
    let may_run = !pod.is_unconfirmed() && !gone::is_reported(pod) && pod.deletion.is_none();
    if may_run && running == Running::Leave {
        return Became::Left;
    }
    if pod.mark.role == Role::Helper {
        // It goes with its driver.
        return Became::Deleted;
    }
    let condition = if pod.is_unconfirmed() {
        Condition::Unconfirmed { uid: pod.uid.clone(), version: pod.version.to_string() }
    } else {
        Condition::Uid(pod.uid.clone())
    };
    // The deletion first: without a finalizer, what is deleted with grace ends as any pod does.
    match call::delete(cluster, namespace, &pod.name, &condition, pod.mark.grace_s).await {
        Deleted::Asked if pod.is_guarded => became(call::release(cluster, namespace, &pod.name, &pod.uid).await),
        Deleted::Asked | Deleted::Missing => Became::Deleted,
        Deleted::Changed(_) => Became::Failed("it has just changed".to_owned()),
        Deleted::Later(reason) => Became::Failed(reason),
    }
}
