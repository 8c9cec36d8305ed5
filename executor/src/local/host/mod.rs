//! The host: parent and subreaper of all commands of one state directory.
//!
//! One thread, no runtime, a few megabytes: spawning is cheap and there is little that could go wrong. It is started by
//! whichever client finds none, in a session of its own, and ends when it has had neither clients nor commands for a
//! while; its records stay.

mod attempts;
mod cgroup;
mod children;
mod claims;
mod clock;
mod connection;
mod daemon;
mod ending;
mod event_loop;
mod failure;
mod handover;
mod init;
mod process;
mod record;
mod records;
mod recovery;
mod signals;
mod spawn;
mod upgrade;

use std::{io, os::fd::RawFd, path::PathBuf};

pub(super) use cgroup::has_cgroups;
pub use daemon::spawn;
pub(super) use handover::parse_versions as parse_handover_versions;
pub use handover::versions as handover_versions;
pub use init::{Part, Ward, split};
pub(super) use process::pidfd;

use super::{boot::boot_identity, layout, program::ProgramFile};

#[derive(Debug, Clone)]
pub struct HostConfig {
    pub state_dir: PathBuf,
    /// What the program that ran in this process before passes on, as a descriptor.
    pub handover: Option<RawFd>,
    /// Stays also when nobody needs it, as a service does.
    pub stays: bool,
    /// The child that this host was made for, as the first process of a container.
    pub ward: Option<Ward>,
}

impl HostConfig {
    pub fn new(state_dir: PathBuf) -> Self {
        Self { state_dir, handover: None, stays: false, ward: None }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot {action} in the state directory `{}`", dir.display())]
    StateDir {
        action: &'static str,
        dir: PathBuf,
        #[source]
        source: io::Error,
    },
    /// A second host of one state directory is impossible. Nothing is wrong: clients use the first.
    #[error("another host works in the state directory `{}`", dir.display())]
    AlreadyRuns { dir: PathBuf },
    #[error("cannot {action}")]
    System {
        action: &'static str,
        #[source]
        source: io::Error,
    },
}

/// Runs the host until it is idle for long enough; the answer is the exit code of its ward, if it has one. To be called first thing in a process, before any other thread: the
/// way in is [`spawn`].
pub fn run(config: &HostConfig) -> Result<Option<u8>, Error> {
    let dir = &config.state_dir;
    let in_dir = |action| move |source| Error::StateDir { action, dir: dir.clone(), source };
    let system = |action| move |source| Error::System { action, source };

    let handover = config.handover.map(handover::Handover::read).transpose();
    let handover = handover.map_err(system("read what was handed over"))?;
    let held = match &handover {
        Some(handover) => daemon::take_over(handover).map_err(system("take over from the program before"))?,
        None => {
            std::env::set_current_dir(dir).map_err(in_dir("work"))?;
            daemon::hold(dir)?
        }
    };
    let signals = signals::prepare().map_err(system("prepare the signals"))?;
    let boot = boot_identity().map_err(system("read the boot's identity from /proc"))?;
    let (records, found) = records::Records::read_all(held.records).map_err(in_dir("read the records"))?;
    let attempts = recovery::recover(hash(&boot), records, found, handover.as_ref());
    let attempts = attempts.map_err(system("prepare the spawning"))?;
    let listener = match held.listener {
        Some(listener) => listener,
        None => daemon::listen(layout::SOCKET.as_ref()).map_err(in_dir("listen"))?,
    };
    let held = event_loop::Held { lock: &held.lock, listener: &listener, signals: &signals };
    let identity = event_loop::Identity { boot: &boot, program: ProgramFile::own().ok() };
    let ward = config.ward.as_ref().map(Ward::begin);
    let start = event_loop::Start { handover: handover.as_ref(), stays: config.stays, ward };
    let status = event_loop::run(attempts, &held, &identity, start).map_err(system("wait for events"))?;
    Ok(status.map(init::exit_code))
}

/// When a process of our pid namespace started, in the kernel's ticks since boot.
pub(super) fn start_ticks_of(pid: i32) -> Option<u64> {
    process::stat(pid).map(|stat| stat.start_ticks)
}

fn hash(boot: &str) -> u64 {
    let hash = blake3::hash(boot.as_bytes());
    let (first, _) = hash.as_bytes().split_first_chunk::<8>().expect("a hash has 32 bytes");
    u64::from_le_bytes(*first)
}

/// Into the host's log, its stderr.
fn note(text: std::fmt::Arguments<'_>) {
    let now = chrono::DateTime::from_timestamp_micros(clock::wall_us()).unwrap_or_default();
    eprintln!("{} gridflow host[{}]: {text}", now.format("%Y-%m-%dT%H:%M:%S%.3fZ"), std::process::id());
}
