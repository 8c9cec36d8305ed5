//! What lies in a trigger's folder.

use std::{
    collections::{HashMap, HashSet},
    fs::{self, DirEntry},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::scope::Scope;
use crate::folder::{Stamp, Told};

/// More files in one folder than this are not looked at: a folder of arrivals is emptied some day.
const FILES_MAX: usize = 1_000_000;
/// More folders than this in one recursive trigger can't be watched anyway.
const DIRS_MAX: usize = 50_000;
const DEPTH_MAX: usize = 32;

/// What a look at a folder found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The files that the trigger is about.
    pub files: HashMap<Arc<Path>, Stamp>,
    /// What must be watched to hear of changes: the folder and those inside, or what is there of the
    /// way to it.
    pub dirs: HashSet<PathBuf>,
    pub problem: Option<Problem>,
    pub told: Told,
}

/// Why a look is not complete.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    #[error("the folder does not exist")]
    Missing,
    #[error("cannot read `{path}`")]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("there are more than {FILES_MAX} files or {DIRS_MAX} folders; the rest is not seen")]
    TooMany,
}

impl Found {
    /// Whether files that were not found are known to be gone.
    pub fn is_complete(&self) -> bool {
        match self.problem {
            None | Some(Problem::Missing) => true,
            Some(Problem::Unreadable { .. } | Problem::TooMany) => false,
        }
    }
}

/// Looks at the whole folder. Links to files are followed, links to folders inside are not.
pub(crate) fn look(scope: &Scope) -> Found {
    let mut found = Found { told: Told::about(&scope.folder), ..Found::default() };
    let mut pending = vec![(scope.folder.clone(), 0)];
    while let Some((dir, depth)) = pending.pop() {
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            // A folder inside that went meanwhile took its files with it.
            Err(error) if is_gone(&error) && depth != 0 => continue,
            Err(error) if is_gone(&error) => {
                found.problem = Some(Problem::Missing);
                found.dirs.extend(nearest(&dir));
                break;
            }
            Err(source) => {
                found.problem.get_or_insert(Problem::Unreadable { path: dir.clone(), source });
                found.dirs.insert(dir);
                continue;
            }
        };
        found.dirs.insert(dir);
        for entry in entries.flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && scope.is_recursive && depth < DEPTH_MAX => {
                    pending.push((entry.path(), depth + 1))
                }
                Ok(kind) if kind.is_file() || kind.is_symlink() => take(scope, &entry, &mut found),
                Ok(_) | Err(_) => {}
            }
        }
        if FILES_MAX < found.files.len() || DIRS_MAX < found.dirs.len() {
            found.problem = Some(Problem::TooMany);
            break;
        }
    }
    found
}

fn take(scope: &Scope, entry: &DirEntry, found: &mut Found) {
    let path = entry.path();
    if scope.covers(&path)
        && let Some(stamp) = stamp(&path)
    {
        found.files.insert(path.into(), stamp);
    }
}

/// The stamp of a regular file, if there is one.
pub(crate) fn stamp(path: &Path) -> Option<Stamp> {
    fs::metadata(path).ok().filter(fs::Metadata::is_file).map(|metadata| Stamp::of(&metadata))
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// The nearest folder upwards that is there.
fn nearest(dir: &Path) -> Option<PathBuf> {
    dir.ancestors().skip(1).find(|dir| dir.is_dir()).map(Path::to_owned)
}
