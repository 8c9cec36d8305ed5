//! One inotify instance for all file triggers: the system allows few instances and many watches.

use std::{
    collections::{HashMap, HashSet},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use tokio::sync::{Notify, mpsc, oneshot};

use crate::folder::{Sight, Watcher};

/// More unread sights than this are replaced by one: look at everything.
const SIGHTS_MAX: usize = 4096;
const REQUESTS_MAX: usize = 64;

/// Where triggers ask for folders to be watched.
#[derive(Debug, Clone)]
pub(crate) struct Hub {
    requests: mpsc::Sender<Request>,
}

/// One trigger's part of the watching; it ends when dropped.
#[derive(Debug)]
pub(crate) struct Subscription {
    requests: mpsc::Sender<Request>,
    mailbox: Arc<Mailbox>,
}

#[derive(Debug)]
struct Request {
    mailbox: Arc<Mailbox>,
    dirs: HashSet<PathBuf>,
    answer: oneshot::Sender<Answer>,
}

/// How a request for watching ended.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// A watch began: what happened before was not seen.
    pub is_new: bool,
    /// Some folder can't be watched: it has to be looked at from time to time.
    pub failure: Option<(PathBuf, io::Error)>,
}

#[derive(Debug, Default)]
struct Mailbox {
    sights: Mutex<Vec<Sight>>,
    news: Notify,
}

impl Mailbox {
    fn put(&self, sight: Sight) {
        let mut sights = self.sights.lock().unwrap_or_else(PoisonError::into_inner);
        if SIGHTS_MAX <= sights.len() {
            sights.clear();
            sights.push(Sight::Lost);
        } else if sights.last() != Some(&sight) {
            sights.push(sight);
        }
        drop(sights);
        self.news.notify_one();
    }
}

impl Hub {
    /// The hub, and the work that keeps it going as long as it is polled.
    pub fn new() -> (Self, impl Future<Output = ()>) {
        let (requests, receiver) = mpsc::channel(REQUESTS_MAX);
        (Self { requests }, serve(receiver))
    }

    pub fn subscribe(&self) -> Subscription {
        Subscription { requests: self.requests.clone(), mailbox: Arc::default() }
    }
}

impl Subscription {
    /// Watches these folders, and those of earlier requests no longer.
    pub async fn watch(&self, dirs: HashSet<PathBuf>) -> Answer {
        let (answer, answered) = oneshot::channel();
        let request = Request { mailbox: self.mailbox.clone(), dirs, answer };
        // The hub ends only together with all triggers.
        let _ = self.requests.send(request).await;
        answered.await.unwrap_or_default()
    }

    /// What was seen since the last call; waits until there is something.
    pub async fn sights(&self) -> Vec<Sight> {
        loop {
            let sights = std::mem::take(&mut *self.mailbox.sights.lock().unwrap_or_else(PoisonError::into_inner));
            if !sights.is_empty() {
                return sights;
            }
            self.mailbox.news.notified().await;
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let (answer, _) = oneshot::channel();
        // If the hub is too busy to hear it, the next request of anyone sweeps the mailbox out.
        let _ = self.requests.try_send(Request { mailbox: self.mailbox.clone(), dirs: HashSet::new(), answer });
    }
}

async fn serve(mut requests: mpsc::Receiver<Request>) {
    let mut watches = match Watcher::new() {
        Ok(watcher) => Watches { watcher, subscribers: HashMap::new() },
        Err(error) => return refuse_all(requests, &error).await,
    };
    loop {
        tokio::select! {
            request = requests.recv() => match request {
                Some(request) => watches.serve(request),
                None => return,
            },
            sights = watches.watcher.next() => match sights {
                Ok(sights) => sights.into_iter().for_each(|sight| watches.deliver(sight)),
                Err(error) => {
                    tracing::warn!(%error, "cannot read notifications about folders");
                    watches.deliver(Sight::Lost);
                    // Not at once again: it would fail again.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
        }
    }
}

/// Without inotify the triggers still look at their folders from time to time.
async fn refuse_all(mut requests: mpsc::Receiver<Request>, error: &io::Error) {
    while let Some(request) = requests.recv().await {
        let failure = request.dirs.into_iter().next().map(|dir| (dir, io::Error::new(error.kind(), error.to_string())));
        let _ = request.answer.send(Answer { is_new: false, failure });
    }
}

struct Watches {
    watcher: Watcher,
    /// Who wants to know about a folder.
    subscribers: HashMap<PathBuf, Vec<Weak<Mailbox>>>,
}

impl Watches {
    fn serve(&mut self, request: Request) {
        let Request { mailbox, dirs, answer } = request;
        let me = Arc::downgrade(&mailbox);
        let mut outcome = Answer::default();
        self.retain(|dir, subscriber| 0 < subscriber.strong_count() && (!subscriber.ptr_eq(&me) || dirs.contains(dir)));
        for dir in dirs {
            match self.watcher.watch(&dir) {
                Ok(is_new) => {
                    let subscribers = self.subscribers.entry(dir).or_default();
                    let is_subscribed = subscribers.iter().any(|subscriber| subscriber.ptr_eq(&me));
                    if !is_subscribed {
                        subscribers.push(me.clone());
                    }
                    outcome.is_new |= is_new || !is_subscribed;
                }
                // It went since it was seen; whatever is watched above it tells more.
                Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
                Err(error) => _ = outcome.failure.get_or_insert((dir, error)),
            }
        }
        // Nobody waits for the answer of a subscription that is dropped.
        let _ = answer.send(outcome);
    }

    fn retain(&mut self, is_kept: impl Fn(&Path, &Weak<Mailbox>) -> bool) {
        let Self { watcher, subscribers } = self;
        subscribers.retain(|dir, subscribers| {
            subscribers.retain(|subscriber| is_kept(dir, subscriber));
            if subscribers.is_empty() {
                watcher.unwatch(dir);
            }
            !subscribers.is_empty()
        });
    }

    fn deliver(&mut self, sight: Sight) {
        let put = |subscriber: &Weak<Mailbox>| {
            if let Some(mailbox) = subscriber.upgrade() {
                mailbox.put(sight.clone());
            }
        };
        match &sight {
            Sight::Lost => self.subscribers.values().flatten().for_each(put),
            Sight::Entry { dir, .. } => self.subscribers.get(&**dir).into_iter().flatten().for_each(put),
        }
    }
}
