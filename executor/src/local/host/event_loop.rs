//! The one loop: signals, timers, clients, and the descriptors of commands that another host started.

use std::{
    collections::HashMap,
    fs::File,
    io,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixListener,
    },
};

use nix::{
    fcntl::Flock,
    libc,
    sys::{
        epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout},
        signalfd::SignalFd,
    },
};
use uuid::Uuid;

use super::{
    super::{
        program::ProgramFile,
        wire::{FromHost, Hello, PROTOCOL, PROTOCOL_OLDEST, ToHost, Upgrade},
    },
    attempts::{Attempts, Launched, Ward},
    clock::BootNs,
    connection::Connection,
    handover::{self, Handover},
    records::{Header, Slot},
    upgrade,
};

const LISTENER: u64 = 0;
const SIGNALS: u64 = 1;
const CLIENT: u64 = 1 << 32;
const WATCHED: u64 = 2 << 32;
const EMPTYING: u64 = 4 << 32;

const EVENTS_MAX: usize = 64;
/// More clients than schedulers and command lines that share a node.
const CLIENTS_MAX: usize = 64;
/// Messages of one client before the others, and the exits, get their turn: some milliseconds of spawning.
const MESSAGES_AT_ONCE: usize = 8;
/// Until a client says otherwise: it may still be on its way.
const LINGER_MS: u64 = 30_000;

/// What makes us the host, and how we are reached.
pub(super) struct Held<'a> {
    pub lock: &'a Flock<File>,
    pub listener: &'a UnixListener,
    pub signals: &'a SignalFd,
}

pub(super) struct Identity<'a> {
    pub boot: &'a str,
    /// `None` where /proc does not tell.
    pub program: Option<ProgramFile>,
}

/// How this program begins its work.
pub(super) struct Start<'a> {
    pub handover: Option<&'a Handover>,
    /// Stays also when nobody needs it.
    pub stays: bool,
    pub ward: Option<i32>,
}

struct Host<'a> {
    attempts: Attempts,
    clients: HashMap<u32, Connection>,
    next_client: u32,
    epoll: Epoll,
    identity: &'a Identity<'a>,
    linger_ms: u64,
    /// Since when nobody needs us.
    idle_since: Option<BootNs>,
    /// No new commands, and the end after the last one.
    draining: bool,
    /// Commands are being ended, too.
    stopping: bool,
    stays: bool,
    /// Who asked for another program, and which.
    upgrade: Option<(u32, Upgrade)>,
}

/// Why the host does not work for a client.
struct Refusal {
    reason: String,
    is_foreign: bool,
}

impl Refusal {
    fn passing(reason: String) -> Self {
        Self { reason, is_foreign: false }
    }
}

/// Returns when nobody has needed the host for long enough, with the status of the ward if there was one.
pub(super) fn run(
    attempts: Attempts,
    held: &Held<'_>,
    identity: &Identity<'_>,
    start: Start<'_>,
) -> io::Result<Option<i32>> {
    let handover = start.handover;
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    epoll.add(held.listener, EpollEvent::new(EpollFlags::EPOLLIN, LISTENER))?;
    epoll.add(held.signals, EpollEvent::new(EpollFlags::EPOLLIN, SIGNALS))?;
    for (fd, slot) in attempts.watched() {
        // SAFETY: the attempts hold the descriptor; closing it takes it out of the epoll set.
        let fd = unsafe { BorrowedFd::borrow_raw(fd) };
        epoll.add(fd, EpollEvent::new(EpollFlags::EPOLLIN, WATCHED | u64::from(slot.0)))?;
    }
    let mut host = Host {
        attempts,
        clients: HashMap::new(),
        next_client: 0,
        epoll,
        identity,
        linger_ms: handover.map_or(LINGER_MS, |handover| handover.linger_ms),
        idle_since: None,
        draining: handover.is_some_and(|handover| handover.draining),
        stopping: handover.is_some_and(|handover| handover.stopping),
        stays: start.stays || handover.is_some_and(|handover| handover.stays),
        upgrade: None,
    };
    let ward = start.ward.or(handover.and_then(|handover| handover.ward));
    host.attempts.ward = ward.map(|pid| Ward { pid, status: None });
    // Children that ended before we listened, in case we replaced our own program.
    let mut more = host.attempts.reap();
    loop {
        let mut events = [EpollEvent::empty(); EVENTS_MAX];
        let timeout = if more { EpollTimeout::ZERO } else { host.timeout() };
        let count = match host.epoll.wait(&mut events, timeout) {
            Ok(count) => count,
            Err(nix::Error::EINTR) => 0,
            Err(error) => return Err(error.into()),
        };
        let mut ready = Vec::new();
        for event in &events[..count] {
            match event.data() {
                LISTENER => host.accept(held.listener),
                SIGNALS => host.read_signals(held.signals),
                data if data & EMPTYING != 0 => host.attempts.group_changed(Slot(data as u32)),
                data if data & WATCHED != 0 => host.attempts.watched_ended(Slot(data as u32)),
                data => ready.push(data as u32),
            }
        }
        more = host.attempts.reap();
        host.follow_ward();
        for number in ready {
            host.read(number);
        }
        more |= host.serve();
        more |= host.drop_old_claims();
        host.attempts.tend(BootNs::now());
        host.watch_groups();
        host.publish();
        host.flush();
        if let Some((number, upgrade)) = host.upgrade.take() {
            host.replace_program(number, &upgrade, held);
        }
        if host.may_leave() {
            return Ok(host.attempts.ward.and_then(|ward| ward.status));
        }
    }
}

impl Host<'_> {
    fn timeout(&self) -> EpollTimeout {
        let now = BootNs::now();
        let timer = self.attempts.timers.first().map(|(at, _)| *at);
        let leave = self.idle_since.filter(|_| !self.stays).map(|since| since.plus_ms(self.linger_ms));
        let next = [timer, leave].into_iter().flatten().min();
        // An hour at most, for the sake of old claims.
        let ms = next.map_or(3_600_000, |at| now.ms_until(at).min(3_600_000));
        EpollTimeout::try_from(ms as i32).unwrap_or(EpollTimeout::ZERO)
    }

    fn accept(&mut self, listener: &UnixListener) {
        while let Ok((stream, _)) = listener.accept() {
            let Ok(connection) = Connection::new(stream) else { continue };
            if CLIENTS_MAX <= self.clients.len() || !connection.is_ours() {
                continue;
            }
            let number = self.next_client;
            self.next_client = number.wrapping_add(1);
            let event = EpollEvent::new(EpollFlags::EPOLLIN, CLIENT | u64::from(number));
            if self.epoll.add(connection.stream.as_fd(), event).is_ok() {
                self.clients.insert(number, connection);
            }
        }
    }

    fn read_signals(&mut self, signals: &SignalFd) {
        while let Ok(Some(signal)) = signals.read_signal() {
            // SIGCHLD only wakes us; every turn of the loop reaps. SIGHUP says that a terminal went, not ours.
            let number = signal.ssi_signo as i32;
            let is_order = [libc::SIGTERM, libc::SIGINT].contains(&number);
            let living_ward = self.attempts.ward.as_ref().filter(|ward| ward.status.is_none()).map(|ward| ward.pid);
            if let Some(pid) = living_ward
                && (is_order || number == libc::SIGHUP)
            {
                // SAFETY: our child, which nobody but us reaps.
                unsafe { libc::kill(pid, number) };
            }
            if is_order || (living_ward.is_some() && number == libc::SIGHUP) {
                // Whoever asks twice does not want to wait.
                self.stop(self.stopping.then_some(0));
            }
        }
    }

    /// Ends everything; the host leaves when nothing is left.
    fn stop(&mut self, grace_ms: Option<u64>) -> usize {
        let commands = self.attempts.stop(grace_ms);
        super::note(format_args!("asked to leave: {commands} commands are ended, and no new ones are started"));
        self.draining = true;
        self.stopping = true;
        commands
    }

    /// `true` if there are more.
    fn drop_old_claims(&mut self) -> bool {
        let dropped = self.attempts.drop_old_claims();
        dropped.inspect_err(|error| super::note(format_args!("cannot drop old claims: {error}"))).unwrap_or(false)
    }

    /// Without it, the timers look.
    fn watch_groups(&mut self) {
        for slot in std::mem::take(&mut self.attempts.to_watch) {
            if let Some(watch) = self.attempts.emptying.get(&slot) {
                let event = EpollEvent::new(EpollFlags::EPOLLPRI, EMPTYING | u64::from(slot.0));
                if let Err(error) = self.epoll.add(&watch.0, event) {
                    super::note(format_args!("cannot wait for a control group: {error}"));
                }
            }
        }
    }

    /// As the first process of a container: when its program ends, so does the container.
    fn follow_ward(&mut self) {
        if !self.stopping && self.attempts.ward.as_ref().is_some_and(|ward| ward.status.is_some()) {
            self.stop(None);
        }
    }

    fn read(&mut self, number: u32) {
        if let Some(client) = self.clients.get_mut(&number) {
            client.fill();
        }
    }

    /// Carries out some messages of every client. `true` if there are more.
    fn serve(&mut self) -> bool {
        let mut more = false;
        let numbers: Vec<u32> = self.clients.keys().copied().collect();
        for number in numbers {
            for served in 0.. {
                if served == MESSAGES_AT_ONCE {
                    more = true;
                    break;
                }
                let Some(client) = self.clients.get_mut(&number) else { break };
                match client.next() {
                    Ok(Some(message)) => self.carry_out(number, message),
                    Ok(None) => break,
                    Err(error) => {
                        super::note(format_args!("a client is disconnected: {error}"));
                        client.broken = true;
                        break;
                    }
                }
            }
        }
        more
    }

    fn carry_out(&mut self, number: u32, message: ToHost) {
        let message = match message {
            ToHost::Hello(hello) => return self.greet(number, &hello),
            ToHost::Upgrade(upgrade) => return self.upgrade = Some((number, upgrade)),
            ToHost::Stop { grace_ms } => {
                let commands = self.stop(grace_ms);
                if let Some(client) = self.clients.get_mut(&number) {
                    client.send(&FromHost::Stopping { commands });
                }
                return;
            }
            other => other,
        };
        let Some(client) = self.clients.get_mut(&number) else { return };
        if !client.greeted {
            client.broken = true;
            return;
        }
        match message {
            ToHost::Hello(_) | ToHost::Upgrade(_) | ToHost::Stop { .. } => {}
            ToHost::Launch(command) if self.draining => {
                let reason = "the host was asked to leave".into();
                client.send(&FromHost::Postponed { attempt: command.attempt, reason });
            }
            ToHost::Launch(command) => match self.attempts.launch(&command) {
                Launched::Claimed => {}
                Launched::Present(record) => client.send(&FromHost::Record(record)),
                Launched::Postponed(reason) => {
                    client.send(&FromHost::Postponed { attempt: command.attempt, reason });
                }
            },
            ToHost::Cancel { attempts } => {
                for order in &attempts {
                    match self.attempts.cancel(order) {
                        Ok(None) => {}
                        Ok(Some(record)) => client.send(&FromHost::Record(record)),
                        Err(reason) => client.send(&FromHost::Postponed { attempt: order.attempt, reason }),
                    }
                }
            }
            ToHost::Acknowledge { attempts } => attempts.iter().for_each(|attempt| self.attempts.acknowledge(*attempt)),
        }
    }

    fn greet(&mut self, number: u32, hello: &Hello) {
        let protocol = match self.agree(hello) {
            Ok(protocol) => protocol,
            Err(refusal) => return self.refuse(number, refusal),
        };
        let Some(client) = self.clients.get_mut(&number) else { return };
        self.linger_ms = hello.linger_ms;
        client.greeted = true;
        client.send(&FromHost::Welcome { protocol, boot: self.identity.boot.into(), program: self.identity.program });
        client.backlog = Some(self.attempts.open.keys().copied().collect());
    }

    fn refuse(&mut self, number: u32, refusal: Refusal) {
        let Some(client) = self.clients.get_mut(&number) else { return };
        let Refusal { reason, is_foreign } = refusal;
        client.send(&FromHost::Refused { reason, program: self.identity.program, is_foreign });
        client.flush();
        client.broken = true;
    }

    /// Comes back only if the program stays.
    fn replace_program(&mut self, number: u32, upgrade: &Upgrade, held: &Held<'_>) {
        let program = upgrade.command.first().map_or("", String::as_str);
        let reason = upgrade::objection(upgrade, self.identity.program).unwrap_or_else(|| {
            super::note(format_args!("becoming `{program}`; commands go on"));
            self.become_program(upgrade, held).to_string()
        });
        super::note(format_args!("the program stays, and does not become `{program}`: {reason}"));
        self.refuse(number, Refusal::passing(reason));
        self.clients.retain(|_, client| !client.broken);
    }

    fn become_program(&self, upgrade: &Upgrade, held: &Held<'_>) -> io::Error {
        let (underway, strays) = match self.attempts.to_hand_over() {
            Ok(both) => both,
            Err(error) => return error,
        };
        let records = self.attempts.records.file();
        let handover = Handover {
            version: handover::VERSION,
            lock: handover::number(&**held.lock),
            listener: handover::number(held.listener),
            records: handover::number(records),
            linger_ms: self.linger_ms,
            draining: self.draining,
            stopping: self.stopping,
            stays: self.stays,
            ward: self.attempts.ward.as_ref().map(|ward| ward.pid),
            underway,
            strays,
        };
        let fds = [held.lock.as_fd(), held.listener.as_fd(), records.as_fd()];
        upgrade::replace(&upgrade.command, &handover, &fds)
    }

    /// The protocol to use, or why we do not work for this client. A host that has nothing open serves whoever comes
    /// first.
    fn agree(&mut self, hello: &Hello) -> Result<u32, Refusal> {
        let Some(protocol) = hello.common_protocol() else {
            // Then the next host is of the client's version.
            self.draining |= self.attempts.is_idle() && !self.clients.values().any(|client| client.greeted);
            let oldest = hello.protocol_oldest.unwrap_or(hello.protocol);
            return Err(Refusal::passing(format!(
                "the host speaks the protocols {PROTOCOL_OLDEST} to {PROTOCOL}, the client {oldest} to {}",
                hello.protocol
            )));
        };
        let header = self.attempts.records.header();
        if (header.installation, header.node) == (hello.installation, hello.node) {
            return Ok(protocol);
        }
        if header.installation != Uuid::nil() && !self.attempts.open.is_empty() {
            return Err(Refusal {
                reason: format!(
                    "this state directory runs attempts of another installation ({}) or node ({}), we are \
                     installation {} and node {}: use another directory, or the database that they belong to",
                    header.installation, header.node, hello.installation, hello.node
                ),
                is_foreign: true,
            });
        }
        let written = if [Uuid::nil(), hello.installation].contains(&header.installation) {
            let header = Header { installation: hello.installation, node: hello.node, ..header };
            self.attempts.records.write_header(header)
        } else {
            self.attempts.begin_anew(hello.installation, hello.node)
        };
        written.map(|()| protocol).map_err(|error| Refusal::passing(format!("cannot write the records: {error}")))
    }

    /// Tells every client what changed, and new clients what they have missed.
    fn publish(&mut self) {
        // What we end is told by the next host: a scheduler that heard of it now would try again here, in vain.
        if self.stopping {
            return;
        }
        let changed = std::mem::take(&mut self.attempts.changed);
        for client in self.clients.values_mut().filter(|client| client.greeted) {
            for record in changed.iter().filter_map(|slot| self.attempts.shown(*slot)) {
                client.send(&FromHost::Record(record));
            }
            let Some(backlog) = &mut client.backlog else { continue };
            let mut told_all = false;
            let mut backlog = std::mem::take(backlog);
            while client.has_room() && !told_all {
                match backlog.pop_front() {
                    Some(slot) => {
                        if let Some(record) = self.attempts.shown(slot) {
                            client.send(&FromHost::Record(record));
                        }
                    }
                    None => told_all = true,
                }
            }
            if told_all {
                client.send(&FromHost::Synced { turn_max: self.attempts.turn_max });
            }
            client.backlog = (!told_all).then_some(backlog);
        }
    }

    fn flush(&mut self) {
        for (number, client) in &mut self.clients {
            client.flush();
            let interest = if client.has_output() || client.backlog.is_some() {
                EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT
            } else {
                EpollFlags::EPOLLIN
            };
            if std::mem::replace(&mut client.interest, interest) == interest {
                continue;
            }
            let mut event = EpollEvent::new(interest, CLIENT | u64::from(*number));
            if self.epoll.modify(client.stream.as_fd(), &mut event).is_err() {
                client.broken = true;
            }
        }
        self.clients.retain(|_, client| !client.broken);
    }

    fn may_leave(&mut self) -> bool {
        let has_ward = self.attempts.ward.as_ref().is_some_and(|ward| ward.status.is_none());
        if has_ward || !self.attempts.is_idle() || (!self.clients.is_empty() && !self.draining) {
            self.idle_since = None;
            return false;
        }
        let now = BootNs::now();
        let since = *self.idle_since.get_or_insert(now);
        self.draining || (!self.stays && since.plus_ms(self.linger_ms) <= now)
    }
}
