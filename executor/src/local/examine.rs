//! What a person's look at this node finds: its host, and the processes of attempts. Changes nothing.

use std::{
    fs,
    os::unix::{ffi::OsStrExt, net::UnixStream},
    path::{Path, PathBuf},
};

use gridflow_core::AttemptId;
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};

use super::layout::SOCKET;

/// How the host of a state directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostState {
    /// It never ran here.
    Absent,
    /// It ran and is gone; the next scheduler starts another one.
    Gone,
    Lives {
        pid: i32,
        /// It may give each attempt a control group, whose emptiness proves that the attempt is gone.
        has_cgroups: bool,
    },
}

/// Asks the host's socket who listens.
pub fn host_state(state_dir: &Path) -> HostState {
    let socket = state_dir.join(SOCKET);
    if !socket.exists() {
        return HostState::Absent;
    }
    let peer = UnixStream::connect(&socket).ok().and_then(|stream| getsockopt(&stream, PeerCredentials).ok());
    match peer {
        Some(peer) => HostState::Lives { pid: peer.pid(), has_cgroups: super::host::has_cgroups(peer.pid()) },
        None => HostState::Gone,
    }
}

/// Processes of this machine that carry the id of an attempt, of whatever installation, as far as we may look.
pub fn living_attempts() -> Vec<(i32, AttemptId)> {
    let carries = |(pid, folder): (i32, PathBuf)| Some((pid, attempt_of(&fs::read(folder.join("environ")).ok()?)?));
    processes().filter_map(carries).collect()
}

/// Children of the host that carry no attempt's id: they wiped their environment, and outlive their attempt unseen
/// where there are no control groups.
pub fn escaped(host: i32) -> Vec<i32> {
    let is_escaped = |folder: &Path| {
        let is_child = fs::read_to_string(folder.join("stat")).is_ok_and(|stat| parent_of(&stat) == Some(host));
        // A dead child that waits to be collected has no environment any more.
        is_child && fs::read(folder.join("environ")).is_ok_and(|text| !text.is_empty() && attempt_of(&text).is_none())
    };
    processes().filter(|(_, folder)| is_escaped(folder)).map(|(pid, _)| pid).collect()
}

fn processes() -> impl Iterator<Item = (i32, PathBuf)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path())))
}

fn attempt_of(environ: &[u8]) -> Option<AttemptId> {
    let value = environ.split(|byte| *byte == 0).find_map(|line| line.strip_prefix(b"GRIDFLOW_ATTEMPT_ID="))?;
    std::ffi::OsStr::from_bytes(value).to_str()?.parse().ok().map(AttemptId)
}

/// From `/proc/PID/stat`; the name before it may hold anything.
fn parent_of(stat: &str) -> Option<i32> {
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_is_read_from_an_environment() {
        let id = "01890a5d-ac96-774b-bcce-b302099a8057";
        let environ = format!("PATH=/bin\0GRIDFLOW_ATTEMPT_ID={id}\0A=b\0");
        assert_eq!(attempt_of(environ.as_bytes()), Some(AttemptId(id.parse().unwrap())));
        assert_eq!(attempt_of(b"PATH=/bin\0XGRIDFLOW_ATTEMPT_ID=1\0"), None);
    }

    #[test]
    fn a_parent_is_read_also_behind_a_name_with_brackets() {
        assert_eq!(parent_of("17 (a ) b) S 4 17 17"), Some(4));
    }

    #[test]
    fn a_folder_without_a_host_has_none() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(host_state(dir.path()), HostState::Absent);
        drop(std::os::unix::net::UnixListener::bind(dir.path().join(SOCKET)).unwrap());
        assert_eq!(host_state(dir.path()), HostState::Gone);
    }
}
