//! The shell around the core: leadership, the commit loop, timers, triggers, commands.
//!
//! ```text
//! folder of DAGs ─▶ bundle ─┐
//! file triggers ──T1──▶ inbox ─▶ turn: step ▶ admit ▶ answer ▶ commit ▶ act ─▶ executor
//! people, API ────────▶ inbox ─┘     ▲                                           │
//!                                    └────────────── reports ◀───────────────────┘
//! ```
//!
//! **Architecture Invariant:** this crate owns no rule. It waits, asks the core, writes what the
//! core decided in one fenced transaction, and only then acts. It never looks at the state of a task.

mod act;
mod answer;
mod beside;
pub mod bundle;
mod config;
mod error;
mod executors;
mod folder;
mod host;
mod inbox;
mod lead;
mod leadership;
pub mod local_run;
mod memory;
mod node;
mod parts;
mod prepare;
mod publish;
mod pulse;
mod quarantine;
mod reports;
mod restore;
mod shared;
mod tend;
pub mod trigger;
mod turn;
mod unhurried;
mod upkeep;
mod version;

use std::{sync::Arc, time::Duration};

use gridflow_store::{
    Database,
    notify::{self, Channel},
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

pub use config::{Cluster, Clusters, Config};
pub use error::Error;
pub(crate) use leadership::chain;
use parts::Parts;
pub(crate) use shared::Shared;

/// After a lost connection of the listener.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);

/// What the scheduler and the other parts of its process tell each other without the database. They
/// carry no data and only shorten a wait.
#[derive(Debug, Clone, Default)]
pub struct Signals {
    /// To the scheduler: a request may lie in the inbox.
    pub inbox: Arc<Notify>,
    /// To the scheduler: attempts of this node may have to be ended for a leader elsewhere.
    pub node: Arc<Notify>,
    /// From the scheduler: a turn is committed.
    pub turn: Arc<Notify>,
    /// From the scheduler, each time it has compared the folder of DAGs with what is published, and
    /// when it begins to stand by.
    pub settled: Arc<Notify>,
}

/// Runs a scheduler until the shutdown: it leads or stands by. Commands that run go on when it ends.
pub async fn run(
    config: Config,
    database: Database,
    signals: Signals,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let node = node::node_id(&config.state_dir)?;
    let installation = gridflow_store::node::installation(&mut *database.reader().await?).await?;
    let bundle = bundle::Config { defaults: config.defaults.clone(), ..bundle::Config::new(config.dags.clone()) };
    let (bundle, snapshots) = bundle::Bundle::new(bundle);
    let (waker, sender) = notify::sender(&database);
    let shared = Arc::new(Shared {
        config,
        database,
        node,
        installation,
        signals,
        waker,
        snapshots,
        wanted: shared::no_triggers(),
        quarantine: quarantine::Quarantine::default(),
    });
    let mut parts = Parts::default();
    let end = shutdown.child_token();
    parts.spawn("the watch over the folder of DAGs", bundle.run(end.clone()));
    parts.spawn("the sender of wake-ups", until(end.clone(), sender.run()));
    parts.spawn("the listener for wake-ups", until(end.clone(), listen(Arc::clone(&shared))));
    let mut leading = std::pin::pin!(leadership::keep_leading(shared, shutdown.clone()));
    let ended = loop {
        tokio::select! {
            biased;
            ended = &mut leading => break ended,
            // They end at a shutdown, too.
            error = parts.one_ended() => if !shutdown.is_cancelled() { break Err(error) },
        }
    };
    end.cancel();
    parts.all_ended().await;
    ended
}

/// Work that goes on until the token is cancelled.
pub(crate) async fn until(end: CancellationToken, work: impl Future<Output = ()>) {
    end.run_until_cancelled_owned(work).await;
}

/// Turns notifications of other processes into wake-ups. Lost ones are made up for by the heartbeat.
async fn listen(shared: Arc<Shared>) {
    loop {
        let mut listener = match notify::listen(&shared.database, &[Channel::Inbox, Channel::Node]).await {
            Ok(listener) => listener,
            Err(error) => {
                tracing::debug!("can't listen for wake-ups: {}", chain(&error));
                tokio::time::sleep(LISTEN_AGAIN).await;
                continue;
            }
        };
        while let Ok(channels) = listener.woken().await {
            for channel in channels {
                match channel {
                    Channel::Inbox => shared.signals.inbox.notify_one(),
                    Channel::Node => shared.signals.node.notify_one(),
                    Channel::Turn => {}
                }
            }
        }
    }
}
