//! Compiled DAG versions: of the folder as it is now, and of the database as runs are pinned to it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use gridflow_core::DagVersionId;
use gridflow_dag_spec::CompiledDag;
use gridflow_store::{Reader, dag_version::VersionSource};

use crate::Error;

/// Versions that are neither current nor in use are dropped above this many.
const IDLE_MAX: usize = 256;

#[derive(Debug, Default)]
pub(crate) struct VersionCache {
    compiled: HashMap<DagVersionId, Arc<CompiledDag>>,
    /// Those that are not some DAG's current version, oldest first.
    idle: std::collections::VecDeque<DagVersionId>,
}

impl VersionCache {
    pub fn get(&self, version: DagVersionId) -> Option<&Arc<CompiledDag>> {
        self.compiled.get(&version)
    }

    /// A version that a DAG has now. An overwritten version replaces what was known under its id.
    pub fn set_current(&mut self, version: DagVersionId, compiled: Arc<CompiledDag>) {
        self.compiled.insert(version, compiled);
    }

    /// The version, compiled from the database if need be. The inner error is for people: this
    /// program can't read what an earlier one stored.
    pub async fn load(
        &mut self,
        reader: &mut Reader,
        version: DagVersionId,
    ) -> Result<Result<Arc<CompiledDag>, String>, Error> {
        if let Some(compiled) = self.compiled.get(&version) {
            return Ok(Ok(Arc::clone(compiled)));
        }
        Ok(match gridflow_store::dag_version::source(reader, version).await? {
            Some(source) => compile(&source).inspect(|compiled| self.keep_idle(version, compiled)),
            None => Err(format!("the DAG version {version} is not in the database")),
        })
    }

    fn keep_idle(&mut self, version: DagVersionId, compiled: &Arc<CompiledDag>) {
        self.compiled.insert(version, Arc::clone(compiled));
        self.idle.push_back(version);
        if IDLE_MAX < self.idle.len()
            && let Some(oldest) = self.idle.pop_front()
        {
            // A run that still needs it compiles it again.
            self.compiled.remove(&oldest);
        }
    }
}

/// Compiles a stored version; its bytes were good once, so an error means a newer language.
pub(crate) fn compile(source: &VersionSource) -> Result<Arc<CompiledDag>, String> {
    let files: BTreeMap<String, Arc<[u8]>> =
        source.files.iter().map(|file| (file.path.clone(), Arc::clone(&file.content))).collect();
    let compilation = gridflow_dag_spec::compile(&source.file, source.yaml.as_bytes(), &files);
    compilation.dag.ok_or_else(|| {
        let first = gridflow_dag_spec::render_text(&compilation.diagnostics);
        format!("version {} of `{}` can't be compiled by this program: {first}", source.number, source.dag)
    })
}
