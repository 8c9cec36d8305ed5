//! One connection to the host.

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd},
    path::Path,
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::Interest,
    net::UnixStream,
    time::{Instant, sleep, timeout},
};

use super::{
    super::{
        host,
        layout::{HOST_LOG, SOCKET},
        program::ProgramFile,
        wire::{self, FromHost, Hello, PROTOCOL, PROTOCOL_OLDEST, ToHost},
    },
    Config, Error, HostStart, upgrade,
};

/// A new host reads its records before it listens.
const START_TIME_MAX: Duration = Duration::from_secs(10);
/// One that was started may have found the lock of another that was just leaving.
const START_AGAIN: Duration = Duration::from_millis(500);
const CONNECT_PAUSE: Duration = Duration::from_millis(3);
const READ_BYTES: usize = 64 << 10;

#[derive(Debug)]
pub(super) struct Link {
    stream: UnixStream,
    input: Vec<u8>,
    taken: usize,
    output: Vec<u8>,
    pub boot: Arc<str>,
}

/// What a host answers to a hello.
enum Answer {
    Welcome(Link, Option<ProgramFile>),
    Refused { reason: String, program: Option<ProgramFile> },
}

impl Answer {
    fn program(&self) -> Option<ProgramFile> {
        match self {
            Self::Welcome(_, program) | Self::Refused { program, .. } => *program,
        }
    }

    fn link(self) -> Result<Link, Error> {
        match self {
            Self::Welcome(link, _) => Ok(link),
            Self::Refused { reason, .. } => Err(Error::Refused { reason }),
        }
    }
}

/// For a client that has just started: a host that runs another program is asked to become ours.
///
/// Asked only now and not at every reconnect, so that the client that started last decides, and two of different builds
/// don't replace each other's host for ever.
pub(super) async fn connect_first(config: &Config) -> Result<Link, Error> {
    let answer = meet(config).await?;
    if !upgrade::is_due(config, answer.program()) {
        return answer.link();
    }
    drop(answer);
    match upgrade::upgrade(config).await {
        Ok(()) => tracing::info!("the host of local commands was replaced by this version; commands go on"),
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "the host of local commands keeps its version");
        }
    }
    connect_or_start(config).await
}

pub(super) async fn connect_or_start(config: &Config) -> Result<Link, Error> {
    meet(config).await?.link()
}

async fn meet(config: &Config) -> Result<Answer, Error> {
    let deadline = Instant::now() + START_TIME_MAX;
    loop {
        match greet(open_or_start(config).await?, config).await {
            // A host that leaves just now takes its last clients with it.
            Err(Error::Connection(_)) if Instant::now() < deadline => {}
            other => return other,
        }
        sleep(CONNECT_PAUSE).await;
    }
}

/// A connection on which nothing was said yet.
pub(super) async fn open_or_start(config: &Config) -> Result<Link, Error> {
    let deadline = Instant::now() + START_TIME_MAX;
    let mut start_at = Instant::now();
    loop {
        match Link::open(&config.state_dir).await {
            Ok(link) => return Ok(link),
            Err(error) if is_absent(&error) => {
                if deadline < Instant::now() {
                    return Err(match config.host_start {
                        HostStart::WhenMissing => silent(config),
                        HostStart::Never => Error::Missing { dir: config.state_dir.clone() },
                    });
                }
                if config.host_start == HostStart::WhenMissing && start_at <= Instant::now() {
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

async fn greet(mut link: Link, config: &Config) -> Result<Answer, Error> {
    link.push(&ToHost::Hello(Hello {
        protocol: PROTOCOL,
        protocol_oldest: Some(PROTOCOL_OLDEST),
        installation: config.installation.0,
        node: config.node.0,
        linger_ms: u64::try_from(config.host_linger.as_millis()).unwrap_or(u64::MAX),
    }));
    match timeout(START_TIME_MAX, link.answer()).await {
        Ok(Ok(FromHost::Welcome { boot, program, protocol: PROTOCOL_OLDEST..=PROTOCOL })) => {
            link.boot = boot.into();
            Ok(Answer::Welcome(link, program))
        }
        Ok(Ok(FromHost::Welcome { protocol, program, .. })) => {
            let reason = format!("it speaks protocol {protocol}, we {PROTOCOL_OLDEST} to {PROTOCOL}");
            Ok(Answer::Refused { reason, program })
        }
        Ok(Ok(FromHost::Refused { reason, is_foreign: true, .. })) => Err(Error::Foreign { reason }),
        Ok(Ok(FromHost::Refused { reason, program, is_foreign: false })) => Ok(Answer::Refused { reason, program }),
        Ok(Ok(
            FromHost::Stopping { .. } | FromHost::Record(_) | FromHost::Synced { .. } | FromHost::Postponed { .. },
        )) => Err(Error::Connection(io::Error::new(io::ErrorKind::InvalidData, "the host did not greet"))),
        Ok(Err(error)) => Err(Error::Connection(error)),
        Err(_) => Err(silent(config)),
    }
}

pub(super) fn silent(config: &Config) -> Error {
    let log = config.state_dir.join(HOST_LOG);
    let text = std::fs::read(&log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let tail: Vec<&str> = text.lines().rev().take(3).collect();
    Error::Silent { log, tail: tail.into_iter().rev().collect::<Vec<_>>().join(" | ") }
}

impl Link {
    /// The process at the other end. `None` if it has ended, or lives among other processes than we see.
    pub(super) fn process(&self) -> Option<OwnedFd> {
        host::pidfd(self.stream.peer_cred().ok()?.pid()?).ok()
    }

    pub(super) fn new(stream: UnixStream) -> Self {
        Self { stream, input: Vec::new(), taken: 0, output: Vec::new(), boot: "".into() }
    }

    /// To a host that is there already.
    pub(super) async fn open(state_dir: &Path) -> io::Result<Self> {
        connect(state_dir).await.map(Self::new)
    }

    /// Sends what was pushed, and waits for the next message.
    pub(super) async fn answer(&mut self) -> io::Result<FromHost> {
        loop {
            if let Some(message) = self.next()? {
                return Ok(message);
            }
            self.transfer().await?;
        }
    }

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
