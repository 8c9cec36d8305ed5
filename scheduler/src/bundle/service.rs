//! Keeps the snapshot of a folder up to date.

use std::{
    collections::HashSet,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    loader::{Loader, Look},
    snapshot::Snapshot,
    walk::{IGNORE_FILE, Limits, is_yaml},
};
use crate::{
    folder::{Sight, Told, Watcher, rescan_pause},
    parts::changed,
};

/// Saving a file makes several notifications, a checkout thousands: a look waits until they pause…
const QUIET: Duration = Duration::from_millis(20);
/// … but no longer than this.
const QUIET_MAX: Duration = Duration::from_millis(300);
/// After a look at files that changed within the last tick of the clock.
const RECHECK: Duration = Duration::from_millis(100);
/// A look may take a tenth of the time, however often something changes.
const REST: u32 = 10;
/// … unless that made a saved file wait for longer than people do.
const REST_MAX: Duration = Duration::from_millis(500);

/// Which folder, how much of it, and what holds for all in it.
#[derive(Debug, Clone)]
pub struct Config {
    pub root: PathBuf,
    pub limits: Limits,
    /// What the server says for all tasks, now and later.
    pub defaults: watch::Receiver<Option<Arc<[u8]>>>,
}

impl Config {
    pub fn new(root: PathBuf) -> Self {
        Self { root, limits: Limits::default(), defaults: watch::channel(None).1 }
    }
}

/// Watches a folder of DAGs and offers its latest [`Snapshot`].
#[derive(Debug)]
pub struct Bundle {
    config: Config,
    snapshots: watch::Sender<Option<Arc<Snapshot>>>,
}

impl Bundle {
    /// The component, and where its snapshots appear: none until the first look is over.
    pub fn new(config: Config) -> (Self, watch::Receiver<Option<Arc<Snapshot>>>) {
        let (snapshots, receiver) = watch::channel(None);
        (Self { config, snapshots }, receiver)
    }

    /// Runs until the shutdown. A folder that can't be read or watched is reported and tried again.
    pub async fn run(self, shutdown: CancellationToken) {
        shutdown.run_until_cancelled(self.keep_looking()).await;
    }

    async fn keep_looking(self) {
        let Self { mut config, snapshots } = self;
        let mut watch = Watch::new(&config.root);
        let mut loader = Loader::new(config.root.clone(), config.limits.clone());
        let mut is_repeated = false;
        loop {
            let began = Instant::now();
            let look;
            loader.set_server_defaults(config.defaults.borrow_and_update().clone());
            (loader, look) = look_elsewhere(loader).await;
            let ended = Instant::now();
            let took = ended - began;
            if look.is_changed || snapshots.borrow().is_none() {
                tracing::debug!(
                    files = look.snapshot.files.len(),
                    compiled = look.compiled,
                    ?took,
                    "looked at the folder of DAGs"
                );
                snapshots.send_replace(Some(Arc::new(look.snapshot.clone())));
            }
            if watch.follow(&look) {
                // Who makes folders without end must not keep us looking without end.
                if std::mem::replace(&mut is_repeated, true) {
                    sleep_until(ended + rest(took)).await;
                }
                continue;
            }
            is_repeated = false;
            let pause = if look.is_unsettled { RECHECK } else { rescan_pause(watch.told(&look), took) };
            let until = Instant::now() + pause;
            tokio::select! {
                () = watch.wait(&look, until) => {}
                () = changed(&mut config.defaults) => {}
            }
            sleep_until(ended + rest(took)).await;
        }
    }
}

/// How long not to look after a look that took so long.
fn rest(took: Duration) -> Duration {
    (took * REST).min(REST_MAX)
}

/// Compiling takes CPU: not on a thread that others wait for.
async fn look_elsewhere(mut loader: Loader) -> (Loader, Look) {
    let task = tokio::task::spawn_blocking(move || {
        let look = loader.look();
        (loader, look)
    });
    task.await.expect("a look does not panic, and blocking tasks are not aborted")
}

/// The watch over all folders of the bundle, as far as the system provides one.
struct Watch {
    /// The folder itself, as configured: it may be a link, or not exist yet.
    root: PathBuf,
    watcher: Option<Watcher>,
    has_failed: bool,
}

impl Watch {
    fn new(root: &Path) -> Self {
        let root = std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
        let mut watch = Self { root, watcher: None, has_failed: false };
        match Watcher::new() {
            Ok(watcher) => watch.watcher = Some(watcher),
            Err(error) => watch.failed(&watch.root.clone(), &error),
        }
        watch
    }

    fn told(&self, look: &Look) -> Told {
        if self.watcher.is_none() || self.has_failed { Told::NotOfAll } else { look.told }
    }

    /// Watches what a look found; true where that began so late that another look is needed.
    fn follow(&mut self, look: &Look) -> bool {
        let Some(watcher) = &mut self.watcher else { return false };
        let mut dirs = look.dirs.clone();
        dirs.extend(self.root.parent().map(Path::to_owned));
        let watched = watcher.watch_only(&dirs);
        match watched.failure {
            Some((dir, error)) => self.failed(&dir, &error),
            None => self.has_failed = false,
        }
        watched.is_new
    }

    fn failed(&mut self, dir: &Path, error: &io::Error) {
        if !self.has_failed {
            tracing::warn!(
                dir = %dir.display(), %error,
                "cannot watch folders of DAGs: changes are found by looking every few seconds (raise fs.inotify.max_user_watches?)"
            );
        }
        self.has_failed = true;
    }

    /// Waits for something that concerns the bundle, then for a pause in it; at most until then.
    async fn wait(&mut self, look: &Look, until: Instant) {
        let Self { root, watcher, .. } = self;
        let Some(watcher) = watcher else { return sleep_until(until).await };
        let news = async {
            while !next(watcher).await.iter().any(|sight| concerns(sight, root, &look.dependencies)) {}
            let quiet = async { while timeout(QUIET, next(watcher)).await.is_ok() {} };
            _ = timeout(QUIET_MAX, quiet).await;
        };
        _ = tokio::time::timeout_at(until, news).await;
    }
}

async fn next(watcher: &mut Watcher) -> Vec<Sight> {
    match watcher.next().await {
        Ok(sights) => sights,
        Err(error) => {
            tracing::warn!(%error, "cannot read notifications about folders");
            // Not at once again: it would fail again.
            tokio::time::sleep(RECHECK).await;
            vec![Sight::Lost]
        }
    }
}

/// Whether a notification can change the snapshot.
fn concerns(sight: &Sight, root: &Path, dependencies: &HashSet<PathBuf>) -> bool {
    match sight {
        Sight::Lost => true,
        Sight::Entry { dir, name, is_dir, .. } => {
            // The root's parent is watched for the root alone: it may be a busy place.
            if root.parent() == Some(dir) {
                return root.file_name() == Some(name);
            }
            *is_dir
                || is_yaml(name)
                || name == IGNORE_FILE
                || dependencies.contains(&dir.join(name))
                || dependencies.contains(&**dir)
        }
    }
}
