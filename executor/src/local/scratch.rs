//! Working folders, used again and again.
//!
//! A folder in which a command left nothing is renamed for the next one instead of being removed. Some file systems
//! (ext4) pass over inodes that were freed in the last seconds one by one, so making and removing a folder and a file
//! for each command gets ten times slower under load.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use nix::libc;
use uuid::Uuid;

use super::layout::{CONTEXT_FILE, parse_scratch_name, scratch_dir, scratch_root};

/// Folders kept for the next commands.
const FREE_MAX: usize = 1024;
const FREE_PREFIX: &str = "free-";
const FOLDER_MODE: u32 = 0o700;
const CONTEXT_MODE: u32 = 0o600;

/// The working folders of one state directory. Several processes may use them at a time: what counts are renames.
#[derive(Debug)]
pub(super) struct Scratch {
    state_dir: PathBuf,
    free: Mutex<Vec<PathBuf>>,
}

impl Scratch {
    /// Takes over what an earlier process kept.
    pub(super) fn open(state_dir: &Path) -> io::Result<Self> {
        let root = scratch_root(state_dir);
        // Commands of other users pass through it to their own folder, but cannot look around.
        DirBuilder::new().recursive(true).mode(0o711).create(&root)?;
        let is_free =
            |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(FREE_PREFIX));
        let paths = fs::read_dir(&root)?.filter_map(|entry| Some(entry.ok()?.path()));
        let free = paths.filter(is_free).take(FREE_MAX).collect();
        Ok(Self { state_dir: state_dir.to_owned(), free: Mutex::new(free) })
    }

    /// A folder with nothing but the context in it.
    pub(super) fn make(&self, attempt: Uuid, stage: u32, context: &[u8]) -> io::Result<PathBuf> {
        let dir = scratch_dir(&self.state_dir, attempt, stage);
        if self.take_free(&dir) {
            match reuse(&dir, context) {
                Ok(()) => return Ok(dir),
                Err(_) => fs::remove_dir_all(&dir)?,
            }
        }
        DirBuilder::new().mode(FOLDER_MODE).create(&dir)?;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(CONTEXT_MODE);
        options.open(dir.join(CONTEXT_FILE))?.write_all(context)?;
        Ok(dir)
    }

    /// The attempt is over. A folder that is not there was cleared by another process.
    pub(super) fn clear(&self, attempt: Uuid, stage: u32) -> io::Result<()> {
        let dir = scratch_dir(&self.state_dir, attempt, stage);
        if is_as_new(&dir) && self.keep(&dir) {
            return Ok(());
        }
        match fs::remove_dir_all(dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Folders of attempts that are not open: left by a process that crashed, or of a launch that another one has under
    /// way. How old they are tells nothing: clocks are set, and one that is used again is as old as its first use.
    pub(super) fn unclaimed(&self, is_open: impl Fn(Uuid) -> bool) -> io::Result<Vec<(Uuid, PathBuf)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(scratch_root(&self.state_dir))? {
            let entry = entry?;
            let name = entry.file_name();
            let Some((attempt, _)) = name.to_str().and_then(parse_scratch_name) else { continue };
            if !is_open(attempt) {
                found.push((attempt, entry.path()));
            }
        }
        Ok(found)
    }

    /// Removes folders, and says how many were there.
    pub(super) fn remove(dirs: &[PathBuf]) -> io::Result<usize> {
        let mut removed = 0;
        for dir in dirs {
            match fs::remove_dir_all(dir) {
                Ok(()) => removed += 1,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(removed)
    }

    fn take_free(&self, dir: &Path) -> bool {
        // Another process may have been faster; then the next one is tried.
        while let Some(free) = self.free().pop() {
            if fs::rename(free, dir).is_ok() {
                return true;
            }
        }
        false
    }

    fn keep(&self, dir: &Path) -> bool {
        if FREE_MAX <= self.free().len() {
            return false;
        }
        let free = scratch_root(&self.state_dir).join(format!("{FREE_PREFIX}{}", Uuid::now_v7().simple()));
        let renamed = fs::rename(dir, &free).is_ok();
        if renamed {
            self.free().push(free);
        }
        renamed
    }

    fn free(&self) -> std::sync::MutexGuard<'_, Vec<PathBuf>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Overwrites the context. Not by truncating first: ext4 writes such a file to disk when it is closed.
fn reuse(dir: &Path, context: &[u8]) -> io::Result<()> {
    let file = OpenOptions::new().write(true).custom_flags(libc::O_NOFOLLOW).open(dir.join(CONTEXT_FILE))?;
    (&file).write_all(context)?;
    file.set_len(context.len() as u64)
}

/// As we made it: the command added and changed nothing, and nobody else can reach the context.
fn is_as_new(dir: &Path) -> bool {
    let us = nix::unistd::geteuid().as_raw();
    let is_ours = |path: &Path, mode: u32| {
        let meta = fs::symlink_metadata(path).ok().filter(|meta| meta.uid() == us);
        meta.filter(|meta| meta.permissions().mode() & 0o7777 == mode)
    };
    let context = dir.join(CONTEXT_FILE);
    is_ours(dir, FOLDER_MODE).is_some_and(|meta| meta.is_dir())
        && fs::read_dir(dir).is_ok_and(|entries| entries.take(2).count() == 1)
        && is_ours(&context, CONTEXT_MODE).is_some_and(|meta| meta.is_file() && meta.nlink() == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_in_which_nothing_was_left_serves_the_next_attempt() {
        let state = tempfile::tempdir().unwrap();
        let scratch = Scratch::open(state.path()).unwrap();
        let first = scratch.make(Uuid::from_u128(1), 1, b"a long context").unwrap();
        let inode = fs::metadata(&first).unwrap().ino();
        scratch.clear(Uuid::from_u128(1), 1).unwrap();
        assert!(!first.exists());

        let second = Scratch::open(state.path()).unwrap().make(Uuid::from_u128(2), 2, b"short").unwrap();
        assert_eq!(fs::metadata(&second).unwrap().ino(), inode);
        assert_eq!(fs::read(second.join(CONTEXT_FILE)).unwrap(), b"short");
    }

    #[test]
    fn a_folder_with_anything_unusual_is_removed() {
        let state = tempfile::tempdir().unwrap();
        let changes: [fn(&Path); 4] = [
            |dir| fs::write(dir.join("more"), b"").unwrap(),
            |dir| fs::hard_link(dir.join(CONTEXT_FILE), dir.parent().unwrap().join("kept")).unwrap(),
            |dir| fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap(),
            |dir| {
                fs::remove_file(dir.join(CONTEXT_FILE)).unwrap();
                std::os::unix::fs::symlink("/etc/passwd", dir.join(CONTEXT_FILE)).unwrap();
            },
        ];
        for (number, change) in (0..).zip(changes) {
            let scratch = Scratch::open(state.path()).unwrap();
            let dir = scratch.make(Uuid::from_u128(number), 0, b"{}").unwrap();
            change(&dir);
            scratch.clear(Uuid::from_u128(number), 0).unwrap();
            assert!(!dir.exists());
            assert!(scratch.free().is_empty(), "{number}");
        }
    }

    #[test]
    fn folders_of_attempts_that_are_not_open_are_found_whatever_their_age() {
        let state = tempfile::tempdir().unwrap();
        let scratch = Scratch::open(state.path()).unwrap();
        let [open, other] = [1, 2].map(Uuid::from_u128);
        let [_, left] = [open, other].map(|attempt| scratch.make(attempt, 7, b"{}").unwrap());
        scratch.make(Uuid::from_u128(3), 7, b"{}").unwrap();
        scratch.clear(Uuid::from_u128(3), 7).unwrap();

        let found = scratch.unclaimed(|attempt| attempt == open).unwrap();
        assert_eq!(found, [(other, left.clone())]);
        assert_eq!(Scratch::remove(&[left.clone(), left]).unwrap(), 1, "another process may be faster");
        assert_eq!(scratch.unclaimed(|attempt| attempt == open).unwrap(), []);
    }
}
