//! The executors of a term of leadership: who gets which order, and what they report.

use std::sync::Arc;

use gridflow_core::{AttemptId, ExecutorKind, RunKey};
use gridflow_executor::{kubernetes, local};
use gridflow_store::beside::Waits;
use tokio::sync::mpsc;

use crate::{
    Error,
    beside::{Beside, News},
    prepare::Launch,
};

/// The way to all of them.
#[derive(Debug)]
pub(crate) struct Executors {
    pub local: local::Handle,
    /// None: no cluster is configured.
    pub pods: Option<kubernetes::Handle>,
    /// What people are told of attempts.
    pub beside: Arc<Beside>,
}

/// What one of them told.
#[derive(Debug)]
pub(crate) enum Report {
    Local(local::Report),
    Pod(kubernetes::Report),
}

/// What all of them tell.
#[derive(Debug)]
pub(crate) struct Reports {
    pub local: mpsc::Receiver<local::Report>,
    pub pods: Option<mpsc::Receiver<kubernetes::Report>>,
}

impl Executors {
    pub async fn launch(&self, launches: Vec<Launch>) -> Result<(), Error> {
        let (mut processes, mut pods) = (Vec::new(), Vec::new());
        for launch in launches {
            match launch {
                Launch::Process(launch) => processes.push(*launch),
                Launch::Pod(launch) => pods.push(*launch),
            }
        }
        if !processes.is_empty() {
            self.local.launch(processes).await?;
        }
        launch_pods(self.pods.as_ref(), &self.beside.waits, pods).await
    }

    pub async fn confirm(&self, claims: Vec<(RunKey, AttemptId, Arc<str>)>) -> Result<(), Error> {
        match &self.pods {
            Some(handle) if !claims.is_empty() => handle.confirm(claims).await?,
            Some(_) => {}
            None => claims.iter().for_each(|(run, attempt, _)| out_of_reach(&self.beside.waits, *run, *attempt)),
        }
        Ok(())
    }

    pub async fn cancel(&self, attempts: Vec<(ExecutorKind, RunKey, AttemptId)>) -> Result<(), Error> {
        let (processes, pods): (Vec<_>, Vec<_>) =
            attempts.into_iter().partition(|(executor, ..)| executor.is_bound_to_node());
        let named = |attempts: Vec<(ExecutorKind, RunKey, AttemptId)>| {
            attempts.into_iter().map(|(_, run, attempt)| (run, attempt)).collect::<Vec<_>>()
        };
        if !processes.is_empty() {
            self.local.cancel(named(processes)).await?;
        }
        match &self.pods {
            Some(handle) if !pods.is_empty() => handle.cancel(named(pods)).await?,
            Some(_) => {}
            None => pods.iter().for_each(|(_, run, attempt)| out_of_reach(&self.beside.waits, *run, *attempt)),
        }
        Ok(())
    }

    /// Of whom nobody knows the executor any more, all are told.
    pub async fn acknowledge(&self, ended: Vec<(Option<ExecutorKind>, RunKey, AttemptId)>) -> Result<(), Error> {
        let of = |is_theirs: fn(ExecutorKind) -> bool| {
            let theirs = ended.iter().filter(move |(executor, ..)| executor.is_none_or(is_theirs));
            theirs.map(|(_, run, attempt)| (*run, *attempt)).collect::<Vec<_>>()
        };
        let processes = of(ExecutorKind::is_bound_to_node);
        if !processes.is_empty() {
            self.local.acknowledge(processes.into_iter().map(|(_, attempt)| attempt).collect()).await?;
        }
        let pods = of(|executor| !executor.is_bound_to_node());
        match &self.pods {
            Some(handle) if !pods.is_empty() => Ok(handle.acknowledge(pods).await?),
            Some(_) | None => Ok(()),
        }
    }
}

async fn launch_pods(
    handle: Option<&kubernetes::Handle>,
    waits: &News<Waits>,
    pods: Vec<kubernetes::Launch>,
) -> Result<(), Error> {
    match handle {
        Some(handle) if !pods.is_empty() => handle.launch(pods).await?,
        Some(_) => {}
        None => pods.iter().for_each(|launch| out_of_reach(waits, launch.run, launch.attempt)),
    }
    Ok(())
}

/// Its state and its slots stay as they are until a cluster is configured again.
fn out_of_reach(waits: &News<Waits>, run: RunKey, attempt: AttemptId) {
    tracing::error!(
        attempt.id = %attempt,
        "an attempt belongs to a cluster, and this scheduler was started without `--kubernetes`: it can't be started, \
         watched or ended"
    );
    // If it runs, that shows; if it has not begun, this is why.
    let reason = "it belongs to a Kubernetes cluster, and the scheduler was started without `--kubernetes`";
    waits.tell(Waits { run, attempt, has_started: false, reason: Some(reason.into()) });
}

impl Reports {
    pub fn is_empty(&self) -> bool {
        self.local.is_empty() && self.pods.as_ref().is_none_or(mpsc::Receiver::is_empty)
    }

    /// What waits already.
    pub fn try_recv(&mut self) -> Option<Report> {
        if let Ok(report) = self.local.try_recv() {
            return Some(Report::Local(report));
        }
        self.pods.as_mut()?.try_recv().ok().map(Report::Pod)
    }

    /// The next one; an error when an executor has ended, which none does by itself. May be dropped while it waits.
    pub async fn recv(&mut self) -> Result<Report, Error> {
        let Self { local, pods } = self;
        tokio::select! {
            report = local.recv() => report.map(Report::Local).ok_or_else(|| local::Error::Stopped.into()),
            report = next_of(pods) => report.map(Report::Pod).ok_or_else(|| kubernetes::Error::Stopped.into()),
        }
    }
}

async fn next_of(pods: &mut Option<mpsc::Receiver<kubernetes::Report>>) -> Option<kubernetes::Report> {
    match pods {
        Some(pods) => pods.recv().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn a_launch_for_a_cluster_that_nobody_configured_is_not_dropped_in_silence() {
        let (run, attempt) = (RunKey(Uuid::from_u128(5)), AttemptId(Uuid::from_u128(7)));
        let launch = kubernetes::Launch::sample(run, attempt, kubernetes::Object::Pod(Value::Null));
        let waits = News::default();
        launch_pods(None, &waits, vec![launch]).await.unwrap();
        let told = waits.take();
        let [Waits { attempt, reason: Some(reason), .. }] = &told[..] else { panic!("{told:?}") };
        assert_eq!(*attempt, AttemptId(Uuid::from_u128(7)));
        assert!(reason.contains("started without `--kubernetes`"), "{reason}");
    }
}
