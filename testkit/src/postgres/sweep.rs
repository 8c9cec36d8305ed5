//! Folders of servers whose owner was killed.

use std::{fs, path::Path};

use nix::{sys::signal::kill, unistd::Pid};

use super::{DIR_PREFIX, disk};

/// Removes folders whose owner is gone: it was killed, or shared its server until its end.
pub(super) fn sweep() {
    for entry in fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix(DIR_PREFIX)?.split('-').next()?.parse().ok());
        let is_gone = owner.is_some_and(|pid| kill(Pid::from_raw(pid), None) == Err(nix::errno::Errno::ESRCH));
        let still_runs = is_gone && entry.path().join("data/postmaster.pid").exists() && server_lives(&entry.path());
        if is_gone && !still_runs {
            disk::unmount(&entry.path().join("data"));
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn server_lives(dir: &Path) -> bool {
    let pid = fs::read_to_string(dir.join("data/postmaster.pid")).unwrap_or_default();
    let pid = pid.lines().next().and_then(|line| line.parse().ok());
    pid.is_some_and(|pid| kill(Pid::from_raw(pid), None) != Err(nix::errno::Errno::ESRCH))
}
