//! Wake-ups between processes. They carry no data and may get lost: a slow poll stands behind each.
//!
//! They are sent on a connection of their own after the commit: inside a transaction, NOTIFY serialises all commits.

use std::time::Duration;

use sqlx::{Connection, PgConnection, PgPool, postgres::PgListener};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

use crate::{Error, database::Database};

/// Between two wake-ups about turns. Each costs a commit and wakes every session that listens to anything, and a busy
/// leader commits a thousand turns a second.
const TURN_GAP: Duration = Duration::from_millis(20);

/// What may have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Channel {
    /// The inbox has a row: wakes the leader.
    Inbox,
    /// A turn was committed: wakes event streams.
    Turn,
    /// Attempts of nodes where the leader is not must be ended: wakes those nodes' schedulers.
    Node,
}

impl Channel {
    pub const ALL: [Self; 3] = [Self::Inbox, Self::Turn, Self::Node];

    fn name(self) -> &'static str {
        match self {
            Self::Inbox => "gridflow_inbox",
            Self::Turn => "gridflow_turn",
            Self::Node => "gridflow_node",
        }
    }
}

/// Sends wake-ups, many asked for at once as one. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Waker {
    inbox: mpsc::Sender<()>,
    turn: mpsc::Sender<()>,
    node: mpsc::Sender<()>,
}

impl Waker {
    /// Never waits: a wake-up that is still to be sent stands for this one, too.
    pub fn wake(&self, channel: Channel) {
        let sender = match channel {
            Channel::Inbox => &self.inbox,
            Channel::Turn => &self.turn,
            Channel::Node => &self.node,
        };
        // Full: one is on its way. Closed: the sender has ended, and polls do its work.
        let _ = sender.try_send(());
    }
}

/// The task behind [`Waker`]s.
#[derive(Debug)]
pub struct Sender {
    database: Database,
    inbox: mpsc::Receiver<()>,
    turn: mpsc::Receiver<()>,
    node: mpsc::Receiver<()>,
}

/// A waker and the task that sends for it.
pub fn sender(database: &Database) -> (Waker, Sender) {
    let (inbox, inbox_receiver) = mpsc::channel(1);
    let (turn, turn_receiver) = mpsc::channel(1);
    let (node, node_receiver) = mpsc::channel(1);
    let sender = Sender { database: database.clone(), inbox: inbox_receiver, turn: turn_receiver, node: node_receiver };
    (Waker { inbox, turn, node }, sender)
}

impl Sender {
    /// Sends until every waker is gone. While the database can't be reached, wake-ups are dropped: who listens polls.
    pub async fn run(mut self) {
        let mut conn = None;
        let mut turn_from = Instant::now();
        while let Some(channel) = self.next(turn_from).await {
            if channel == Channel::Turn {
                turn_from = Instant::now() + TURN_GAP;
            }
            if let Err(error) = send(&self.database, &mut conn, channel).await {
                conn = None;
                tracing::debug!(%error, "a wake-up could not be sent");
            }
        }
    }

    /// The next one to be sent; about turns not before `turn_from`. Until it is taken, it stands for those behind it.
    async fn next(&mut self, turn_from: Instant) -> Option<Channel> {
        let turn = async {
            sleep_until(turn_from).await;
            self.turn.recv().await
        };
        tokio::select! {
            Some(()) = self.inbox.recv() => Some(Channel::Inbox),
            Some(()) = turn => Some(Channel::Turn),
            Some(()) = self.node.recv() => Some(Channel::Node),
            else => None,
        }
    }
}

async fn send(database: &Database, conn: &mut Option<PgConnection>, channel: Channel) -> Result<(), Error> {
    let conn = match conn {
        Some(conn) => conn,
        None => conn.insert(PgConnection::connect_with(&database.connect).await?),
    };
    sqlx::query!("SELECT pg_notify($1, '')", channel.name()).execute(conn).await?;
    Ok(())
}

/// Waits for wake-ups of other processes.
#[derive(Debug)]
pub struct Listener {
    inner: PgListener,
    // Holds the listener's own connection, so that listeners don't use up the shared ones.
    _pool: PgPool,
}

/// Listens on a connection of its own, which comes back by itself.
pub async fn listen(database: &Database, channels: &[Channel]) -> Result<Listener, Error> {
    let pool = sqlx::postgres::PgPoolOptions::new()
        .max_connections(1)
        .max_lifetime(None)
        .idle_timeout(None)
        .connect_with(database.connect.clone())
        .await?;
    let mut inner = PgListener::connect_with(&pool).await?;
    inner.ignore_pool_close_event(true);
    inner.listen_all(channels.iter().map(|channel| channel.name())).await?;
    Ok(Listener { inner, _pool: pool })
}

impl Listener {
    /// Returns when any of the channels may have news, with those that have: all of them when the connection was lost
    /// and is back. What came meanwhile counts once.
    pub async fn woken(&mut self) -> Result<Vec<Channel>, Error> {
        let Some(first) = self.inner.try_recv().await? else { return Ok(Channel::ALL.to_vec()) };
        let mut names = vec![first];
        while let Some(more) = self.inner.next_buffered() {
            names.push(more);
        }
        let is_named = |channel: &Channel| names.iter().any(|name| name.channel() == channel.name());
        Ok(Channel::ALL.into_iter().filter(is_named).collect())
    }
}
