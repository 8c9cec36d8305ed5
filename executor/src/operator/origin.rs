//! How a repeated move knows its file.
//!
//! A move that was cut off, or is run again, may find its source gone and something at its target.
//! Is it the file it moved? The checksum in the spec tells, where there is one. Else the file itself
//! does: before it moves it is given an extended attribute that names the run and where it came from,
//! which stays with it through the rename. File systems without such attributes leave the question open, and the
//! repeated move fails rather than call somebody else's file its own.

use std::path::Path;

const ATTRIBUTE: &str = "user.gridflow.moved_from";

/// Notes on the file at `path` that `run` moves it from `from`. Best effort: without it only repetition suffers.
pub(super) fn note(path: &Path, from: &Path, run: &str) {
    let _ = xattr::set(path, ATTRIBUTE, &value(from, run));
}

/// Whether the file at `path` says that `run` moved it from `from`. A file of the same name that
/// an earlier run moved is not it.
pub(super) fn is(path: &Path, from: &Path, run: &str) -> bool {
    matches!(xattr::get(path, ATTRIBUTE), Ok(Some(noted)) if noted == value(from, run))
}

fn value(from: &Path, run: &str) -> Vec<u8> {
    [run.as_bytes(), b"\0", from.as_os_str().as_encoded_bytes()].concat()
}
