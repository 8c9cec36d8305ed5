//! The DAGs that a local run knows: its own, and those beside it that `trigger_dag` tasks name.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::{Path, PathBuf},
    sync::Arc,
};

use gridflow_core::{Dag, DagChanged, DagId, DagParts, DagVersionId, Event, Schedule, ScheduleCursor, Timetable};
use gridflow_dag_spec::CompiledDag;
use uuid::Uuid;

use crate::bundle::{Listing, LoadedDag, scan_once};

#[derive(Debug)]
pub(super) struct Dags {
    /// Where other DAGs are looked for.
    folder: PathBuf,
    /// Read when the first one is asked for.
    listing: Option<Listing>,
    by_id: BTreeMap<DagId, DagVersionId>,
    by_version: HashMap<DagVersionId, Version>,
}

#[derive(Debug, Clone)]
struct Version {
    compiled: Arc<CompiledDag>,
    definition: Arc<Dag>,
}

impl Dags {
    /// For a run of this file.
    pub fn beside(file: &Path) -> Self {
        let folder = file.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
        Self { folder: folder.to_owned(), listing: None, by_id: BTreeMap::new(), by_version: HashMap::new() }
    }

    pub fn compiled(&self, version: DagVersionId) -> Option<&Arc<CompiledDag>> {
        self.by_version.get(&version).map(|version| &version.compiled)
    }

    pub fn definition(&self, version: DagVersionId) -> Result<Arc<Dag>, String> {
        let version = self.by_version.get(&version).ok_or("the version is not of this run")?;
        Ok(Arc::clone(&version.definition))
    }

    /// Takes a DAG in; its version, and what the core must hear of it.
    pub fn add(&mut self, loaded: &LoadedDag) -> (DagVersionId, Vec<Event>) {
        let definition = Arc::new(without_schedule(&loaded.compiled.dag));
        let version = DagVersionId(Uuid::now_v7());
        self.by_id.insert(loaded.id().clone(), version);
        self.by_version
            .insert(version, Version { compiled: Arc::clone(&loaded.compiled), definition: Arc::clone(&definition) });
        // How large the pools of some installation are is not known here; parallelism bounds them all.
        let pools: BTreeSet<_> = definition.tasks().map(|(_, task)| task.pool.clone()).collect();
        let pools = pools.into_iter().map(|pool| Event::PoolChanged { pool, slots: None });
        let changed = DagChanged { version, definition, is_paused: false, cursor: ScheduleCursor::default() };
        (version, pools.chain([Event::DagChanged(changed)]).collect())
    }

    /// The DAG that a task wants to start, and what the core must hear of it if it is news.
    pub fn find(&mut self, dag: &DagId) -> Result<(DagVersionId, Vec<Event>), String> {
        if let Some(version) = self.by_id.get(dag) {
            return Ok((*version, Vec::new()));
        }
        let listing = self.listing.get_or_insert_with(|| scan_once(&self.folder));
        let Some(loaded) = listing.dags.iter().find(|loaded| loaded.id() == dag).cloned() else {
            return Err(missing(dag, &self.folder, listing));
        };
        Ok(self.add(&loaded))
    }
}

fn missing(dag: &DagId, folder: &Path, listing: &Listing) -> String {
    let mut text = format!("there is no DAG `{dag}` in `{}`, where a local run looks for it", folder.display());
    if let Some(error) = listing.diagnostics.iter().find(|diagnostic| diagnostic.is_error()) {
        text += &format!("; not all files there can be loaded, such as `{}`: {}", error.file, error.message);
    }
    text
}

/// The DAG as it is, but started by nobody else.
fn without_schedule(dag: &Dag) -> Dag {
    let parts = dag.parts().clone();
    let timetable = Timetable { schedule: Schedule::Manual, ..parts.timetable };
    Dag::new(DagParts { timetable, ..parts }).expect("a DAG without its schedule is still one")
}
