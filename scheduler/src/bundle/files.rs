//! The files beside a DAG file, and a note of which were asked for.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Read},
    os::{fd::AsRawFd, unix::fs::OpenOptionsExt},
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use globset::GlobBuilder;
use gridflow_dag_spec::{FileError, Files, SERVER_FILE};

use super::walk::plain;
use crate::folder::Stamp;

/// Entries of one folder that a pattern is held against.
const MATCHING_MAX: usize = 10_000;
/// Folders within folders that `**` goes into.
const MATCHING_DEPTH_MAX: usize = 16;

/// Reads files of a bundle for one DAG file. Nothing outside the root is ever opened for reading,
/// whatever links and `..` say.
pub(crate) struct BundleFiles<'a> {
    root: &'a Path,
    /// The folder of the DAG file.
    dir: PathBuf,
    bytes_max: u64,
    /// What the server says for all DAGs.
    server: Option<Arc<[u8]>>,
    asked: RefCell<BTreeMap<PathBuf, Dependency>>,
}

/// A file that a DAG refers to, as it was when the DAG was compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dependency {
    /// None: it was not there, or could not be looked at.
    pub stamp: Option<Stamp>,
    /// None: it could not be read.
    pub hash: Option<blake3::Hash>,
    /// Then the hash is of the names in it.
    pub is_folder: bool,
}

impl<'a> BundleFiles<'a> {
    /// For a DAG file by its path below a canonical root.
    pub fn of(root: &'a Path, path: &str, bytes_max: usize) -> Self {
        let dir = root.join(path).parent().unwrap_or(root).to_owned();
        Self { root, dir, bytes_max: bytes_max as u64, server: None, asked: RefCell::default() }
    }

    /// With the server's defaults.
    pub fn under(self, server: Option<Arc<[u8]>>) -> Self {
        Self { server, ..self }
    }

    /// What was asked for, by absolute path; also what was not there.
    pub fn into_dependencies(self) -> BTreeMap<PathBuf, Dependency> {
        self.asked.into_inner()
    }
}

impl Files for BundleFiles<'_> {
    fn read(&self, relative: &str) -> Result<Arc<[u8]>, FileError> {
        if relative == SERVER_FILE {
            return self.server.clone().ok_or(FileError::NotFound);
        }
        let path = match relative.strip_prefix('/') {
            Some(relative) => inside(self.root, self.root, relative),
            None => inside(self.root, &self.dir, relative),
        };
        let path = path.ok_or(FileError::Outside)?;
        // Before reading: a change in between then shows as another stamp.
        let stamp = stamp(&path);
        let bytes = read(self.root, &path, self.bytes_max);
        let hash = bytes.as_ref().ok().map(|bytes| blake3::hash(bytes));
        self.asked.borrow_mut().insert(path, Dependency { stamp, hash, is_folder: false });
        bytes.map(Arc::from)
    }

    /// Hidden files are named only by patterns whose own part begins with a dot, as in a shell.
    fn matching(&self, pattern: &str) -> Result<Vec<String>, FileError> {
        let parts: Vec<_> = pattern.split('/').collect();
        let fixed = parts.iter().take(parts.len() - 1).take_while(|part| !part.contains(['*', '?', '['])).count();
        let base = inside(self.root, &self.dir, &parts[..fixed].join("/")).ok_or(FileError::Outside)?;
        let matcher = GlobBuilder::new(&parts[fixed..].join("/"))
            .literal_separator(true)
            .build()
            .map_err(|error| FileError::Unreadable(error.kind().to_string()))?
            .compile_matcher();
        let is_deep = parts[fixed..].contains(&"**");
        let depth_max = if is_deep { MATCHING_DEPTH_MAX } else { parts.len() - fixed };
        let shows_hidden = parts[fixed..].iter().any(|part| part.starts_with('.'));
        let mut found = Vec::new();
        self.list(&base, Path::new(""), depth_max, shows_hidden, &mut |path| {
            if matcher.is_match(path) {
                found.push(path.to_owned());
            }
        })?;
        found.sort_unstable();
        let prefix = Path::new(&parts[..fixed].join("/")).to_owned();
        Ok(found.iter().map(|path| prefix.join(path).to_string_lossy().into_owned()).collect())
    }
}

impl BundleFiles<'_> {
    /// Names every file below a folder, by its path from there. Folders count as files that were
    /// asked for: one more file in them may be one more match.
    fn list(
        &self,
        base: &Path,
        below: &Path,
        depth: usize,
        shows_hidden: bool,
        take: &mut dyn FnMut(&Path),
    ) -> Result<(), FileError> {
        let dir = base.join(below);
        let stamp = stamp(&dir);
        let names = names(self.root, &dir);
        let hash = names.as_ref().ok().map(|names| hash_of(names));
        self.asked.borrow_mut().insert(dir.clone(), Dependency { stamp, hash, is_folder: true });
        for name in names? {
            let path = below.join(&name);
            if name.as_encoded_bytes().starts_with(b".") && !shows_hidden {
                continue;
            }
            // Not through links: they may lead in circles.
            let kind = fs::symlink_metadata(base.join(&path)).map(|metadata| metadata.file_type());
            match kind {
                Ok(kind) if kind.is_dir() && 1 < depth => self.list(base, &path, depth - 1, shows_hidden, take)?,
                Ok(kind) if !kind.is_dir() => take(&path),
                Ok(_) | Err(_) => {}
            }
        }
        Ok(())
    }
}

/// The names in a folder inside the root, sorted.
fn names(root: &Path, dir: &Path) -> Result<Vec<OsString>, FileError> {
    match dir.canonicalize() {
        Ok(real) if real.starts_with(root) => {}
        Ok(_) => return Err(FileError::Outside),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(&error)),
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).map_err(|error| unreadable(&error))? {
        if MATCHING_MAX <= names.len() {
            return Err(FileError::Unreadable(format!("a folder has more than {MATCHING_MAX} files")));
        }
        names.push(entry.map_err(|error| unreadable(&error))?.file_name());
    }
    names.sort_unstable();
    Ok(names)
}

fn hash_of(names: &[OsString]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    for name in names {
        hasher.update(name.as_encoded_bytes()).update(b"/");
    }
    hasher.finalize()
}

/// The stamp of what a path leads to, if it leads anywhere.
pub(crate) fn stamp(path: &Path) -> Option<Stamp> {
    fs::metadata(path).ok().map(|metadata| Stamp::of(&metadata))
}

impl Dependency {
    /// What is there now in the place of this one.
    pub fn again(&self, root: &Path, path: &Path, bytes_max: usize) -> Self {
        let stamp = stamp(path);
        let hash = match self.is_folder {
            true => names(root, path).ok().map(|names| hash_of(&names)),
            false => read(root, path, bytes_max as u64).ok().map(|bytes| blake3::hash(&bytes)),
        };
        Self { stamp, hash, is_folder: self.is_folder }
    }
}

/// The absolute path, if its words alone do not lead out of the root.
fn inside(root: &Path, dir: &Path, relative: &str) -> Option<PathBuf> {
    let mut path = dir.to_owned();
    for component in Path::new(relative).components() {
        match component {
            Component::Normal(name) => path.push(name),
            Component::CurDir => {}
            Component::ParentDir if path != root => _ = path.pop(),
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    path.starts_with(root).then_some(path)
}

/// Reads a regular file inside a canonical root, of at most so many bytes.
pub(crate) fn read(root: &Path, path: &Path, bytes_max: u64) -> Result<Vec<u8>, FileError> {
    let file = open(root, path)?;
    let size = file.metadata().map_or(0, |metadata| metadata.len());
    if bytes_max < size {
        return Err(FileError::TooLarge);
    }
    let mut bytes = Vec::with_capacity(size as usize);
    // One byte more than allowed, so that a file that grows meanwhile is seen as too large.
    file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(|error| unreadable(&error))?;
    if bytes_max < bytes.len() as u64 {
        return Err(FileError::TooLarge);
    }
    Ok(bytes)
}

fn open(root: &Path, path: &Path) -> Result<File, FileError> {
    // O_NONBLOCK: opening a pipe must not wait for its writer.
    let file = match OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open(path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Err(FileError::NotFound);
        }
        Err(error) => return Err(unreadable(&error)),
    };
    // Asked of the opened file: no link can be exchanged between the check and the use.
    let real = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).map_err(|error| unreadable(&error))?;
    if !real.starts_with(root) {
        return Err(FileError::Outside);
    }
    match file.metadata() {
        Ok(metadata) if metadata.is_file() => Ok(file),
        Ok(metadata) if metadata.is_dir() => Err(FileError::Unreadable("it is a folder".to_owned())),
        Ok(_) => Err(FileError::Unreadable("it is no regular file".to_owned())),
        Err(error) => Err(unreadable(&error)),
    }
}

fn unreadable(error: &io::Error) -> FileError {
    FileError::Unreadable(plain(error))
}
