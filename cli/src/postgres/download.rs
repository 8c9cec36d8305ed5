//! A PostgreSQL of our own, for machines that have none.
//!
//! ```text
//! lock the cache ─▶ download, hash as it comes ─▶ compare with the hash in this program ─▶ unpack aside ─▶ rename
//! ```
//!
//! The folder of a version exists only when it is whole. Of several starts one downloads, the others wait for it.

mod archive;
mod fetch;
mod unpack;

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use nix::{
    fcntl::{Flock, FlockArg},
    unistd::Uid,
};

use super::user::RunUser;
use crate::failure::{Failure, Result, say};

pub use archive::MAJOR;

const FOLDER: &str = "gridflow-postgresql";

/// Where its programs are, if it was downloaded before.
pub fn installed() -> Option<PathBuf> {
    let bin = cache().ok()?.join(archive::VERSION).join("bin");
    bin.is_dir().then_some(bin)
}

/// Downloads it, unless that was done before; returns where its programs are.
/// `is_stopped` is asked now and then: an impatient person need not wait for the end of it.
pub fn install(user: &RunUser, is_stopped: &dyn Fn() -> bool) -> Result<PathBuf> {
    let cache = cache()?;
    let failed = |error: io::Error| Failure::ours(format!("cannot use `{}`", cache.display())).because(&error);
    fs::create_dir_all(&cache).map_err(failed)?;
    if Uid::effective().is_root() {
        // The server runs as another user, who must find its programs.
        fs::set_permissions(&cache, Permissions::from_mode(0o755)).map_err(failed)?;
    }
    user.must_reach(&cache)?;
    let _lock = lock(&cache, is_stopped)?;
    let home = cache.join(archive::VERSION);
    if !home.is_dir() {
        download(&cache, &home, is_stopped)?;
    }
    let bin = home.join("bin");
    user.must_reach(&bin)?;
    Ok(bin)
}

/// The caller holds the lock, so what lies aside was left by somebody who died.
fn download(cache: &Path, home: &Path, is_stopped: &dyn Fn() -> bool) -> Result<()> {
    let archive = archive::of_this_machine()?;
    let (draft, file) = (cache.join("draft"), cache.join("draft.jar"));
    let failed = |error: io::Error| Failure::ours(format!("cannot write to `{}`", cache.display())).because(&error);
    say(format!("downloading PostgreSQL {} to `{}`, once", archive::VERSION, cache.display()));
    fetch::fetch(archive, &file, is_stopped)?;
    remove(&draft).map_err(failed)?;
    unpack::unpack(&file, &draft)
        .map_err(|error| Failure::ours(format!("cannot unpack `{}`", file.display())).because(&error))?;
    fs::rename(&draft, home).map_err(failed)?;
    fs::remove_file(&file).map_err(failed)
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

fn lock(cache: &Path, is_stopped: &dyn Fn() -> bool) -> Result<Flock<File>> {
    let path = cache.join("lock");
    let failed =
        |error: &dyn std::fmt::Display| Failure::ours(format!("cannot lock `{}`", path.display())).because_text(error);
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(|error| failed(&error))?;
    let mut is_told = false;
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(lock),
            Err((again, nix::errno::Errno::EWOULDBLOCK)) if !is_stopped() => file = again,
            Err((_, error)) => return Err(failed(&error)),
        }
        if !std::mem::replace(&mut is_told, true) {
            say("another gridflow downloads PostgreSQL: waiting for it");
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}

/// `$XDG_CACHE_HOME`, else `~/.cache`; as root `/var/cache`, where the server's user may look.
fn cache() -> Result<PathBuf> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    if let Some(folder) = variable("XDG_CACHE_HOME") {
        return Ok(folder.join(FOLDER));
    }
    if Uid::effective().is_root() {
        return Ok(Path::new("/var/cache").join(FOLDER));
    }
    variable("HOME").map(|home| home.join(".cache").join(FOLDER)).ok_or_else(|| {
        Failure::user("no place to download PostgreSQL to: `HOME` is not set").help("set `XDG_CACHE_HOME`")
    })
}
