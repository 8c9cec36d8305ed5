//! The whole truth about the folder at one moment.

use std::{collections::BTreeMap, sync::Arc};

use gridflow_core::DagId;
use gridflow_dag_spec::{CompiledDag, Diagnostic};

/// What every file of the folder is. Cheap to clone and to compare with what was there before.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// YAML files, by path relative to the root, in path order.
    pub files: BTreeMap<Arc<str>, FileState>,
    pub gaps: Vec<Gap>,
}

/// What a YAML file of the folder is.
#[derive(Debug, Clone)]
pub enum FileState {
    Dag(Arc<LoadedDag>),
    /// Meant to be a DAG, with at least one error.
    Broken(Arc<[Diagnostic]>),
    /// It has no top-level `tasks:`.
    Ignored,
}

/// A DAG that compiled.
#[derive(Debug)]
pub struct LoadedDag {
    /// Relative to the root of the bundle.
    pub path: Arc<str>,
    pub compiled: Arc<CompiledDag>,
}

impl LoadedDag {
    pub fn id(&self) -> &DagId {
        self.compiled.dag.id()
    }

    /// Over the YAML and every file it refers to: what makes a version.
    pub fn hash(&self) -> [u8; 32] {
        blake3::Hash::from_hex(&self.compiled.hash).expect("a compiled DAG has its hash in hex").into()
    }
}

/// Something that could not be looked at, and what that leaves unknown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// What lies at or below this path keeps its last state; empty: all of the folder.
    pub below: Arc<str>,
    pub diagnostic: Diagnostic,
}

impl Gap {
    pub(crate) fn root(diagnostic: Diagnostic) -> Self {
        Self { below: "".into(), diagnostic }
    }

    /// A problem of one file that leaves nothing else unknown.
    pub(crate) fn of_file(diagnostic: Diagnostic) -> Self {
        Self { below: diagnostic.file.clone(), diagnostic }
    }

    /// Whether the state of a path is unknown because of it.
    pub(crate) fn hides(&self, path: &str) -> bool {
        match path.strip_prefix(&*self.below) {
            Some(rest) => self.below.is_empty() || rest.is_empty() || rest.starts_with('/'),
            None => false,
        }
    }
}
