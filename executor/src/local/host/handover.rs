//! What a host passes to the program that takes its place, in the same process.
//!
//! ```text
//! old program  everything on record ─ handover into a memory file ─ execve ─┐      fails: goes on
//! new program                         lock, socket and records as they are ◄┘─ records + handover ─ goes on
//! ```
//! The process stays the same one, so its children stay its children, and the lock is never let go. Attempts are read
//! from the records, as after a kill; only what the records do not hold is passed here. A kill at any moment leaves
//! what any kill leaves.

use std::{
    fs::File,
    io::{self, Read, Seek, Write},
    os::fd::{AsFd, AsRawFd, FromRawFd, RawFd},
};

use nix::{
    fcntl::{FcntlArg, FdFlag, fcntl},
    sys::memfd::{MFdFlags, memfd_create},
};
use serde::{Deserialize, Serialize};

use super::{super::wire::Usage, clock::BootNs, records::Slot};

/// Written by this build. A field that may be left out needs no new version, only a default.
pub(super) const VERSION: u32 = 1;
const VERSION_OLDEST: u32 = 1;
const WORD: &str = "handover";

/// What a program that could become a host says when it is asked with `--handover-versions`: `handover 1 1`.
pub fn versions() -> String {
    format!("{WORD} {VERSION_OLDEST} {VERSION}")
}

/// The oldest and the newest version of such an answer.
pub(in crate::local) fn parse_versions(answer: &str) -> Option<(u32, u32)> {
    let mut words = answer.split_whitespace();
    let (word, oldest, newest) = (words.next()?, words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    (word == WORD && words.next().is_none()).then_some((oldest, newest))
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Handover {
    pub version: u32,
    /// Descriptors that stay open.
    pub lock: RawFd,
    pub listener: RawFd,
    pub records: RawFd,
    pub linger_ms: u64,
    pub draining: bool,
    #[serde(default)]
    pub stopping: bool,
    #[serde(default)]
    pub stays: bool,
    /// The pid of a [ward](super::attempts::Ward).
    #[serde(default)]
    pub ward: Option<i32>,
    pub underway: Vec<Underway>,
    pub strays: Vec<Stray>,
}

/// An attempt that is being ended, and what else of it no record has.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Underway {
    pub slot: Slot,
    pub kill_at: Option<BootNs>,
    pub wake_at: Option<BootNs>,
    pub pause_ms: u64,
    pub strays_used: Usage,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Stray {
    pub pid: i32,
    pub owner: Option<Slot>,
}

impl Handover {
    /// Into memory that the next program finds under the number of the file.
    pub(super) fn write(&self) -> io::Result<File> {
        // Without CLOEXEC: this is what it is for.
        let mut file = File::from(memfd_create("gridflow-handover", MFdFlags::empty())?);
        file.write_all(&serde_json::to_vec(self)?)?;
        file.rewind()?;
        Ok(file)
    }

    /// Takes the descriptor, and makes those named in it our own.
    pub(super) fn read(fd: RawFd) -> io::Result<Self> {
        // SAFETY: the number comes from the program that ran in this process before, for us and nobody else.
        let mut file = unsafe { File::from_raw_fd(fd) };
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let handover: Self = serde_json::from_slice(&bytes)?;
        if !(VERSION_OLDEST..=VERSION).contains(&handover.version) {
            let message = format!("what was handed over has version {}", handover.version);
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        Ok(handover)
    }
}

/// Takes over a descriptor of the former program. It is not for commands.
pub(super) fn inherit<T: FromRawFd + AsFd>(fd: RawFd) -> io::Result<T> {
    // SAFETY: as above; each number is taken once.
    let owned = unsafe { T::from_raw_fd(fd) };
    keep_across_exec(&owned, Keep::No)?;
    Ok(owned)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    Yes,
    No,
}

pub(super) fn keep_across_exec(fd: &impl AsFd, keep: Keep) -> io::Result<()> {
    let flags = match keep {
        Keep::Yes => FdFlag::empty(),
        Keep::No => FdFlag::FD_CLOEXEC,
    };
    fcntl(fd.as_fd(), FcntlArg::F_SETFD(flags))?;
    Ok(())
}

/// The number under which the next program finds it.
pub(super) fn number(fd: &impl AsFd) -> RawFd {
    fd.as_fd().as_raw_fd()
}

#[cfg(test)]
mod tests {
    use std::os::fd::IntoRawFd;

    use super::*;

    fn handover() -> Handover {
        Handover {
            version: VERSION,
            lock: 5,
            listener: 6,
            records: 7,
            linger_ms: 8,
            draining: true,
            stopping: true,
            stays: true,
            ward: Some(12),
            underway: vec![Underway {
                slot: Slot(3),
                kill_at: Some(BootNs(9)),
                wake_at: None,
                pause_ms: 10,
                strays_used: Usage { cpu_user_us: 1, cpu_system_us: 2, rss_peak_bytes: 3 },
            }],
            strays: vec![Stray { pid: 11, owner: None }],
        }
    }

    #[test]
    fn what_was_handed_over_reads_back() {
        let file = handover().write().unwrap();
        assert_eq!(Handover::read(file.into_raw_fd()).unwrap(), handover());
    }

    #[test]
    fn a_version_that_is_not_known_is_refused() {
        let file = Handover { version: VERSION + 1, ..handover() }.write().unwrap();
        assert!(Handover::read(file.into_raw_fd()).is_err());
    }

    #[test]
    fn the_answer_about_versions_reads_back_and_others_are_none() {
        assert_eq!(parse_versions(&versions()), Some((VERSION_OLDEST, VERSION)));
        assert_eq!(parse_versions("usage: host --state-dir DIR"), None);
        assert_eq!(parse_versions("handover 1"), None);
    }
}
