//! Why the scheduler, or one term of its leadership, ended.

use std::time::Duration;

use gridflow_core::{NodeId, Turn};
use gridflow_executor::{kubernetes, local};

use crate::quarantine::Culprit;

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("using the database")]
    Store(#[from] gridflow_store::Error),
    #[error("using the local executor")]
    Executor(#[from] local::Error),
    #[error("using the Kubernetes executor")]
    Kubernetes(#[from] kubernetes::Error),
    /// A bug: what it was about is set aside, and the term begins anew.
    #[error("a decision panicked: {message}")]
    Panicked { about: Vec<Culprit>, message: String },
    #[error(
        "the database went back in time: node {node} has seen turn {outside}, but the database ended with turn \
         {inside} at the last takeover"
    )]
    DatabaseBehind { node: NodeId, outside: Turn, inside: Turn },
    /// A task that should run as long as we do; a bug.
    #[error("{part} ended unexpectedly{}", why(panic.as_deref()))]
    PartEnded { part: &'static str, panic: Option<String> },
    /// A peer that is silent for so long is gone, whatever the connection says.
    #[error("no answer within {limit:?} while {doing}")]
    Silence { doing: &'static str, limit: Duration },
    /// Never outside tests.
    #[error(transparent)]
    Injected(#[from] gridflow_failpoint::Injected),
    #[error("reading or making `{}`", path.display())]
    StateDir {
        path: std::path::PathBuf,
        #[source]
        source: std::io::Error,
    },
}

impl Error {
    /// Whether no new try can mend it.
    pub(crate) fn is_for_a_person(&self) -> bool {
        match self {
            Self::StateDir { .. } | Self::Executor(local::Error::Foreign { .. }) => true,
            // Files that name no cluster: without them, pods of earlier terms would be out of sight.
            Self::Kubernetes(error) => !matches!(error, kubernetes::Error::Stopped),
            Self::Store(_)
            | Self::Executor(_)
            | Self::Panicked { .. }
            | Self::DatabaseBehind { .. }
            | Self::PartEnded { .. }
            | Self::Silence { .. }
            | Self::Injected(_) => false,
        }
    }
}

fn why(panic: Option<&str>) -> String {
    panic.map(|text| format!(": it panicked: {text}")).unwrap_or_default()
}
