//! The programs that work in a state directory: each holds a file there, locked for as long as it lives.
//!
//! `standalone` holds the directory's `lock`; schedulers may be several, and have a file each in `workers/`.

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use nix::{
    fcntl::{Flock, FlockArg},
    sys::signal::{self, Signal},
    unistd::Pid,
};
use uuid::Uuid;

use crate::{
    failure::{Failure, Result},
    state_dir::StateDir,
};

/// How long one may take to stop; a private PostgreSQL writes a checkpoint first.
const STOPS_WITHIN: Duration = Duration::from_secs(60);
/// After a second signal, which ends it at once.
const ENDS_WITHIN: Duration = Duration::from_secs(5);
/// One that was just killed may hold its files for a moment longer.
const DIES_WITHIN: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Held by a scheduler; the file goes with it.
#[derive(Debug)]
pub struct Presence {
    path: PathBuf,
    _lock: Flock<File>,
}

impl Drop for Presence {
    fn drop(&mut self) {
        // One that stays is seen to be nobody's.
        let _ = fs::remove_file(&self.path);
    }
}

/// Makes this process known to `gridflow down`.
pub fn sign_in(state_dir: &StateDir) -> Result<Presence> {
    let folder = folder(state_dir);
    let path = folder.join(format!("scheduler-{}", Uuid::now_v7()));
    let failed = |error: io::Error| Failure::ours(format!("cannot write `{}`", path.display())).because(&error);
    fs::create_dir_all(&folder).map_err(failed)?;
    // Locked before it has its name: without a lock it would be taken for one that stayed behind.
    let draft = folder.join(format!(".{}", Uuid::now_v7()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft).map_err(failed)?;
    writeln!(file, "{}", std::process::id()).map_err(failed)?;
    let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| failed(error.into()))?;
    fs::rename(&draft, &path).map_err(failed)?;
    Ok(Presence { path, _lock: lock })
}

/// A program that is at work.
#[derive(Debug)]
pub struct Worker {
    name: &'static str,
    pid: Pid,
    path: PathBuf,
}

impl fmt::Display for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (pid {})", self.name, self.pid)
    }
}

/// All that work in the state directory now.
pub fn all(state_dir: &StateDir) -> Result<Vec<Worker>> {
    let mut workers: Vec<Worker> = holder("gridflow standalone", state_dir.lock_path())?.into_iter().collect();
    let Ok(entries) = fs::read_dir(folder(state_dir)) else { return Ok(workers) };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        match holder("gridflow scheduler", path.clone())? {
            Some(worker) => workers.push(worker),
            None => drop(fs::remove_file(path)),
        }
    }
    Ok(workers)
}

fn folder(state_dir: &StateDir) -> PathBuf {
    state_dir.path().join("workers")
}

/// Who holds the lock of a file. The number in it alone proves nothing: it may be another process's by now, or come
/// from another container.
fn holder(name: &'static str, path: PathBuf) -> Result<Option<Worker>> {
    let deadline = Instant::now() + DIES_WITHIN;
    while is_held(&path)? {
        if let Some(pid) = visible_holder(&path) {
            return Ok(Some(Worker { name, pid, path }));
        }
        if deadline < Instant::now() {
            let what = format!("`{}` is held by a process that can't be seen from here", path.display());
            return Err(Failure::user(what)
                .help("it is another user's, or in another container: run `gridflow down` as that user, or there"));
        }
        thread::sleep(LOOK_EVERY);
    }
    Ok(None)
}

fn visible_holder(path: &Path) -> Option<Pid> {
    let mut text = String::new();
    File::open(path).ok()?.read_to_string(&mut text).ok()?;
    let pid = text.trim().parse().ok().filter(|pid| 0 < *pid).map(Pid::from_raw)?;
    has_open(pid, path).then_some(pid)
}

fn is_held(path: &Path) -> Result<bool> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(Failure::user(format!("cannot read `{}`", path.display())).because(&error)),
    };
    Ok(Flock::lock(file, FlockArg::LockSharedNonblock).is_err())
}

fn has_open(pid: Pid, path: &Path) -> bool {
    let Ok(wanted) = fs::metadata(path) else { return false };
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    let mut open = descriptors.filter_map(|entry| fs::metadata(entry.ok()?.path()).ok());
    open.any(|file| (file.dev(), file.ino()) == (wanted.dev(), wanted.ino()))
}

impl Worker {
    /// SIGTERM, once more if it takes too long, and SIGKILL in the end. Returns when it is gone.
    pub fn stop(&self) -> Result<()> {
        for (signal, patience) in
            [(Signal::SIGTERM, STOPS_WITHIN), (Signal::SIGTERM, ENDS_WITHIN), (Signal::SIGKILL, ENDS_WITHIN)]
        {
            if !has_open(self.pid, &self.path) {
                return Ok(());
            }
            signal::kill(self.pid, signal)
                .map_err(|error| Failure::user(format!("cannot stop {self}")).because(&error))?;
            let deadline = Instant::now() + patience;
            while Instant::now() < deadline {
                if !is_held(&self.path)? {
                    return Ok(());
                }
                thread::sleep(LOOK_EVERY);
            }
        }
        Err(Failure::ours(format!("{self} does not end")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_works_is_known_while_it_does_and_what_a_dead_one_left_is_cleared_away() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let state_dir = StateDir::at(dir.path());
        let presence = sign_in(&state_dir).expect("signed in");
        let names: Vec<_> = all(&state_dir).expect("read").iter().map(Worker::to_string).collect();
        assert_eq!(names, [format!("gridflow scheduler (pid {})", std::process::id())]);
        let left = presence.path.with_file_name("scheduler-dead");
        fs::write(&left, "1\n").expect("file");
        drop(presence);
        assert!(all(&state_dir).expect("read").is_empty());
        assert!(!left.exists());
    }

    #[test]
    fn a_number_of_somebody_who_does_not_hold_the_file_gets_no_signal() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let state_dir = StateDir::at(dir.path());
        let presence = sign_in(&state_dir).expect("signed in");
        // As it looks from another container: the number is another process here.
        fs::write(&presence.path, "1\n").expect("file");
        let refused = format!("{:?}", all(&state_dir).expect_err("not seen"));
        assert!(refused.contains("can't be seen from here"), "{refused}");
    }
}
