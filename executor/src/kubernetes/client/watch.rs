//! One watch per namespace: a paged list, then everything that changes.
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
    time::{sleep, timeout},
};

use super::{
    super::{
        attempt::Site,
        fleet::Word,
        identity,
        pod::{Pod, RawPod},
    },
    access::Cluster,
    call::chain,
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
pub(super) async fn run(watch: Watch) {
    let mut pause = Pause::default();
    loop {
        let mut version = match list(&watch).await {
            Ok(version) => version,
            Err(Broke::Over) => return,
            Err(Broke::Expired) => {
                pause.wait().await;
                continue;
            }
            Err(Broke::Failed(reason)) => {
                watch.warn("list", &reason, pause.failures);
                pause.wait().await;
                continue;
            }
        };
        pause = Pause::default();
        loop {
            match follow(&watch, &mut version, &mut pause).await {
                Ok(()) => {}
                Err(Broke::Over) => return,
                Err(Broke::Expired) => break,
                Err(Broke::Failed(reason)) => {
                    watch.warn("watch", &reason, pause.failures);
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
    fn pods(&self) -> Request {
        Request::new(format!("/api/v1/namespaces/{}/pods", self.site.namespace))
    }

    async fn say(&self, words: Vec<Word>) -> Result<(), Broke> {
        self.words.send((self.site.clone(), words)).await.map_err(|_| Broke::Over)
    }

    fn warn(&self, what: &str, reason: &str, failures: u32) {
        // A server that is away for a night is not worth a line a second.
        if (failures + 1).is_power_of_two() {
            let (cluster, namespace) = (&*self.cluster.name, &*self.site.namespace);
            tracing::warn!(cluster, namespace, reason, "cannot {what} the pods of a namespace now");
        }
    }
}

#[derive(Debug, Deserialize)]
struct RawList {
    metadata: RawListMetadata,
    #[serde(default)]
    items: Vec<RawPod>,
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
async fn list(watch: &Watch) -> Result<String, Broke> {
    watch.say(vec![Word::ListBegan]).await?;
    let mut next = None;
    loop {
        let params = ListParams {
            label_selector: Some(identity::selector(watch.installation)),
            limit: Some(PAGE),
            continue_token: next.take(),
            ..ListParams::default()
        };
        let request = watch.pods().list(&params).map_err(|error| Broke::Failed(error.to_string()))?;
        let page: RawList = match timeout(PAGE_WITHIN, watch.cluster.client.request(request)).await {
            Ok(Ok(page)) => page,
            Ok(Err(error)) => return Err(broke(&error)),
            Err(_) => return Err(Broke::Failed("no answer to a list".to_owned())),
        };
        let mut words: Vec<Word> =
            page.items.into_iter().filter_map(Pod::read).map(|pod| Word::Listed(Box::new(pod))).collect();
        next = page.metadata.next.filter(|next| !next.is_empty());
        if next.is_none() {
            words.push(Word::ListEnded);
            watch.say(words).await?;
            return Ok(page.metadata.resource_version);
        }
        watch.say(words).await?;
    }
}

/// Says what changes, until the server ends the watch.
async fn follow(watch: &Watch, version: &mut String, pause: &mut Pause) -> Result<(), Broke> {
    let params = WatchParams {
        label_selector: Some(identity::selector(watch.installation)),
        timeout: Some(WATCH_S),
        bookmarks: true,
        ..WatchParams::default()
    };
    let request = watch.pods().watch(&params, version).map_err(|error| Broke::Failed(error.to_string()))?;
    let events = match timeout(START_WITHIN, watch.cluster.client.request_events::<RawPod>(request)).await {
        Ok(Ok(events)) => events,
        Ok(Err(error)) => return Err(broke(&error)),
        Err(_) => return Err(Broke::Failed("no answer to a watch".to_owned())),
    };
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
        version.clone_from(&raw.metadata.resource_version);
        if let Some(pod) = Pod::read(raw).map(Box::new) {
            watch.say(vec![if is_deleted { Word::Deleted(pod) } else { Word::Applied(pod) }]).await?;
        }
    }
}

fn broke(error: &kube::Error) -> Broke {
    match error {
        kube::Error::Api(status) if status.code == 410 => Broke::Expired,
        kube::Error::Api(status) => Broke::Failed(format!("{} ({})", status.message, status.code)),
        other => Broke::Failed(chain(other)),
    }
}
