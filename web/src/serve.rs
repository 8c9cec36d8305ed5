//! The server: connections, their limits, and an orderly end.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use gridflow_store::Database;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    log::LogPlace,
    router,
    security::{Gate, Token},
    state::{App, Shared},
    version_cache::VersionCache,
    watch::{self, Wake},
};

/// Below the usual limit of 1,024 file descriptors, with room for logs that are being read.
const CONNECTIONS_MAX: usize = 512;
/// Of a request's line and headers together.
const HEADER_BYTES_MAX: usize = 64 << 10;
const HEADERS_MAX: usize = 64;
/// A client that has not sent its headers by then is gone, or means ill. Also ends idle connections.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// What answers are given to finish after a shutdown was asked for.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);
/// After a failed accept (no file descriptors left): waits instead of spinning.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What the server needs.
#[derive(Debug)]
pub struct Config {
    /// Loopback only, until there are users. Port 0 takes any free one.
    pub address: SocketAddr,
    pub token: Token,
    pub database: Database,
    pub logs: LogPlace,
    pub wake: Wake,
    /// How long a handler waits for the leader's answer to a command; a takeover takes less than the default.
    pub command_timeout: Duration,
}

impl Config {
    /// See [`Config::command_timeout`].
    pub const COMMAND_TIMEOUT: Duration = Duration::from_secs(8);
}

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`{0}` is not a loopback address: binding elsewhere needs users, which do not exist yet")]
    NotLoopback(SocketAddr),
    #[error("can't listen on `{address}`")]
    Bind { address: SocketAddr, source: std::io::Error },
}

/// A server that accepts connections already, though nobody answers them before [`Server::run`].
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    config: Config,
}

impl Server {
    /// Binds the address.
    pub async fn bind(config: Config) -> Result<Self, Error> {
        let address = config.address;
        if !address.ip().is_loopback() {
            return Err(Error::NotLoopback(address));
        }
        let listener = TcpListener::bind(address).await.map_err(|source| Error::Bind { address, source })?;
        let address = listener.local_addr().map_err(|source| Error::Bind { address, source })?;
        Ok(Self { listener, address, config })
    }

    /// Where it listens: with the real port if 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the shutdown, then lets answers under way finish for a few seconds.
    pub async fn run(self, shutdown: CancellationToken) {
        let Self { listener, address, config } = self;
        let tasks = TaskTracker::new();
        let watch = watch::start(&tasks, config.database.clone(), config.wake, shutdown.clone());
        let app = App::new(Shared {
            database: config.database,
            logs: config.logs,
            watch,
            versions: VersionCache::default(),
            command_timeout: config.command_timeout,
            shutdown: shutdown.clone(),
        });
        let service = router::router(app, Arc::new(Gate::new(config.token, address)));
        tracing::info!(server.address = %address, "API at http://{address}/api/v2");
        accept(&listener, &service, &tasks, &shutdown).await;
        drop(listener);
        tasks.close();
        if tokio::time::timeout(SHUTDOWN_GRACE, tasks.wait()).await.is_err() {
            tracing::warn!(server.requests = tasks.len(), "requests were still under way at the shutdown");
        }
    }
}

/// Binds and serves until the shutdown.
pub async fn serve(config: Config, shutdown: CancellationToken) -> Result<(), Error> {
    Server::bind(config).await?.run(shutdown).await;
    Ok(())
}

async fn accept(listener: &TcpListener, service: &Router, tasks: &TaskTracker, shutdown: &CancellationToken) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let next = async {
            let permit = Arc::clone(&room).acquire_owned().await.expect("the semaphore is never closed");
            (listener.accept().await, permit)
        };
        let (accepted, permit) = tokio::select! {
            next = next => next,
            () = shutdown.cancelled() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                tasks.spawn(connection(stream, service.clone(), permit, shutdown.clone()));
            }
            Err(error) => {
                tracing::warn!("accepting a connection failed: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, service: Router, permit: OwnedSemaphorePermit, shutdown: CancellationToken) {
    // Small answers go out at once: waiting for more to send would cost milliseconds of a trigger's latency.
    stream.set_nodelay(true).ok();
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(HEADER_BYTES_MAX)
        .max_headers(HEADERS_MAX);
    let served = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    tokio::pin!(served);
    let result = tokio::select! {
        result = served.as_mut() => result,
        () = shutdown.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = result {
        tracing::debug!("a connection ended early: {error}");
    }
    drop(permit);
}
