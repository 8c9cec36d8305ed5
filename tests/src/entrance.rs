//! A port of loopback at which connections are let in.

use std::{
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use anyhow::{Context, Result};

/// Open until it is closed, or dropped.
#[derive(Debug)]
pub(crate) struct Entrance {
    port: u16,
    is_closed: Arc<AtomicBool>,
}

impl Entrance {
    /// Every connection is handed to `admit`, one after the other, on a thread of this name.
    pub(crate) fn open(name: &str, mut admit: impl FnMut(TcpStream) + Send + 'static) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).context("listening")?;
        let port = listener.local_addr()?.port();
        let is_closed = Arc::new(AtomicBool::new(false));
        let theirs = Arc::clone(&is_closed);
        thread::Builder::new().name(name.into()).spawn(move || {
            for client in listener.incoming() {
                if theirs.load(Ordering::SeqCst) {
                    return;
                }
                if let Ok(client) = client {
                    admit(client);
                }
            }
        })?;
        Ok(Self { port, is_closed })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Nobody is let in any more. Who is in stays.
    pub(crate) fn close(&self) {
        if !self.is_closed.swap(true, Ordering::SeqCst) {
            // Its thread waits for a connection before it looks whether all is over.
            let _ = TcpStream::connect(("127.0.0.1", self.port));
        }
    }
}

impl Drop for Entrance {
    fn drop(&mut self) {
        self.close();
    }
}
