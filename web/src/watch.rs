//! Waiting for what the leader does: one reader for everybody who waits.
//!
//! Wake-ups carry no data. Each makes one task read the states of all that is waited for, in one statement, and hand
//! them to those who wait. So a thousand waiting clients cost one statement per wake-up, and a lost wake-up costs
//! [`POLL`] at most.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use gridflow_core::{CommandId, RunKey, RunState};
use gridflow_store::{
    Database,
    api::{
        command::{self, CommandOutcome},
        dag_run,
    },
    notify::{self, Channel, Listener, Waker},
};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, sleep_until},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::error::{Error, Result};

/// The slow poll behind the wake-ups, while somebody waits.
const POLL: Duration = Duration::from_secs(2);
/// Wake-ups come with every turn of a busy leader; reading more often than this would only cost the database.
const READ_GAP: Duration = Duration::from_millis(5);
/// After the connection that listens broke.
const LISTEN_PAUSE: Duration = Duration::from_secs(1);
/// Runs or commands that are waited for at the same time.
const WAITED_MAX: usize = 2_000;

/// How web and a scheduler in the same process wake each other; what is not given goes through the database.
#[derive(Debug, Clone, Default)]
pub struct Wake {
    /// Web → scheduler: the inbox has a new row.
    pub inbox: Option<Arc<Notify>>,
    /// Scheduler → web: a turn is committed. Signalled with `notify_one`.
    pub turn: Option<Arc<Notify>>,
}

/// A handle to what is waited for.
#[derive(Debug, Clone)]
pub struct Watch(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    runs: Board<RunKey, RunState>,
    commands: Board<CommandId, CommandOutcome>,
    /// Somebody new waits: the states are read at once.
    joined: Notify,
    wake: Wake,
    waker: Waker,
    database: Database,
}

/// Starts the reader.
pub fn start(tasks: &TaskTracker, database: Database, wake: Wake, shutdown: CancellationToken) -> Watch {
    let (waker, sender) = notify::sender(&database);
    let runs = Board::default();
    let commands = Board::default();
    let watch = Watch(Arc::new(Inner { runs, commands, joined: Notify::new(), wake, waker, database }));
    tasks.spawn(shutdown.clone().run_until_cancelled_owned(sender.run()));
    tasks.spawn(read(watch.clone(), shutdown));
    watch
}

impl Watch {
    /// The states of a run from now on.
    pub fn run(&self, key: RunKey) -> Result<Waiting<RunKey, RunState>> {
        let waiting = Board::join(&self.0.runs, key)?;
        self.0.joined.notify_one();
        Ok(waiting)
    }

    /// The outcome of a command, once there is one.
    pub fn command(&self, id: CommandId) -> Result<Waiting<CommandId, CommandOutcome>> {
        let waiting = Board::join(&self.0.commands, id)?;
        self.0.joined.notify_one();
        Ok(waiting)
    }

    /// Tells schedulers that the inbox has a new row. A lost call is made good by their poll.
    pub fn wake_scheduler(&self) {
        match &self.0.wake.inbox {
            Some(inbox) => inbox.notify_one(),
            None => self.0.waker.wake(Channel::Inbox),
        }
    }
}

async fn read(watch: Watch, shutdown: CancellationToken) {
    let mut listener = None;
    let mut last = Instant::now();
    loop {
        let is_waited_for = !(watch.0.runs.is_empty() && watch.0.commands.is_empty());
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = watch.0.joined.notified() => {}
            () = turn(&watch.0, &mut listener), if is_waited_for => {}
            () = sleep(POLL), if is_waited_for => {}
        }
        sleep_until(last + READ_GAP).await;
        last = Instant::now();
        if let Err(error) = publish(&watch.0).await {
            tracing::warn!("states that clients wait for could not be read: {error}");
        }
    }
}

/// Returns when a turn may have been committed.
async fn turn(inner: &Inner, listener: &mut Option<Listener>) {
    match &inner.wake.turn {
        Some(turn) => turn.notified().await,
        None => {
            if let Err(error) = listen(&inner.database, listener).await {
                tracing::warn!("the connection that listens for turns broke: {error}");
                *listener = None;
                sleep(LISTEN_PAUSE).await;
            }
        }
    }
}

async fn listen(database: &Database, listener: &mut Option<Listener>) -> Result<(), gridflow_store::Error> {
    match listener {
        Some(listener) => listener.woken().await.map(drop),
        None => {
            // What happened before was missed: returning makes the caller read once more.
            *listener = Some(notify::listen(database, &[Channel::Turn]).await?);
            Ok(())
        }
    }
}

async fn publish(inner: &Inner) -> Result<(), gridflow_store::Error> {
    let mut conn = inner.database.reader().await?;
    let runs = inner.runs.keys();
    if !runs.is_empty() {
        inner.runs.publish(dag_run::states(&mut conn, &runs).await?);
    }
    let commands = inner.commands.keys();
    if !commands.is_empty() {
        inner.commands.publish(command::outcomes(&mut conn, &commands).await?);
    }
    Ok(())
}

/// What is waited for, with those who wait.
#[derive(Debug)]
struct Board<K, V>(Arc<Mutex<HashMap<K, watch::Sender<Option<V>>>>>);

impl<K, V> Default for Board<K, V> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Copy + Eq + Hash, V: Clone + PartialEq> Board<K, V> {
    fn join(&self, key: K) -> Result<Waiting<K, V>> {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if WAITED_MAX <= entries.len() && !entries.contains_key(&key) {
            return Err(Error::Unavailable("too many clients wait already".into()));
        }
        let receiver = entries.entry(key).or_insert_with(|| watch::channel(None).0).subscribe();
        Ok(Waiting { key, receiver: Some(receiver), entries: Arc::clone(&self.0) })
    }

    fn keys(&self) -> Vec<K> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).keys().copied().collect()
    }

    fn is_empty(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    fn publish(&self, states: Vec<(K, V)>) {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, state) in states {
            let Some(sender) = entries.get(&key) else { continue };
            sender.send_if_modified(|current| {
                let is_new = current.as_ref() != Some(&state);
                if is_new {
                    *current = Some(state);
                }
                is_new
            });
        }
    }
}

/// Somebody's place in the queue; leaves it when dropped.
#[derive(Debug)]
pub struct Waiting<K: Eq + Hash, V> {
    key: K,
    receiver: Option<watch::Receiver<Option<V>>>,
    entries: Arc<Mutex<HashMap<K, watch::Sender<Option<V>>>>>,
}

impl<K: Eq + Hash, V: Clone> Waiting<K, V> {
    /// The next state that was not seen here yet.
    ///
    /// Cancel safe.
    pub async fn next(&mut self) -> V {
        let receiver = self.receiver.as_mut().expect("only taken by drop");
        loop {
            // The sender lives as long as its entry, which lives as long as we do.
            receiver.changed().await.expect("the entry outlives those who wait");
            if let Some(state) = receiver.borrow_and_update().clone() {
                return state;
            }
        }
    }
}

impl<K: Eq + Hash, V> Drop for Waiting<K, V> {
    fn drop(&mut self) {
        self.receiver = None;
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.get(&self.key).is_some_and(|sender| sender.receiver_count() == 0) {
            entries.remove(&self.key);
        }
    }
}
