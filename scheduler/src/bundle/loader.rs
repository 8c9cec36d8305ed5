//! Looks at the folder, compiles what changed and nothing else.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs::File,
    io::Read,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::SystemTime,
};

use gridflow_dag_spec::{BUNDLE_FILE, Code, Diagnostic, FILE_BYTES_MAX, FileError, YAML_BYTES_MAX};
use gridflow_failpoint::{Point, reach};

use super::{
    candidate,
    change::BundleChange,
    compile::{compile_in, unreadable},
    files::{self, Dependency},
    snapshot::{FileState, Gap, LoadedDag, Snapshot},
    walk::{Limits, plain, walk},
};
use crate::folder::{Stamp, Told};

/// Compiling is CPU work beside everything else that the process does.
const THREADS_MAX: usize = 8;

/// What is known of a folder from the last look.
#[derive(Debug)]
pub(crate) struct Loader {
    root: PathBuf,
    limits: Limits,
    /// What the server says for all DAGs.
    server: Option<Arc<[u8]>>,
    entries: BTreeMap<Arc<str>, Entry>,
    gaps: Vec<Gap>,
}

#[derive(Debug, Clone)]
struct Entry {
    stamp: Stamp,
    /// None: it could not be read.
    hash: Option<blake3::Hash>,
    dependencies: BTreeMap<PathBuf, Dependency>,
    state: FileState,
    /// False: it was read so soon after a change that another one might hide behind its stamp.
    is_settled: bool,
}

/// What one look found.
#[derive(Debug, Default)]
pub(crate) struct Look {
    pub snapshot: Snapshot,
    /// Whether the snapshot differs from the last one.
    pub is_changed: bool,
    /// Folders that DAGs or files they refer to are in.
    pub dirs: HashSet<PathBuf>,
    /// Files that DAGs refer to, there or not, and folders whose files count.
    pub dependencies: HashSet<PathBuf>,
    /// Some file must be looked at again soon, although nothing may be reported.
    pub is_unsettled: bool,
    /// How many files were compiled.
    pub compiled: usize,
    pub told: Told,
}

impl Loader {
    pub fn new(root: PathBuf, limits: Limits) -> Self {
        Self { root, limits, server: None, entries: BTreeMap::new(), gaps: Vec::new() }
    }

    /// Has the next look compile everything anew, if these are other defaults.
    pub fn set_server_defaults(&mut self, server: Option<Arc<[u8]>>) {
        if self.server != server {
            self.server = server;
            self.entries.clear();
        }
    }

    /// Looks at the whole folder. Costs a `stat` per file; only what changed is read.
    pub fn look(&mut self) -> Look {
        reach(Point::FolderRead);
        // Each time anew: a deployment may replace the folder by pointing a link elsewhere.
        let (root, found) = match self.root.canonicalize() {
            Ok(root) => {
                let found = walk(&root, &self.limits);
                (root, found)
            }
            Err(error) => return self.look_in_vain(&error),
        };
        let count_before = self.entries.len();
        self.entries.retain(|path, _| found.files.contains_key(path));
        let mut is_changed = self.entries.len() != count_before;

        let mut stamps = Stamps::default();
        let is_stale = |(path, stamp): &(&Arc<str>, &Stamp)| {
            !self.entries.get(*path).is_some_and(|entry| entry.is_current(**stamp, &mut stamps))
        };
        let stale: Vec<_> = found.files.iter().filter(is_stale).map(|(path, stamp)| (path.clone(), *stamp)).collect();
        let outside = (root.as_path(), self.server.as_ref());
        let loaded = in_parallel(&stale, |(path, stamp)| load(outside, path, *stamp, self.entries.get(path)));
        let compiled = loaded.iter().filter(|(_, is_compiled)| *is_compiled).count();
        is_changed |= 0 < compiled || self.gaps != found.gaps;
        self.entries.extend(stale.into_iter().map(|(path, _)| path).zip(loaded.into_iter().map(|(entry, _)| entry)));
        self.gaps.clone_from(&found.gaps);

        let mut dependencies = HashSet::new();
        let mut dirs = found.dirs;
        for (path, dependency) in self.entries.values().flat_map(|entry| &entry.dependencies) {
            if dependencies.insert(path.clone()) {
                dirs.extend(path.parent().map(Path::to_owned));
                dirs.extend(dependency.is_folder.then(|| path.clone()));
            }
        }
        Look {
            snapshot: self.snapshot(),
            is_changed,
            dirs,
            dependencies,
            is_unsettled: self.entries.values().any(|entry| !entry.is_settled),
            compiled,
            told: Told::about(&root),
        }
    }

    fn snapshot(&self) -> Snapshot {
        let files = self.entries.iter().map(|(path, entry)| (path.clone(), entry.state.clone())).collect();
        Snapshot { files, gaps: self.gaps.clone() }
    }

    /// The folder itself is not there: nothing is known, so nothing is given up either.
    fn look_in_vain(&mut self, error: &std::io::Error) -> Look {
        let message = format!("cannot read the folder of DAGs `{}`: {}", self.root.display(), plain(error));
        let diagnostic = Diagnostic::of_file(".", Code::FileUnreadable, message)
            .help("the DAGs stay as they were; it is read again as soon as it is there");
        let gaps = vec![Gap::root(diagnostic)];
        self.entries.clear();
        let is_changed = self.gaps != gaps;
        self.gaps = gaps;
        Look { snapshot: self.snapshot(), is_changed, ..Look::default() }
    }
}

impl Entry {
    fn is_current(&self, stamp: Stamp, stamps: &mut Stamps) -> bool {
        self.is_settled
            && self.stamp == stamp
            && self.dependencies.iter().all(|(path, dependency)| stamps.of(path) == dependency.stamp)
    }
}

/// Stamps of one look, so that a script of a thousand DAGs is looked at once.
#[derive(Default)]
struct Stamps(HashMap<PathBuf, Option<Stamp>>);

impl Stamps {
    fn of(&mut self, path: &Path) -> Option<Stamp> {
        if let Some(stamp) = self.0.get(path) {
            return *stamp;
        }
        let stamp = files::stamp(path);
        self.0.insert(path.to_owned(), stamp);
        stamp
    }
}

/// Reads one file and compiles it, unless its bytes and those it refers to are the same as before.
/// Says whether it was compiled.
fn load(outside: (&Path, Option<&Arc<[u8]>>), path: &Arc<str>, stamp: Stamp, before: Option<&Entry>) -> (Entry, bool) {
    let (root, _) = outside;
    let began_at = SystemTime::now();
    let absolute = root.join(&**path);
    let (hash, state, dependencies) = match files::read(root, &absolute, YAML_BYTES_MAX as u64) {
        Ok(bytes) => {
            let hash = blake3::hash(&bytes);
            if let Some(same) = before.and_then(|before| unchanged(root, stamp, hash, before, began_at)) {
                return (same, false);
            }
            match candidate::is_dag(&bytes) {
                true => {
                    let (state, dependencies) = compile_in(outside, path, &bytes);
                    (Some(hash), state, dependencies)
                }
                false => (Some(hash), FileState::Ignored, BTreeMap::new()),
            }
        }
        Err(FileError::TooLarge) if !starts_as_dag(&absolute) => (None, FileState::Ignored, BTreeMap::new()),
        Err(error) => (None, FileState::Broken([unreadable(path, &error)].into()), BTreeMap::new()),
    };
    (settle(Entry { stamp, hash, dependencies, state, is_settled: true }, began_at), true)
}

/// The old entry with new stamps, where the bytes are the same: a fresh checkout or a `touch`.
fn unchanged(root: &Path, stamp: Stamp, hash: blake3::Hash, before: &Entry, began_at: SystemTime) -> Option<Entry> {
    if before.hash != Some(hash) {
        return None;
    }
    let mut dependencies = BTreeMap::new();
    for (path, dependency) in &before.dependencies {
        let now = dependency.again(root, path, FILE_BYTES_MAX);
        // Most bundles have none.
        if now.stamp.is_none() && dependency.stamp.is_none() && *path == root.join(BUNDLE_FILE) {
            dependencies.insert(path.clone(), now);
            continue;
        }
        // Of what could not be read, only the attempt to compile tells what is wrong now.
        if now.hash.is_none() || now.hash != dependency.hash {
            return None;
        }
        dependencies.insert(path.clone(), now);
    }
    let entry = Entry { stamp, hash: Some(hash), dependencies, state: before.state.clone(), is_settled: true };
    Some(settle(entry, began_at))
}

/// Notes whether what was read since `began_at` may have changed again without a trace.
fn settle(mut entry: Entry, began_at: SystemTime) -> Entry {
    let now = SystemTime::now();
    let stamps = entry.dependencies.values().filter_map(|dependency| dependency.stamp);
    entry.is_settled = !stamps.chain([entry.stamp]).any(|stamp| stamp.is_fresh(began_at, now));
    entry
}

/// Whether a file too large to be one looks like a DAG.
fn starts_as_dag(path: &Path) -> bool {
    let mut start = Vec::new();
    let read = File::open(path).and_then(|file| file.take(YAML_BYTES_MAX as u64).read_to_end(&mut start));
    read.is_ok() && candidate::is_dag(&start)
}

/// Does the same with each item on a few threads; results in the order of the items.
fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get).min(THREADS_MAX).min(items.len());
    if threads <= 1 {
        return items.iter().map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<(usize, R)>> = Mutex::new(Vec::with_capacity(items.len()));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((index, item)) = take(&next, items) {
                    let result = work(item);
                    results.lock().expect("nobody panics while holding it").push((index, result));
                }
            });
        }
    });
    let mut results = results.into_inner().expect("nobody panics while holding it");
    results.sort_unstable_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

fn take<'a, T>(next: &AtomicUsize, items: &'a [T]) -> Option<(usize, &'a T)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    items.get(index).map(|item| (index, item))
}

/// What a folder holds, for a command that looks once.
#[derive(Debug)]
pub struct Listing {
    /// By DAG id.
    pub dags: Vec<Arc<LoadedDag>>,
    /// YAML files that are no DAGs, relative to the folder.
    pub ignored: Vec<Arc<str>>,
    /// What is wrong with the others, and the warnings of the DAGs. They name files by paths that begin as the folder
    /// was given.
    pub diagnostics: Vec<Diagnostic>,
}

/// Looks at a folder once.
pub fn scan_once(dir: &Path) -> Listing {
    let snapshot = Loader::new(dir.to_owned(), Limits::default()).look().snapshot;
    let change = BundleChange::between(&BTreeMap::new(), &snapshot);
    let is_ignored = |state: &FileState| match state {
        FileState::Ignored => true,
        FileState::Dag(_) | FileState::Broken(_) => false,
    };
    let ignored = snapshot.files.iter().filter(|(path, state)| is_ignored(state) && &***path != BUNDLE_FILE);
    let ignored = ignored.map(|(path, _)| path.clone()).collect();
    let errors = change.import_errors.into_values().flat_map(|error| error.diagnostics);
    let warnings = change.changed.iter().flat_map(|dag| dag.compiled.warnings.iter().cloned());
    let mut diagnostics: Vec<_> = errors.chain(warnings).collect();
    // What is wrong with the bundle's own file is wrong for each of its DAGs, and said once.
    let mut of_bundle = Vec::new();
    diagnostics.retain(|diagnostic| {
        let is_new = &*diagnostic.file != BUNDLE_FILE || !of_bundle.contains(diagnostic);
        if is_new && &*diagnostic.file == BUNDLE_FILE {
            of_bundle.push(diagnostic.clone());
        }
        is_new
    });
    for diagnostic in &mut diagnostics {
        diagnostic.file = dir.join(&*diagnostic.file).to_string_lossy().into();
    }
    Listing { dags: change.changed, ignored, diagnostics }
}
