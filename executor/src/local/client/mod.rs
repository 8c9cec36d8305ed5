//! The scheduler's side: finds or starts the host, prepares what commands need, and reads what they left.

mod actor;
mod collecting;
mod leftovers;
mod link;
mod outcome;
mod stop;
mod upgrade;

pub use stop::{Stopping, stop_host};

use std::{collections::BTreeMap, ffi::OsString, io, path::PathBuf, time::Duration};

use gridflow_core::{AttemptId, InstallationId, NodeId, RunKey};
use tokio::sync::mpsc;

use super::{environment, launch::Launch, report::Report, scratch::Scratch};

/// Calls of the handle that wait for the executor.
const ORDERS_MAX: usize = 1024;
/// Reports that wait for the scheduler; the rest waits in the host's records.
const REPORTS_MAX: usize = 4096;

#[derive(Debug, Clone)]
pub struct Config {
    pub state_dir: PathBuf,
    /// Runs the host, which adds `--state-dir DIR`: `[gridflow, host]`.
    pub host_command: Vec<OsString>,
    pub host_start: HostStart,
    pub installation: InstallationId,
    pub node: NodeId,
    /// The scheduler's own environment. Commands get `PATH` and a few others of it, never the rest.
    pub environment: BTreeMap<String, String>,
    /// The largest output that is taken.
    pub output_bytes_max: u64,
    /// How long the host stays with neither clients nor commands.
    pub host_linger: Duration,
}

impl Config {
    pub fn new(state_dir: PathBuf, host_command: Vec<OsString>, installation: InstallationId, node: NodeId) -> Self {
        Self {
            state_dir,
            host_command,
            host_start: HostStart::WhenMissing,
            installation,
            node,
            environment: BTreeMap::new(),
            output_bytes_max: 1 << 20,
            host_linger: Duration::from_secs(5),
        }
    }
}

/// What a client does that finds no host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostStart {
    WhenMissing,
    /// A service runs it: wait.
    Never,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot use the state directory `{}`", dir.display())]
    StateDir {
        dir: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot start the host of local commands")]
    Start(#[source] io::Error),
    #[error("the host of local commands does not answer; its log is `{}`{}", log.display(), tail_of(tail))]
    Silent { log: PathBuf, tail: String },
    #[error(
        "no host of local commands runs on `{}`, and its service has to start it: `gridflow host --stay`",
        dir.display()
    )]
    Missing { dir: PathBuf },
    #[error("the host of local commands refuses to work for us: {reason}")]
    Refused { reason: String },
    /// The old program goes on.
    #[error("the host of local commands did not become the new program: {reason}")]
    NotUpgraded { reason: String },
    /// Its state directory runs attempts of another installation or node. Only a person can mend that.
    #[error("the host of local commands works for somebody else: {reason}")]
    Foreign { reason: String },
    #[error("the connection to the host of local commands broke")]
    Connection(#[source] io::Error),
    /// Every call after the executor has ended.
    #[error("the local executor has stopped")]
    Stopped,
}

fn tail_of(tail: &str) -> String {
    if tail.is_empty() { String::new() } else { format!(" and ends with: {tail}") }
}

/// The way in.
#[derive(Debug)]
pub struct LocalExecutor;

impl LocalExecutor {
    /// Connects to the host of the state directory, or starts it; one that runs another program than `host_command` is
    /// asked to become that, and its commands go on. Afterwards the connection keeps itself: a host that
    /// died is replaced, and what it has on record is reported again. Ends when the last handle is dropped; commands
    /// and host go on.
    pub async fn connect_or_start(config: Config) -> Result<(Handle, mpsc::Receiver<Report>), Error> {
        // The host and its commands work elsewhere.
        let state_dir = std::path::absolute(&config.state_dir)
            .map_err(|source| Error::StateDir { dir: config.state_dir.clone(), source })?;
        let config = Config { state_dir, environment: environment::allowed(&config.environment), ..config };
        let link = link::connect_first(&config).await?;
        let scratch = Scratch::open(&config.state_dir)
            .map_err(|source| Error::StateDir { dir: config.state_dir.clone(), source })?;
        let (orders, order_queue) = mpsc::channel(ORDERS_MAX);
        let (reports, report_queue) = mpsc::channel(REPORTS_MAX);
        tokio::spawn(actor::run(config, scratch, link, order_queue, reports));
        Ok((Handle { orders }, report_queue))
    }
}

/// Has a host that runs replaced by the program of `host_command`, if that is another one. Its commands go on.
pub async fn upgrade_host(config: &Config) -> Result<(), Error> {
    upgrade::upgrade(config).await
}

/// Tells the executor what to do. What it did comes as [`Report`]s.
#[derive(Debug, Clone)]
pub struct Handle {
    orders: mpsc::Sender<Order>,
}

#[derive(Debug)]
enum Order {
    Launch(Vec<Launch>),
    Cancel(Vec<(RunKey, AttemptId)>),
    Forestall(Vec<(RunKey, AttemptId)>),
    Acknowledge(Vec<AttemptId>),
}

impl Handle {
    /// Prepares and starts committed attempts. May be asked again for any of them.
    pub async fn launch(&self, launches: Vec<Launch>) -> Result<(), Error> {
        self.order(Order::Launch(launches)).await
    }

    /// Ends attempts, or keeps them from starting. The end is reported as any other.
    pub async fn cancel(&self, attempts: Vec<(RunKey, AttemptId)>) -> Result<(), Error> {
        self.order(Order::Cancel(attempts)).await
    }

    /// Keeps attempts from starting that nobody has started, and leaves all others alone. What became of each is reported.
    pub async fn forestall(&self, attempts: Vec<(RunKey, AttemptId)>) -> Result<(), Error> {
        self.order(Order::Forestall(attempts)).await
    }

    /// The ends are committed: working folders are removed, logs stay, and claims for a week.
    pub async fn acknowledge(&self, attempts: Vec<AttemptId>) -> Result<(), Error> {
        self.order(Order::Acknowledge(attempts)).await
    }

    async fn order(&self, order: Order) -> Result<(), Error> {
        self.orders.send(order).await.map_err(|_| Error::Stopped)
    }
}
