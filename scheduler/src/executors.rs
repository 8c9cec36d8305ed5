//! The executors of a term of leadership: who gets which order, and what they report.

use gridflow_core::{AttemptId, ExecutorKind, RunKey};
use gridflow_executor::{kubernetes, local};
use tokio::sync::mpsc;

use crate::{Error, prepare::Launch};

/// The way to all of them.
#[derive(Debug)]
pub(crate) struct Executors {
    pub local: local::Handle,
    /// None: no cluster is configured.
    pub pods: Option<kubernetes::Handle>,
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
        if !pods.is_empty()
            && let Some(handle) = &self.pods
        {
            handle.launch(pods).await?;
        }
        Ok(())
    }

    pub async fn confirm(&self, claims: Vec<(RunKey, AttemptId, std::sync::Arc<str>)>) -> Result<(), Error> {
        match &self.pods {
            Some(handle) if !claims.is_empty() => Ok(handle.confirm(claims).await?),
            Some(_) => Ok(()),
            None => {
                claims.iter().for_each(|(_, attempt, _)| out_of_reach(*attempt));
                Ok(())
            }
        }
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
            None => pods.iter().for_each(|(_, _, attempt)| out_of_reach(*attempt)),
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

/// Its state and its slots stay as they are until a cluster is configured again.
fn out_of_reach(attempt: AttemptId) {
    tracing::error!(
        attempt.id = %attempt,
        "an attempt runs in a cluster, and this scheduler was started without `--kubernetes`: it can't be watched"
    );
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
