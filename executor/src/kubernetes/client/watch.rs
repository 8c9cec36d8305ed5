//! One watch per namespace and kind: a paged list, then everything that changes.
//!
//! Not kube's own watcher: that has no deadline on lists and on the start of a watch, so a connection that was silently
//! cut would hold it for ever; and it keeps whole pods.

use std::time::Duration;

use futures_util::{TryStreamExt, pin_mut};
use gridflow_core::InstallationId;
use kube::{
    api::{ListParams, WatchEvent, WatchParams},
    core::Request,
};
use serde::Deserialize;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout},
};

use super::{
    super::{attempt::Site, fleet::Word},
    access::Cluster,
    call::chain,
    sight::Sight,
    watched::{Watched, selector},
};

const PAGE: u32 = 500;
const PAGE_WITHIN: Duration = Duration::from_secs(60);
const START_WITHIN: Duration = Duration::from_secs(15);
/// The server ends a watch after that long, so that a silent one can be told from a cut one.
const WATCH_S: u32 = 30;
const SILENT_MAX: Duration = Duration::from_secs(WATCH_S as u64 + 10);
const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(15);

/// What was seen of one namespace, in order.
pub(super) type Words = (Site, Vec<Word>);

#[derive(Clone)]
pub(super) struct Watch {
    pub(super) cluster: Cluster,
    pub(super) site: Site,
    pub(super) installation: InstallationId,
    pub(super) words: mpsc::Sender<Words>,
}

enum Broke {
    /// What was seen is too old to go on from: list again.
    Expired,
    Failed(String),
    /// The executor ends.
    Over,
}

/// Watches until the executor ends.
pub(super) async fn run<K: Watched>(watch: Watch) {
    let mut pause = Pause::default();
    let mut stale = Pause::default();
    let mut sight = Sight::default();
    loop {
        let mut version = match list::<K>(&watch).await {
            Ok(version) => version,
            Err(Broke::Over) => return,
            Err(Broke::Expired) => {
                pause.wait().await;
                continue;
            }
            Err(Broke::Failed(reason)) => {
                watch.warn::<K>("list", &reason, pause.failures);
                if watch.unseen::<K>(&mut sight, &reason).await.is_err() {
                    return;
                }
                pause.wait().await;
                continue;
            }
        };
        if watch.seen::<K>(&mut sight).await.is_err() {
            return;
        }
        pause = Pause::default();
        let listed = version.clone();
        loop {
            match follow::<K>(&watch, &mut version, &mut pause, &mut sight).await {
                Ok(()) => {}
                Err(Broke::Over) => return,
                Err(Broke::Expired) => {
                    let (cluster, namespace) = (&*watch.cluster.name, &*watch.site.namespace);
                    tracing::info!(cluster, namespace, "what was seen of {} is too old to go on from", K::NAME);
                    // A server to which even what it has just listed is too old would be asked for nothing but lists.
                    if version != listed {
                        stale = Pause::default();
                    }
                    stale.wait().await;
                    break;
                }
                Err(Broke::Failed(reason)) => {
                    watch.warn::<K>("watch", &reason, pause.failures);
                    if watch.unseen::<K>(&mut sight, &reason).await.is_err() {
                        return;
                    }
                    pause.wait().await;
                }
            }
        }
    }
}

#[derive(Debug, Default)]
struct Pause {
    failures: u32,
}

impl Pause {
    async fn wait(&mut self) {
        sleep((PAUSE_MIN * 2u32.pow(self.failures.min(10))).min(PAUSE_MAX)).await;
        self.failures += 1;
    }
}

impl Watch {
    fn request<K: Watched>(&self) -> Request {
        Request::new(K::path(&self.site.namespace))
    }

    async fn say(&self, words: Vec<Word>) -> Result<(), Broke> {
        if words.is_empty() {
            return Ok(());
        }
        self.words.send((self.site.clone(), words)).await.map_err(|_| Broke::Over)
    }

    /// It can be watched, maybe again.
    async fn seen<K: Watched>(&self, sight: &mut Sight) -> Result<(), Broke> {
        let news = sight.regain().then_some(Word::Unseen(K::KIND, None));
        self.say(news.into_iter().collect()).await
    }

    async fn unseen<K: Watched>(&self, sight: &mut Sight, reason: &str) -> Result<(), Broke> {
        let words = || {
            let (name, cluster, namespace) = (K::NAME, &self.cluster.name, &self.site.namespace);
            let place = format!("the {name} of namespace `{namespace}` of cluster `{cluster}`");
            Word::Unseen(K::KIND, Some(format!("{place} can't be watched now: {reason}").into()))
        };
        let news = sight.lose(Instant::now()).then(words);
        self.say(news.into_iter().collect()).await
    }

    fn warn<K: Watched>(&self, what: &str, reason: &str, failures: u32) {
        // A server that is away for a night is not worth a line a second.
        if (failures + 1).is_power_of_two() {
            let (cluster, namespace) = (&*self.cluster.name, &*self.site.namespace);
            tracing::warn!(cluster, namespace, reason, "cannot {what} the {} of a namespace now", K::NAME);
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(bound = "")]
struct RawList<K: Watched> {
    metadata: RawListMetadata,
    #[serde(default = "Vec::new")]
    items: Vec<K>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawListMetadata {
    #[serde(default)]
    resource_version: String,
    #[serde(rename = "continue", default)]
    next: Option<String>,
}

/// Says everything that is there, and returns the version to go on from.
async fn list<K: Watched>(watch: &Watch) -> Result<String, Broke> {
    watch.say(K::list_began().into_iter().collect()).await?;
    let mut next = None;
    loop {
        let params = ListParams {
            label_selector: Some(selector(watch.installation)),
            limit: Some(PAGE),
            continue_token: next.take(),
            ..ListParams::default()
        };
        let request = watch.request::<K>().list(&params).map_err(|error| Broke::Failed(error.to_string()))?;
        let page: RawList<K> = match timeout(PAGE_WITHIN, watch.cluster.client.request(request)).await {
            Ok(Ok(page)) => page,
            Ok(Err(error)) => return Err(broke(&error)),
            Err(_) => return Err(Broke::Failed("no answer to a list".to_owned())),
        };
        let mut words: Vec<Word> = page.items.into_iter().filter_map(K::listed).collect();
        next = page.metadata.next.filter(|next| !next.is_empty());
        if next.is_none() {
            words.extend(K::list_ended());
            watch.say(words).await?;
            return Ok(page.metadata.resource_version);
        }
        watch.say(words).await?;
    }
}

/// Says what changes, until the server ends the watch.
async fn follow<K: Watched>(
    watch: &Watch,
    version: &mut String,
    pause: &mut Pause,
    sight: &mut Sight,
) -> Result<(), Broke> {
    let params = WatchParams {
        label_selector: Some(selector(watch.installation)),
        timeout: Some(WATCH_S),
        bookmarks: true,
        ..WatchParams::default()
    };
    let request = watch.request::<K>().watch(&params, version).map_err(|error| Broke::Failed(error.to_string()))?;
    let events = match timeout(START_WITHIN, watch.cluster.client.request_events::<K>(request)).await {
        Ok(Ok(events)) => events,
        Ok(Err(error)) => return Err(broke(&error)),
        Err(_) => return Err(Broke::Failed("no answer to a watch".to_owned())),
    };
    watch.seen::<K>(sight).await?;
    pin_mut!(events);
    loop {
        let event = match timeout(SILENT_MAX, events.try_next()).await {
            Ok(Ok(Some(event))) => event,
            Ok(Ok(None)) => return Ok(()),
            Ok(Err(error)) => return Err(broke(&error)),
            Err(_) => return Err(Broke::Failed("it is silent for too long".to_owned())),
        };
        *pause = Pause::default();
        let (raw, is_deleted) = match event {
            WatchEvent::Added(raw) | WatchEvent::Modified(raw) => (raw, false),
            WatchEvent::Deleted(raw) => (raw, true),
            WatchEvent::Bookmark(mark) => {
                *version = mark.metadata.resource_version;
                continue;
            }
            WatchEvent::Error(status) if status.code == 410 => return Err(Broke::Expired),
            WatchEvent::Error(status) => return Err(Broke::Failed(status.message.clone())),
        };
        raw.version().clone_into(version);
        let word = if is_deleted { raw.deleted() } else { raw.applied() };
        watch.say(word.into_iter().collect()).await?;
    }
}

fn broke(error: &kube::Error) -> Broke {
    match error {
        kube::Error::Api(status) if status.code == 410 => Broke::Expired,
        kube::Error::Api(status) => Broke::Failed(format!("{} ({})", status.message, status.code)),
        other => Broke::Failed(chain(other)),
    }
}

#[cfg(test)]
mod tests;
