//! Where the private server keeps its files.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    hash::{DefaultHasher, Hash, Hasher},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use super::user::RunUser;
use crate::failure::{Failure, Result};

/// A socket's path has at most 107 bytes; `/.s.PGSQL.5432.lock` is added to the folder's.
const SOCKET_DIR_BYTES_MAX: usize = 87;

/// A log above this is set aside at the next start; one older log is kept.
const LOG_BYTES_MAX: u64 = 8 << 20;

/// The folders of one private server.
#[derive(Debug, Clone)]
pub struct Place {
    /// PostgreSQL's data directory. It exists only when it is complete.
    pub data: PathBuf,
    /// Where a data directory is made, before it becomes `data` by a rename.
    pub draft: PathBuf,
    /// The socket's folder: whoever may enter it may connect, so only the owner may.
    pub sockets: PathBuf,
    pub log: PathBuf,
}

/// PostgreSQL's data directory; other folders are beside it.
pub fn data(state_dir: &Path) -> PathBuf {
    state_dir.join("postgresql/data")
}

impl Place {
    /// Names the folders, and makes those that are needed before the first start.
    pub fn prepare(state_dir: &Path, user: &RunUser) -> Result<Self> {
        let root = state_dir.join("postgresql");
        let failed = |error: io::Error| Failure::ours(format!("cannot make `{}`", root.display())).because(&error);
        fs::create_dir_all(&root).map_err(failed)?;
        fs::set_permissions(&root, Permissions::from_mode(0o700)).map_err(failed)?;
        user.own(&root)?;
        user.must_reach(&root)?;
        let sockets = socket_folder(&root, user)?;
        Ok(Self { data: data(state_dir), draft: root.join("data.new"), sockets, log: root.join("log") })
    }

    /// The major version that wrote the data; nothing before the first start.
    pub fn data_major(&self) -> Result<Option<u32>> {
        let path = self.data.join("PG_VERSION");
        match fs::read_to_string(&path) {
            Ok(text) => text.trim().parse().map(Some).map_err(|error| {
                Failure::ours(format!("`{}` does not hold a version", path.display())).because(&error)
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Failure::ours(format!("cannot read `{}`", path.display())).because(&error)),
        }
    }

    /// The log to write to; a long one is set aside first.
    pub fn open_log(&self, user: &RunUser) -> Result<File> {
        let failed = |error: io::Error| Failure::ours(format!("cannot write `{}`", self.log.display())).because(&error);
        if fs::metadata(&self.log).is_ok_and(|metadata| LOG_BYTES_MAX < metadata.len()) {
            fs::rename(&self.log, self.log.with_extension("1")).map_err(failed)?;
        }
        let log = OpenOptions::new().append(true).create(true).mode(0o600).open(&self.log).map_err(failed)?;
        user.own(&self.log)?;
        Ok(log)
    }

    /// The last lines of the log: why the server did not start.
    pub fn log_tail(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(8)..].join("\n")
    }
}

/// Below the state directory, or, where that makes the socket's path too long, a folder of our own in `/tmp`.
fn socket_folder(root: &Path, user: &RunUser) -> Result<PathBuf> {
    let near = root.join("run");
    let folder = if near.as_os_str().len() <= SOCKET_DIR_BYTES_MAX {
        near
    } else {
        let mut hasher = DefaultHasher::new();
        root.hash(&mut hasher);
        PathBuf::from(format!("/tmp/gridflow-{}-{:016x}", user.uid, hasher.finish()))
    };
    let failed = |error: io::Error| {
        Failure::ours(format!("cannot make the socket folder `{}`", folder.display())).because(&error)
    };
    match fs::DirBuilder::new().mode(0o700).create(&folder) {
        Ok(()) => user.own(&folder)?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => must_be_ours(&folder, user)?,
        Err(error) => return Err(failed(error)),
    }
    fs::set_permissions(&folder, Permissions::from_mode(0o700)).map_err(failed)?;
    Ok(folder)
}

/// In `/tmp` somebody else may have been first: a folder or link of theirs would let them speak to our clients.
fn must_be_ours(folder: &Path, user: &RunUser) -> Result<()> {
    let ours = fs::symlink_metadata(folder)
        .is_ok_and(|metadata| metadata.is_dir() && [0, user.uid.as_raw()].contains(&metadata.uid()));
    if !ours {
        return Err(Failure::user(format!("`{}` belongs to somebody else", folder.display()))
            .help("choose a state directory with a shorter path: `--state-dir DIR`"));
    }
    user.own(folder)
}
