//! What must be published, given what is published and what the folder holds.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
};

use gridflow_core::DagId;
use gridflow_dag_spec::{Code, Diagnostic};

use super::{
    snapshot::{FileState, LoadedDag, Snapshot},
    walk::IGNORE_FILE,
};

/// The published version of a DAG, as far as the folder can differ from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Relative to the root of the bundle.
    pub file: Arc<str>,
    /// Over the YAML and every file it refers to.
    pub hash: [u8; 32],
}

/// What one look at the folder changes.
#[derive(Debug, Clone, Default)]
pub struct BundleChange {
    /// New DAGs, new versions, and DAGs that moved to another file.
    pub changed: Vec<Arc<LoadedDag>>,
    /// DAGs whose file is gone, in the order of their ids.
    pub removed: Vec<DagId>,
    /// All import errors there are now, by file. Those not named are gone.
    pub import_errors: BTreeMap<Arc<str>, ImportError>,
}

/// A file that can't be loaded as it is now. Its last good version stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportError {
    /// The DAG whose last good version came from this file, or that the file claims.
    pub dag: Option<DagId>,
    /// At least one.
    pub diagnostics: Vec<Diagnostic>,
}

impl ImportError {
    /// The first diagnostic in one line, for lists.
    pub fn message(&self) -> String {
        let Some(first) = self.diagnostics.first() else { return String::new() };
        let more = match self.diagnostics.len() - 1 {
            0 => String::new(),
            1 => " (and 1 more)".to_owned(),
            more => format!(" (and {more} more)"),
        };
        format!("{} line {}: {}{more}", first.code, first.line, first.message)
    }
}

impl BundleChange {
    /// Compares a folder with what is published from it.
    ///
    /// A DAG keeps its published version while its file is broken or can't be looked at. Of
    /// several files with one DAG id, the one that is published keeps it, else the first by path.
    pub fn between(published: &BTreeMap<DagId, Published>, snapshot: &Snapshot) -> Self {
        let mut change = Self { import_errors: errors_of(snapshot), ..Self::default() };
        let mut owners: BTreeMap<&DagId, &Arc<LoadedDag>> = BTreeMap::new();
        let held = held(published, snapshot, &mut change.import_errors);
        for loaded in snapshot.files.values().filter_map(dag_of) {
            match held.get(loaded.id()) {
                Some(file) => change.add_conflict(loaded, file),
                None => match owners.entry(loaded.id()) {
                    Entry::Vacant(entry) => _ = entry.insert(loaded),
                    Entry::Occupied(mut entry) => {
                        let is_live = published.get(loaded.id()).is_some_and(|live| live.file == loaded.path);
                        let other = if is_live { entry.insert(loaded) } else { loaded };
                        let owner = *entry.get();
                        change.add_conflict(other, &owner.path);
                    }
                },
            }
        }
        let is_new = |loaded: &Arc<LoadedDag>| {
            published.get(loaded.id()).is_none_or(|live| live.hash != loaded.hash() || live.file != loaded.path)
        };
        change.changed = owners.values().filter(|loaded| is_new(loaded)).map(|loaded| Arc::clone(loaded)).collect();
        let is_gone = |dag: &DagId| !owners.contains_key(dag) && !held.contains_key(dag);
        change.removed = published.keys().filter(|dag| is_gone(dag)).cloned().collect();
        change
    }

    /// Whether there is nothing to publish. Import errors are compared with those of the last time.
    pub fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.removed.is_empty()
    }

    fn add_conflict(&mut self, loser: &LoadedDag, owner: &str) {
        let dag = loser.id();
        let diagnostic = Diagnostic::of_file(
            &loser.path,
            Code::DuplicateDag,
            format!("`{}` and `{owner}` both define the DAG `{dag}`", loser.path),
        )
        .help(format!("`{owner}` keeps it: give this one another `dag:`, or remove one of the files"));
        self.import_errors
            .insert(loser.path.clone(), ImportError { dag: Some(dag.clone()), diagnostics: vec![diagnostic] });
    }
}

fn dag_of(state: &FileState) -> Option<&Arc<LoadedDag>> {
    match state {
        FileState::Dag(loaded) => Some(loaded),
        FileState::Broken(_) | FileState::Ignored => None,
    }
}

fn errors_of(snapshot: &Snapshot) -> BTreeMap<Arc<str>, ImportError> {
    let mut errors: BTreeMap<Arc<str>, ImportError> = BTreeMap::new();
    for gap in &snapshot.gaps {
        let error = errors.entry(gap.diagnostic.file.clone()).or_insert(ImportError { dag: None, diagnostics: vec![] });
        error.diagnostics.push(gap.diagnostic.clone());
    }
    for (path, state) in &snapshot.files {
        match state {
            FileState::Broken(diagnostics) => {
                errors.insert(path.clone(), ImportError { dag: None, diagnostics: diagnostics.to_vec() });
            }
            FileState::Dag(_) | FileState::Ignored => {}
        }
    }
    errors
}

/// Published DAGs whose file still stands for them although it can't be loaded now, with that file.
fn held<'a>(
    published: &'a BTreeMap<DagId, Published>,
    snapshot: &Snapshot,
    errors: &mut BTreeMap<Arc<str>, ImportError>,
) -> BTreeMap<&'a DagId, &'a str> {
    let mut held = BTreeMap::new();
    for (dag, live) in published {
        let is_held = match snapshot.files.get(&live.file) {
            Some(FileState::Dag(_)) => false,
            Some(FileState::Broken(_)) => true,
            // Half-saved, or a slip in the key `tasks`: too little to take a DAG away.
            Some(FileState::Ignored) => {
                errors
                    .insert(live.file.clone(), ImportError { dag: None, diagnostics: vec![no_tasks(&live.file, dag)] });
                true
            }
            None => snapshot.gaps.iter().any(|gap| gap.hides(&live.file)),
        };
        if is_held {
            held.insert(dag, &*live.file);
            if let Some(error) = errors.get_mut(&live.file) {
                error.dag = Some(dag.clone());
            }
        }
    }
    held
}

fn no_tasks(file: &str, dag: &DagId) -> Diagnostic {
    Diagnostic::of_file(file, Code::NoTasks, "the file has no top-level `tasks:` any more".to_owned()).help(format!(
        "its last good version stays active; to take the DAG `{dag}` away, remove the file or name it in a `{IGNORE_FILE}`"
    ))
}
