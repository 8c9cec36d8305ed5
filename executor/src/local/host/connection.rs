//! One client of the host. Never blocks: what does not fit into its buffer costs it the connection, and upon the next
//! it reads the records again.

use std::{
    collections::VecDeque,
    io::{self, Read},
    os::{fd::AsRawFd, unix::net::UnixStream},
};

use nix::{libc, sys::epoll::EpollFlags};

use super::{
    super::wire::{self, FrameError, FromHost, ToHost},
    records::Slot,
};

/// Some ten thousand reports.
const OUT_BYTES_MAX: usize = 8 << 20;
/// While a client's first records are sent, more are added only below this.
const OUT_BYTES_LOW: usize = 256 << 10;
const READ_BYTES: usize = 64 << 10;

pub(super) struct Connection {
    pub stream: UnixStream,
    input: Vec<u8>,
    taken: usize,
    output: Vec<u8>,
    sent: usize,
    /// Its hello was accepted.
    pub greeted: bool,
    /// Records it has not been told yet, after its hello; `None` once it was told all.
    pub backlog: Option<VecDeque<Slot>>,
    pub broken: bool,
    /// What the event loop waits for.
    pub interest: EpollFlags,
}

impl Connection {
    pub(super) fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            input: Vec::new(),
            taken: 0,
            output: Vec::new(),
            sent: 0,
            greeted: false,
            backlog: None,
            broken: false,
            interest: EpollFlags::EPOLLIN,
        })
    }

    /// Reads what is there, once, unless a message waits already: the rest stays in the socket, whose size bounds it.
    pub(super) fn fill(&mut self) {
        if wire::is_whole(&self.input[self.taken..]) {
            return;
        }
        self.input.drain(..self.taken);
        self.taken = 0;
        let old = self.input.len();
        self.input.resize(old + READ_BYTES, 0);
        let read = self.stream.read(&mut self.input[old..]);
        self.input.truncate(old + *read.as_ref().unwrap_or(&0));
        match read {
            Ok(0) => self.broken = true,
            Ok(_) => {}
            Err(error) if is_patience(&error) => {}
            Err(_) => self.broken = true,
        }
    }

    /// The next whole message.
    pub(super) fn next(&mut self) -> Result<Option<ToHost>, FrameError> {
        let message = wire::decode(&self.input[self.taken..])?;
        Ok(message.map(|(message, bytes)| {
            self.taken += bytes;
            message
        }))
    }

    pub(super) fn send(&mut self, message: &FromHost) {
        let fits = self.output.len() - self.sent < OUT_BYTES_MAX;
        if !fits || wire::encode(&mut self.output, message).is_err() {
            super::note(format_args!("a client reads too slowly and is disconnected"));
            self.broken = true;
        }
    }

    pub(super) fn has_room(&self) -> bool {
        self.output.len() - self.sent < OUT_BYTES_LOW
    }

    pub(super) fn has_output(&self) -> bool {
        self.sent < self.output.len()
    }

    /// Writes as much as the client takes now.
    pub(super) fn flush(&mut self) {
        while self.has_output() && !self.broken {
            let rest = &self.output[self.sent..];
            // SAFETY: a descriptor and a buffer that we hold. Not `write`, which would kill us by SIGPIPE.
            let sent =
                unsafe { libc::send(self.stream.as_raw_fd(), rest.as_ptr().cast(), rest.len(), libc::MSG_NOSIGNAL) };
            match usize::try_from(sent) {
                Ok(sent) => self.sent += sent,
                Err(_) if is_patience(&io::Error::last_os_error()) => break,
                Err(_) => self.broken = true,
            }
        }
        if self.has_output() {
            if OUT_BYTES_LOW < self.sent {
                self.output.drain(..self.sent);
                self.sent = 0;
            }
        } else {
            self.output.clear();
            self.sent = 0;
        }
    }

    /// The same user or root.
    pub(super) fn is_ours(&self) -> bool {
        let credentials = nix::sys::socket::getsockopt(&self.stream, nix::sys::socket::sockopt::PeerCredentials);
        credentials.is_ok_and(|peer| peer.uid() == 0 || peer.uid() == nix::unistd::geteuid().as_raw())
    }
}

fn is_patience(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
