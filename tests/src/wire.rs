//! A wire to a server that fails as it is told. It knows nothing of what goes over it.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::Result;

use crate::entrance::Entrance;

/// A port of loopback that leads to a server. Everything ends when it is dropped.
#[derive(Debug)]
pub struct Wire {
    entrance: Entrance,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    upstream: SocketAddr,
    state: Mutex<State>,
    changed: Condvar,
    /// Connections that were ever asked for.
    asked: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    is_silent: bool,
    refuses: bool,
    open: Vec<TcpStream>,
}

impl Wire {
    pub fn start(upstream: SocketAddr) -> Result<Self> {
        let shared =
            Arc::new(Shared { upstream, state: Mutex::default(), changed: Condvar::new(), asked: AtomicUsize::new(0) });
        let theirs = Arc::clone(&shared);
        let entrance = Entrance::open("wire", move |client| begin(client, &theirs))?;
        Ok(Self { entrance, shared })
    }

    pub fn port(&self) -> u16 {
        self.entrance.port()
    }

    /// How many connections were ever asked for.
    pub fn connections(&self) -> usize {
        self.shared.asked.load(Ordering::SeqCst)
    }

    /// Ends all present connections.
    pub fn cut(&self) {
        for stream in self.shared.state().open.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Ends all, and lets nobody in.
    pub fn refuse(&self) {
        self.shared.state().refuses = true;
        self.cut();
    }

    /// Nothing gets through in either direction, and nobody is told.
    pub fn silence(&self) {
        self.shared.state().is_silent = true;
    }

    /// What waits goes on, and whoever comes is let in.
    pub fn heal(&self) {
        let mut state = self.shared.state();
        (state.is_silent, state.refuses) = (false, false);
        self.shared.changed.notify_all();
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.entrance.close();
        self.heal();
        self.cut();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while nothing gets through.
    fn pass(&self) {
        let state = self.state();
        drop(self.changed.wait_while(state, |state| state.is_silent).unwrap_or_else(PoisonError::into_inner));
    }
}

fn begin(client: TcpStream, shared: &Arc<Shared>) {
    shared.asked.fetch_add(1, Ordering::SeqCst);
    let shared = Arc::clone(shared);
    // What can't be forwarded is a connection that fails, as the client will see.
    let _ = thread::Builder::new().name("wire".into()).spawn(move || forward(client, &shared));
}

fn forward(client: TcpStream, shared: &Arc<Shared>) -> io::Result<()> {
    shared.pass();
    if shared.state().refuses {
        return client.shutdown(Shutdown::Both);
    }
    let server = TcpStream::connect_timeout(&shared.upstream, Duration::from_secs(5))?;
    {
        let mut state = shared.state();
        // Only those that live are worth being cut.
        state.open.retain(|stream| stream.peer_addr().is_ok());
        state.open.extend([client.try_clone()?, server.try_clone()?]);
    }
    let (up_from, up_to, theirs) = (client.try_clone()?, server.try_clone()?, Arc::clone(shared));
    let up = thread::Builder::new().name("wire up".into()).spawn(move || copy(up_from, up_to, &theirs))?;
    copy(server, client, shared);
    let _ = up.join();
    Ok(())
}

/// Until either end is gone; then both are.
fn copy(mut from: TcpStream, mut to: TcpStream, shared: &Shared) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        shared.pass();
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    shared.pass();
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
