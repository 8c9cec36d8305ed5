//! One connection to the host.

use std::{io, os::fd::AsRawFd, path::Path, sync::Arc, time::Duration};

use tokio::{
    io::Interest,
    net::UnixStream,
    time::{Instant, sleep, timeout},
};

use super::{
    super::{
        host,
        layout::{HOST_LOG, SOCKET},
        wire::{self, FromHost, Hello, PROTOCOL, ToHost},
    },
    Config, Error,
};

/// A new host reads its records before it listens.
const START_TIME_MAX: Duration = Duration::from_secs(10);
/// One that was started may have found the lock of another that was just leaving.
const START_AGAIN: Duration = Duration::from_millis(500);
const CONNECT_PAUSE: Duration = Duration::from_millis(3);
const READ_BYTES: usize = 64 << 10;

pub(super) struct Link {
    stream: UnixStream,
    input: Vec<u8>,
    taken: usize,
    output: Vec<u8>,
    pub boot: Arc<str>,
}

pub(super) async fn connect_or_start(config: &Config) -> Result<Link, Error> {
    let deadline = Instant::now() + START_TIME_MAX;
    let mut start_at = Instant::now();
    loop {
        match connect(&config.state_dir).await {
            Ok(stream) => match greet(stream, config).await {
                // A host that leaves just now takes its last clients with it.
                Err(Error::Connection(_)) if Instant::now() < deadline => {}
                other => return other,
            },
            Err(error) if is_absent(&error) => {
                if deadline < Instant::now() {
                    return Err(silent(config));
                }
                if start_at <= Instant::now() {
                    start_at = Instant::now() + START_AGAIN;
                    start(config).await?;
                }
            }
            Err(source) => return Err(Error::StateDir { dir: config.state_dir.clone(), source }),
        }
        sleep(CONNECT_PAUSE).await;
    }
}

async fn start(config: &Config) -> Result<(), Error> {
    let (command, dir) = (config.host_command.clone(), config.state_dir.clone());
    let started = tokio::task::spawn_blocking(move || host::spawn(&command, &dir)).await;
    started.map_err(|error| Error::Start(io::Error::other(error)))?.map_err(Error::Start)
}

/// Through the folder's descriptor, since the path of a socket has at most 107 bytes.
async fn connect(state_dir: &Path) -> io::Result<UnixStream> {
    let dir = std::fs::File::open(state_dir)?;
    UnixStream::connect(format!("/proc/self/fd/{}/{SOCKET}", dir.as_raw_fd())).await
}

/// Nobody listens, too many knock at once, or the host died at that moment.
fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::WouldBlock
    )
}

async fn greet(stream: UnixStream, config: &Config) -> Result<Link, Error> {
    let mut link = Link { stream, input: Vec::new(), taken: 0, output: Vec::new(), boot: "".into() };
    link.push(&ToHost::Hello(Hello {
        protocol: PROTOCOL,
        installation: config.installation.0,
        node: config.node.0,
        linger_ms: u64::try_from(config.host_linger.as_millis()).unwrap_or(u64::MAX),
    }));
    let answer = async {
        loop {
            if let Some(message) = link.next()? {
                return Ok(message);
            }
            link.transfer().await?;
        }
    };
    match timeout(START_TIME_MAX, answer).await {
        Ok(Ok(FromHost::Welcome { boot, .. })) => {
            link.boot = boot.into();
            Ok(link)
        }
        Ok(Ok(FromHost::Refused { reason })) => Err(Error::Refused { reason }),
        Ok(Ok(
            FromHost::Record(_) | FromHost::Synced { .. } | FromHost::Postponed { .. } | FromHost::Conflict { .. },
        )) => Err(Error::Connection(io::Error::new(io::ErrorKind::InvalidData, "the host did not greet"))),
        Ok(Err(error)) => Err(Error::Connection(error)),
        Err(_) => Err(silent(config)),
    }
}

fn silent(config: &Config) -> Error {
    let log = config.state_dir.join(HOST_LOG);
    let text = std::fs::read(&log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let tail: Vec<&str> = text.lines().rev().take(3).collect();
    Error::Silent { log, tail: tail.into_iter().rev().collect::<Vec<_>>().join(" | ") }
}

impl Link {
    /// Sent with the next [`transfer`](Self::transfer). A message that no frame can hold is left out.
    pub(super) fn push(&mut self, message: &ToHost) {
        if let Err(error) = wire::encode(&mut self.output, message) {
            tracing::error!(%error, "a message to the host is too long and was not sent");
        }
    }

    pub(super) fn push_frame(&mut self, frame: &[u8]) {
        self.output.extend_from_slice(frame);
    }

    pub(super) fn has_output(&self) -> bool {
        !self.output.is_empty()
    }

    pub(super) fn next(&mut self) -> io::Result<Option<FromHost>> {
        let message = wire::decode(&self.input[self.taken..])
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        let Some((message, bytes)) = message else {
            self.input.drain(..self.taken);
            self.taken = 0;
            return Ok(None);
        };
        self.taken += bytes;
        Ok(Some(message))
    }

    /// Waits until something could be read or written, and does it. May be dropped while it waits.
    pub(super) async fn transfer(&mut self) -> io::Result<()> {
        let interest = if self.has_output() { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
        let ready = self.stream.ready(interest).await?;
        if ready.is_writable() && self.has_output() {
            match self.stream.try_write(&self.output) {
                Ok(sent) => drop(self.output.drain(..sent)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        if ready.is_readable() {
            let old = self.input.len();
            self.input.resize(old + READ_BYTES, 0);
            let read = self.stream.try_read(&mut self.input[old..]);
            self.input.truncate(old + *read.as_ref().unwrap_or(&0));
            match read {
                Ok(0) => return Err(io::ErrorKind::ConnectionReset.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
