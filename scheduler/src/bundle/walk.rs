//! Which files are in the folder.

use std::{
    collections::{BTreeMap, HashSet},
    ffi::OsStr,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use gridflow_dag_spec::{Code, Diagnostic};
use ignore::{DirEntry, WalkBuilder};

use super::snapshot::Gap;
use crate::folder::Stamp;

/// The file that says what else is not looked at, in the syntax of `.gitignore`.
pub(crate) const IGNORE_FILE: &str = ".gridflowignore";

/// How much a folder of DAGs may hold.
#[derive(Debug, Clone)]
pub struct Limits {
    /// YAML files, DAGs or not. The largest installations known have some ten thousand.
    pub files_max: usize,
    /// Bytes of all YAML files.
    pub bytes_max: u64,
    /// Files and folders of any kind: above it the folder holds something else than DAGs.
    pub entries_max: usize,
    /// Folders within folders.
    pub depth_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { files_max: 50_000, bytes_max: 1 << 30, entries_max: 500_000, depth_max: 64 }
    }
}

/// What a walk found.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    /// YAML files by path relative to the root, in path order.
    pub files: BTreeMap<Arc<str>, Stamp>,
    /// The root and all folders below it that were looked into.
    pub dirs: HashSet<PathBuf>,
    pub gaps: Vec<Gap>,
}

/// Walks a canonical root.
///
/// Hidden files and folders are left out: version control, editors' swap files, the inner folders
/// of Kubernetes' volumes. Links are followed as long as they stay inside.
pub(crate) fn walk(root: &Path, limits: &Limits) -> Walk {
    let mut walk = Walk::default();
    let outside = Arc::new(Mutex::new(Vec::new()));
    let entries = WalkBuilder::new(root)
        .standard_filters(false)
        .hidden(true)
        .parents(false)
        .follow_links(true)
        .max_depth(Some(limits.depth_max))
        .add_custom_ignore_filename(IGNORE_FILE)
        .filter_entry({
            let (root, outside) = (root.to_owned(), outside.clone());
            move |entry| stays_inside(&root, entry, &outside)
        })
        .build();
    let mut bytes = 0;
    for (count, entry) in entries.enumerate() {
        match entry {
            Ok(entry) => bytes += take(root, &entry, &mut walk),
            Err(error) => walk.gaps.extend(gap_of(root, &error)),
        }
        if let Some(message) = excess(limits, count, walk.files.len(), bytes) {
            let help = format!("name what is no DAG in a `{IGNORE_FILE}`, or split the bundle");
            walk.gaps.push(Gap::root(Diagnostic::of_file(".", Code::TooMany, message).help(help)));
            break;
        }
    }
    walk.gaps.append(&mut outside.lock().expect("nobody panics while holding it"));
    walk
}

fn excess(limits: &Limits, entries: usize, files: usize, bytes: u64) -> Option<String> {
    if limits.entries_max <= entries {
        Some(format!("the folder has more than {} files and folders", limits.entries_max))
    } else if limits.files_max < files {
        Some(format!("the folder has more than {} YAML files", limits.files_max))
    } else if limits.bytes_max < bytes {
        Some(format!("the YAML files have more than {} bytes in all", limits.bytes_max))
    } else {
        None
    }
}

/// Takes an entry into the walk; the bytes it adds to the YAML files.
fn take(root: &Path, entry: &DirEntry, walk: &mut Walk) -> u64 {
    if let Some(error) = entry.error() {
        walk.gaps.push(Gap::of_file(bad_ignore_file(root, error)));
    }
    let is_dir = entry.file_type().is_some_and(|kind| kind.is_dir());
    if is_dir {
        walk.dirs.insert(entry.path().to_owned());
        return 0;
    }
    if !is_yaml(entry.file_name()) {
        return 0;
    }
    let path = relative(root, entry.path());
    match entry.metadata() {
        Ok(metadata) if metadata.is_file() => {
            let stamp = Stamp::of(&metadata);
            walk.files.insert(path, stamp);
            stamp.size
        }
        Ok(_) => 0,
        Err(error) => {
            walk.gaps.extend(gap_of(root, &error));
            0
        }
    }
}

pub(crate) fn is_yaml(name: &OsStr) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}

/// The path as people and the database know it: relative to the root, with `/`.
pub(crate) fn relative(root: &Path, path: &Path) -> Arc<str> {
    path.strip_prefix(root).unwrap_or(path).to_string_lossy().into()
}

/// Refuses links that lead out of the bundle.
fn stays_inside(root: &Path, entry: &DirEntry, outside: &Mutex<Vec<Gap>>) -> bool {
    if !entry.path_is_symlink() || entry.depth() == 0 {
        return true;
    }
    let Ok(target) = entry.path().canonicalize() else { return true };
    if target.starts_with(root) {
        return true;
    }
    let is_ours = entry.file_type().is_some_and(|kind| kind.is_dir()) || is_yaml(entry.file_name());
    if is_ours {
        let path = relative(root, entry.path());
        let diagnostic =
            Diagnostic::of_file(&path, Code::FileOutside, format!("`{path}` is a link that leads out of the bundle"))
                .help("put the file itself into the bundle: what lies outside is not versioned with it");
        outside.lock().expect("nobody panics while holding it").push(Gap::of_file(diagnostic));
    }
    false
}

/// What could not be looked at. Files that went while we looked are none.
fn gap_of(root: &Path, error: &ignore::Error) -> Option<Gap> {
    // Where it does not say where, nothing is known for sure.
    let below = path_of(error).map_or_else(|| "".into(), |path| relative(root, path));
    let path = if below.is_empty() { ".".into() } else { Arc::clone(&below) };
    if let ignore::Error::WithDepth { err, .. } | ignore::Error::WithPath { err, .. } = error
        && let ignore::Error::Loop { .. } = innermost(err)
    {
        let message = format!("`{path}` is a link to a folder that it lies in");
        return Some(Gap::of_file(Diagnostic::of_file(&path, Code::FileUnreadable, message)));
    }
    let cause = error.io_error()?;
    if cause.kind() == io::ErrorKind::NotFound {
        return None;
    }
    let diagnostic =
        Diagnostic::of_file(&path, Code::FileUnreadable, format!("cannot look into `{path}`: {}", cause.kind()))
            .help("check the permissions of the folder; its DAGs stay as they were until it can be read");
    Some(Gap { below, diagnostic })
}

fn innermost(error: &ignore::Error) -> &ignore::Error {
    match error {
        ignore::Error::WithDepth { err, .. }
        | ignore::Error::WithPath { err, .. }
        | ignore::Error::WithLineNumber { err, .. } => innermost(err),
        error => error,
    }
}

fn path_of(error: &ignore::Error) -> Option<&Path> {
    match error {
        ignore::Error::WithPath { path, .. } => Some(path),
        ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => path_of(err),
        ignore::Error::Loop { child, .. } => Some(child),
        _ => None,
    }
}

fn bad_ignore_file(root: &Path, error: &ignore::Error) -> Diagnostic {
    let file = path_of(error).map_or_else(|| IGNORE_FILE.into(), |path| relative(root, path));
    Diagnostic::of_file(&file, Code::BadPattern, innermost(error).to_string())
        .help("the other lines of the file count; this one is skipped")
}

/// The reason without the number of the operating system's error.
pub(crate) fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}
