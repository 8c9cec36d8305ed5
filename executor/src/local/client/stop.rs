//! Stopping a host, whoever started it.

use std::{
    ffi::OsString,
    fs::File,
    io,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
    time::Duration,
};

use gridflow_core::{InstallationId, NodeId};
use nix::{
    fcntl::{Flock, FlockArg},
    poll::{PollFd, PollFlags, PollTimeout, poll},
};
use tokio::time::sleep;
use uuid::Uuid;

use super::{
    super::{
        layout::{LOCK, RECORDS},
        wire::{FromHost, ToHost},
    },
    Config, Error,
    link::{self, Link},
};

const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A host that is ending its commands.
#[derive(Debug)]
pub struct Stopping {
    link: Link,
    lock: PathBuf,
    /// The host. `None` where it lives among other processes than we see.
    process: Option<OwnedFd>,
    /// What it had to end.
    pub commands: usize,
}

/// Asks the host of a state directory to end its commands and to leave: SIGTERM, then SIGKILL after the grace of each
/// command, and after `grace` at the latest. They end `lost`, and so are tried again.
///
/// Commands of a host that died may live, so `host_command` is started once more if there are records. `None` if there
/// are none.
pub async fn stop_host(
    state_dir: &Path,
    host_command: &[OsString],
    grace: Option<Duration>,
) -> Result<Option<Stopping>, Error> {
    if !state_dir.join(RECORDS).exists() {
        return Ok(None);
    }
    let (installation, node) = (InstallationId(Uuid::nil()), NodeId(Uuid::nil()));
    let config = Config::new(state_dir.to_owned(), host_command.to_vec(), installation, node);
    let mut link = link::open_or_start(&config).await?;
    let grace_ms = grace.map(|grace| u64::try_from(grace.as_millis()).unwrap_or(u64::MAX));
    link.push(&ToHost::Stop { grace_ms });
    match link.answer().await {
        Ok(FromHost::Stopping { commands }) => {
            let process = link.process();
            Ok(Some(Stopping { link, lock: state_dir.join(LOCK), process, commands }))
        }
        Ok(_) => Err(Error::Connection(io::Error::new(io::ErrorKind::InvalidData, "the host does not stop"))),
        // It left just now.
        Err(error) => Err(Error::Connection(error)),
    }
}

impl Stopping {
    /// Returns when the host has gone, and with it every process of its attempts.
    pub async fn wait(mut self) {
        while self.link.answer().await.is_ok() {}
        // Its descriptors are closed one after the other, then it is gone.
        while File::open(&self.lock).is_ok_and(|lock| Flock::lock(lock, FlockArg::LockSharedNonblock).is_err()) {
            sleep(LOOK_EVERY).await;
        }
        while self.process.as_ref().is_some_and(is_alive) {
            sleep(LOOK_EVERY).await;
        }
    }
}

/// The descriptor of a process can be read once it has ended.
fn is_alive(process: &OwnedFd) -> bool {
    poll(&mut [PollFd::new(process.as_fd(), PollFlags::POLLIN)], PollTimeout::ZERO) == Ok(0)
}
