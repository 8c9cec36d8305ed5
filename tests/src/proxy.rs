//! A network between a scheduler and PostgreSQL that fails as it is told.
//!
//! It forwards message by message of PostgreSQL's protocol, of which it knows just enough to name the moments that
//! matter: a session's name, a transaction under way, the answer to a commit.
//!
//! ```text
//! scheduler ──▶ proxy ──▶ PostgreSQL        each connection is a link with a fault of its own
//! ```

mod link;
mod message;

use std::{
    io,
    net::{Shutdown, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use anyhow::Result;

use crate::{entrance::Entrance, wait_for};

/// The name that a session which leads, or stands by to, gives itself.
pub(crate) const LEADER_SESSION: &str = "gridflow leader";

/// What happens at the next such moment of a leader's session. Once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// A turn was committed: its answer is swallowed, and the connection stays silent.
    CommitAnswerSwallowed,
    /// A turn was committed: in the place of its answer the connection ends.
    CommitAnswerCut,
    /// A turn is under way, and nothing gets through any more, in neither direction.
    BlackHoleInTurn,
    /// A turn is under way, and its connection ends.
    CutInTurn,
}

/// A proxy and all its connections. Everything ends when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    entrance: Entrance,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    upstream: u16,
    network: Mutex<Network>,
    changed: Condvar,
}

/// What the network is like now.
#[derive(Debug, Default)]
struct Network {
    refuses: bool,
    /// Nothing gets through; who waits goes on when it ends.
    is_black_hole: bool,
    delay: Duration,
    armed: Option<Moment>,
    fired: usize,
    healed: usize,
    links: Vec<LinkEnds>,
}

/// Enough of a connection to end it, and to know it again in `pg_stat_activity`.
#[derive(Debug)]
struct LinkEnds {
    client: TcpStream,
    server: TcpStream,
    server_side_port: u16,
}

impl Proxy {
    /// A proxy to a server on loopback.
    pub fn start(upstream: u16) -> Result<Self> {
        let shared = Arc::new(Shared { upstream, network: Mutex::default(), changed: Condvar::new() });
        let theirs = Arc::clone(&shared);
        let entrance = Entrance::open("proxy", move |client| {
            // A server that is down refuses; so do we.
            if !theirs.network().refuses {
                let _ = begin(client, &theirs);
            }
        })?;
        Ok(Self { entrance, shared })
    }

    pub fn port(&self) -> u16 {
        self.entrance.port()
    }

    /// Ends all present connections.
    pub fn cut(&self) {
        for link in self.shared.network().links.drain(..) {
            link.end();
        }
    }

    /// Whether new connections are refused.
    pub fn refuse(&self, refuses: bool) {
        self.change(|network| network.refuses = refuses);
    }

    /// Each message takes that much longer.
    pub fn slow(&self, delay: Duration) {
        self.change(|network| network.delay = delay);
    }

    /// Nothing gets through, and nobody is told.
    pub fn black_hole(&self) {
        self.change(|network| network.is_black_hole = true);
    }

    /// Everything is well again; what was held goes on, as TCP would have sent it again.
    pub fn heal(&self) {
        self.change(|network| {
            (network.refuses, network.is_black_hole) = (false, false);
            (network.delay, network.armed) = (Duration::ZERO, None);
            network.healed += 1;
        });
    }

    /// Prepares a fault for the next such moment. See [`Proxy::wait_until_fired`].
    pub fn arm(&self, moment: Moment) {
        self.change(|network| {
            network.armed = Some(moment);
            network.fired = 0;
        });
    }

    /// Waits until what was armed has happened.
    pub fn wait_until_fired(&self, within: Duration) -> Result<()> {
        wait_for("the moment of the fault", within, || Ok((0 < self.shared.network().fired).then_some(())))
    }

    pub fn has_fired(&self) -> bool {
        0 < self.shared.network().fired
    }

    /// Whether PostgreSQL sees a client with this port through us.
    pub fn carries(&self, client_port: u16) -> bool {
        self.shared.network().links.iter().any(|link| link.server_side_port == client_port)
    }

    fn change(&self, change: impl FnOnce(&mut Network)) {
        change(&mut self.shared.network());
        self.shared.changed.notify_all();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.entrance.close();
        self.heal();
        self.cut();
    }
}

impl Shared {
    fn network(&self) -> MutexGuard<'_, Network> {
        self.network.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while nothing gets through.
    fn pass(&self) {
        let mut network = self.network();
        while network.is_black_hole {
            network = self.changed.wait(network).unwrap_or_else(PoisonError::into_inner);
        }
        let delay = network.delay;
        drop(network);
        if !delay.is_zero() {
            thread::sleep(delay);
        }
    }

    fn wait_until_healed(&self) {
        let mut network = self.network();
        let before = network.healed;
        while network.healed == before {
            network = self.changed.wait(network).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// What is armed, if it is this.
    fn armed(&self, is_it: impl Fn(Moment) -> bool) -> Option<Moment> {
        self.network().armed.filter(|armed| is_it(*armed))
    }

    /// Whether what is armed is about this moment; then it is armed no more.
    fn fire(&self, is_it: impl Fn(Moment) -> bool) -> Option<Moment> {
        let mut network = self.network();
        let fired = network.armed.take_if(|armed| is_it(*armed))?;
        network.fired += 1;
        Some(fired)
    }
}

impl LinkEnds {
    fn end(&self) {
        // Either may be gone already.
        let _ = self.client.shutdown(Shutdown::Both);
        let _ = self.server.shutdown(Shutdown::Both);
    }
}

fn begin(client: TcpStream, shared: &Arc<Shared>) -> io::Result<()> {
    let server = TcpStream::connect(("127.0.0.1", shared.upstream))?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let server_side_port = server.local_addr()?.port();
    let ends = LinkEnds { client: client.try_clone()?, server: server.try_clone()?, server_side_port };
    shared.network().links.push(ends);
    let theirs = Arc::clone(shared);
    thread::Builder::new().name("link".into()).spawn(move || {
        link::run(client, server, &theirs);
        theirs.network().links.retain(|link| link.server_side_port != server_side_port);
    })?;
    Ok(())
}
