//! A file appears under its final name complete and synced, or not at all.
//!
//! ```text
//! lock .NAME.KEY.part ─▶ write ─▶ fsync ─▶ rename to NAME ─▶ fsync the folder
//! ```
//!
//! The part file's name follows from source and target, so the next try after a crash takes over what
//! the last one left instead of adding to it. Its lock keeps two living copies to one target apart.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{AT_FDCWD, Flock, FlockArg, RenameFlags, renameat2},
};

use super::error::Error;

/// What to do with a target that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Existing {
    Keep,
    Replace,
}

impl Existing {
    pub fn from_overwrite(overwrite: bool) -> Self {
        if overwrite { Self::Replace } else { Self::Keep }
    }
}

/// How a rename ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Renamed {
    Done,
    /// Something took the target's name first, and was to be kept.
    Taken,
    /// Source and target are on different file systems.
    OtherFileSystem,
}

/// A part file, locked and empty, beside its target.
pub(super) struct Part {
    file: Flock<File>,
    path: PathBuf,
    target: PathBuf,
}

/// Opens the part file of `target`; waits while another process writes it.
pub(super) fn stage(target: &Path, source: &str) -> Result<Part, Error> {
    let folder = folder_of(target);
    create_folder(folder)?;
    let path = folder.join(part_name(target, source));
    let open = || OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
    loop {
        let file = open().map_err(Error::io("create", &path))?;
        let file =
            Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| Error::io("lock", &path)(errno.into()))?;
        // Its last holder may have published it meanwhile: then this is the target itself, and not to be touched.
        if is_still_at(&file, &path) {
            file.set_len(0).map_err(Error::io("empty", &path))?;
            return Ok(Part { file, path, target: target.to_owned() });
        }
    }
}

impl Part {
    pub fn file(&mut self) -> &mut File {
        &mut self.file
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the part its final name. Once this returned, a power cut does not take it back.
    pub fn publish(self, existing: Existing) -> Result<Renamed, Error> {
        self.file.sync_all().map_err(Error::io("sync", &self.path))?;
        let renamed = rename(&self.path, &self.target, existing)?;
        match renamed {
            Renamed::Done => sync_folder(folder_of(&self.target))?,
            Renamed::Taken | Renamed::OtherFileSystem => self.discard(),
        }
        Ok(renamed)
    }

    /// Removes the part; called where an error is on its way already, so its own failure is not told.
    pub fn discard(self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Renames, without ever replacing a file that is to be kept.
pub(super) fn rename(from: &Path, to: &Path, existing: Existing) -> Result<Renamed, Error> {
    let flags = match existing {
        Existing::Keep => RenameFlags::RENAME_NOREPLACE,
        Existing::Replace => RenameFlags::empty(),
    };
    match renameat2(AT_FDCWD, from, AT_FDCWD, to, flags) {
        Ok(()) => Ok(Renamed::Done),
        Err(Errno::EEXIST) => Ok(Renamed::Taken),
        Err(Errno::EXDEV) => Ok(Renamed::OtherFileSystem),
        // Network file systems don't know the flag.
        Err(Errno::EINVAL | Errno::ENOSYS | Errno::ENOTSUP) if existing == Existing::Keep => rename_by_link(from, to),
        Err(errno) => Err(Error::io("rename a file to", to)(errno.into())),
    }
}

/// The old way of not replacing: a second name, which fails if it is taken, then the first one goes.
fn rename_by_link(from: &Path, to: &Path) -> Result<Renamed, Error> {
    match fs::hard_link(from, to) {
        Ok(()) => fs::remove_file(from).map(|()| Renamed::Done).map_err(Error::io("remove", from)),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(Renamed::Taken),
        Err(error) if error.kind() == ErrorKind::CrossesDevices => Ok(Renamed::OtherFileSystem),
        Err(error) => Err(Error::io("rename a file to", to)(error)),
    }
}

/// Creates a folder and its missing parents, each synced into the one above it.
pub(super) fn create_folder(folder: &Path) -> Result<(), Error> {
    let missing: Vec<_> = folder.ancestors().take_while(|ancestor| !ancestor.exists()).collect();
    for folder in missing.into_iter().rev() {
        match fs::create_dir(folder) {
            Ok(()) => sync_folder(folder_of(folder))?,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Error::io("create the folder", folder)(error)),
        }
    }
    Ok(())
}

/// Makes the names in a folder durable.
pub(super) fn sync_folder(folder: &Path) -> Result<(), Error> {
    match File::open(folder).and_then(|file| file.sync_all()) {
        // Some network file systems can't sync a folder; their server does.
        Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Ok(()),
        synced => synced.map_err(Error::io("sync the folder", folder)),
    }
}

pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    }
}

/// Hidden, and with an ending of its own, so that nobody takes it for data.
fn part_name(target: &Path, source: &str) -> String {
    let key = blake3::hash(format!("{source}\0{}", target.display()).as_bytes()).to_hex();
    let mut name = super::location::name(target);
    // A name may have 255 bytes; the target's own may have them all.
    name.truncate(name.floor_char_boundary(200));
    format!(".{name}.{}.part", &key[..16])
}

fn is_still_at(file: &File, path: &Path) -> bool {
    let identity = |metadata: io::Result<fs::Metadata>| metadata.map(|it| (it.dev(), it.ino())).ok();
    identity(file.metadata()) == identity(fs::symlink_metadata(path))
}
