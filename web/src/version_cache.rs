//! Compiled DAG versions, kept for the next request.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use gridflow_core::DagVersionId;
use gridflow_dag_spec::{CompiledDag, compile};
use gridflow_store::{
    Reader, api,
    dag_version::{self, VersionSource},
};

use crate::{
    error::{Error, Result},
    state::App,
};

/// Versions kept at most. The one that was asked for longest ago makes room.
const VERSIONS_MAX: usize = 128;

/// See [`VersionCache::of`].
#[derive(Debug, Default)]
pub struct VersionCache(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    by_id: HashMap<DagVersionId, Entry>,
    /// Counts requests: the age of an entry.
    clock: u64,
}

#[derive(Debug)]
struct Entry {
    hash: Vec<u8>,
    dag: Arc<CompiledDag>,
    used: u64,
}

impl VersionCache {
    fn get(&self, id: DagVersionId, hash: &[u8]) -> Option<Arc<CompiledDag>> {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.clock += 1;
        let clock = entries.clock;
        // A version without runs may be overwritten in place: the same id then has another hash.
        let entry = entries.by_id.get_mut(&id).filter(|entry| entry.hash == hash)?;
        entry.used = clock;
        Some(Arc::clone(&entry.dag))
    }

    fn put(&self, id: DagVersionId, hash: Vec<u8>, dag: Arc<CompiledDag>) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if VERSIONS_MAX <= entries.by_id.len() && !entries.by_id.contains_key(&id) {
            let oldest = entries.by_id.iter().min_by_key(|(_, entry)| entry.used).map(|(id, _)| *id);
            oldest.and_then(|oldest| entries.by_id.remove(&oldest));
        }
        let used = entries.clock;
        entries.by_id.insert(id, Entry { hash, dag, used });
    }
}

/// The compiled version of this id.
pub async fn compiled(app: &App, id: DagVersionId) -> Result<Arc<CompiledDag>> {
    let hash = api::dag_version::hash(&mut *app.conn().await?, id).await?;
    let hash = hash.ok_or_else(|| Error::NotFound(format!("the DAG version `{id}` is gone")))?;
    compiled_as(app, id, &hash).await
}

/// The compiled version of this id, if its hash is known to be this.
pub async fn compiled_as(app: &App, id: DagVersionId, hash: &[u8]) -> Result<Arc<CompiledDag>> {
    match app.versions.get(id, hash) {
        Some(dag) => Ok(dag),
        None => compiled_on(app, &mut app.conn().await?, id, hash).await,
    }
}

/// The same, for a handler that has a connection: one that waited for a second could wait for itself.
pub async fn compiled_on(app: &App, conn: &mut Reader, id: DagVersionId, hash: &[u8]) -> Result<Arc<CompiledDag>> {
    if let Some(dag) = app.versions.get(id, hash) {
        return Ok(dag);
    }
    let source = dag_version::source(conn, id).await?;
    let source = source.ok_or_else(|| Error::NotFound(format!("the DAG version `{id}` is gone")))?;
    let hash = source.hash.to_vec();
    // Large files take long enough to hold up other requests of this thread.
    let compiling = tokio::task::spawn_blocking(move || compile_source(&source));
    let dag = compiling.await.map_err(|error| Error::Internal(format!("compiling a DAG version: {error}")))??;
    app.versions.put(id, hash, Arc::clone(&dag));
    Ok(dag)
}

fn compile_source(source: &VersionSource) -> Result<Arc<CompiledDag>> {
    let files: BTreeMap<String, Arc<[u8]>> =
        source.files.iter().map(|file| (file.path.clone(), Arc::clone(&file.content))).collect();
    let compilation = compile(&source.file, source.yaml.as_bytes(), &files);
    // It was good when it was stored: only a newer release could be stricter.
    compilation.dag.ok_or_else(|| {
        let messages: Vec<_> = compilation.diagnostics.iter().map(|diagnostic| diagnostic.message.as_str()).collect();
        Error::Internal(format!(
            "the stored version of `{}` is not valid any more: {}",
            source.dag,
            messages.join("; ")
        ))
    })
}
