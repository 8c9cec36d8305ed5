//! Which file a process runs: how a host is told from the program that should be in its place.

use std::{fs, io, os::unix::fs::MetadataExt, path::Path};

use serde::{Deserialize, Serialize};

/// A program's file. Installing another build makes another file, and the one that runs cannot be written to, so this
/// needs no build number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ProgramFile {
    device: u64,
    inode: u64,
    bytes: u64,
    modified_s: i64,
    modified_ns: i64,
}

impl ProgramFile {
    /// Follows links.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let meta = fs::metadata(path)?;
        Ok(Self {
            device: meta.dev(),
            inode: meta.ino(),
            bytes: meta.len(),
            modified_s: meta.mtime(),
            modified_ns: meta.mtime_nsec(),
        })
    }

    /// Of this process, also when another file lies in its place by now.
    pub(super) fn own() -> io::Result<Self> {
        Self::of(Path::new("/proc/self/exe"))
    }
}
