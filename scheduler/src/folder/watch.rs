//! inotify over a set of folders.

use std::{
    collections::{HashMap, HashSet},
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use inotify::{EventMask, Inotify, WatchDescriptor, WatchMask};
use tokio::io::unix::AsyncFd;

/// Room for some hundred notifications of one read.
const BUFFER_BYTES: usize = 64 << 10;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sight {
    Entry {
        dir: Arc<Path>,
        name: OsString,
        kind: SightKind,
        is_dir: bool,
    },
    /// Notifications were lost, or a watched folder itself went or moved: only a full look helps.
    Lost,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SightKind {
    /// A name appeared; a writer may still have it open.
    Created,
    /// A writer closed it, or it was moved here whole.
    Complete,
    /// Owner, mode or times changed.
    Attributes,
    Gone,
}

/// Watches folders, each for its own entries (not for those of its subfolders).
pub(crate) struct Watcher {
    inotify: AsyncFd<Inotify>,
    /// Several paths where links lead to one folder.
    by_watch: HashMap<WatchDescriptor, Vec<Arc<Path>>>,
    by_dir: HashMap<Arc<Path>, WatchDescriptor>,
    buffer: Vec<u8>,
}

/// What became of [`Watcher::watch_only`].
#[derive(Debug, Default)]
pub(crate) struct Watched {
    /// A watch began: what happened before it was not seen, so look once more.
    pub is_new: bool,
    /// The first folder that can't be watched, and why.
    pub failure: Option<(PathBuf, io::Error)>,
}

impl Watcher {
    pub fn new() -> io::Result<Self> {
        // SAFETY: an `Inotify` owns its descriptor: it is open, and the same, until the value is dropped.
        let inotify = unsafe { AsyncFd::register(Inotify::init()?)? };
        Ok(Self { inotify, by_watch: HashMap::new(), by_dir: HashMap::new(), buffer: vec![0; BUFFER_BYTES] })
    }

    /// Watches these folders and no others.
    ///
    /// Each is asked for anew: a watch belongs to an inode, and another folder may have taken the
    /// path meanwhile. Asking again for what is watched already costs a microsecond.
    pub fn watch_only(&mut self, dirs: &HashSet<PathBuf>) -> Watched {
        let mut outcome = Watched::default();
        for dir in dirs {
            match self.watch(dir) {
                Ok(is_new) => outcome.is_new |= is_new,
                // It went since it was seen; its parent's watch tells more.
                Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
                Err(error) => _ = outcome.failure.get_or_insert((dir.clone(), error)),
            }
        }
        let stale: Vec<_> = self.by_dir.keys().filter(|dir| !dirs.contains(&***dir)).cloned().collect();
        for dir in stale {
            self.unwatch(&dir);
        }
        outcome
    }

    /// The next notifications; waits until there is one.
    pub async fn next(&mut self) -> io::Result<Vec<Sight>> {
        loop {
            let mut guard = self.inotify.readable_mut().await?;
            match guard.try_io(|inotify| {
                let events = inotify.get_mut().read_events(&mut self.buffer)?;
                Ok(events.map(|event| (event.wd, event.mask, event.name.map(OsString::from))).collect::<Vec<_>>())
            }) {
                Ok(events) => return Ok(events?.into_iter().flat_map(|event| self.sights(event)).collect()),
                Err(_would_block) => {}
            }
        }
    }

    /// Watches one more folder, or makes sure that it is that folder which is watched. Whether the
    /// watch is new.
    pub fn watch(&mut self, dir: &Path) -> io::Result<bool> {
        let mask = WatchMask::CLOSE_WRITE
            | WatchMask::MOVE
            | WatchMask::CREATE
            | WatchMask::DELETE
            | WatchMask::ATTRIB
            | WatchMask::MOVE_SELF
            | WatchMask::DELETE_SELF
            | WatchMask::ONLYDIR;
        let watch = self.inotify.get_ref().watches().add(dir, mask)?;
        if self.by_dir.get(dir) == Some(&watch) {
            return Ok(false);
        }
        self.unwatch(dir);
        let dir: Arc<Path> = dir.into();
        self.by_watch.entry(watch.clone()).or_default().push(dir.clone());
        self.by_dir.insert(dir, watch);
        Ok(true)
    }

    pub fn unwatch(&mut self, dir: &Path) {
        let Some(watch) = self.by_dir.remove(dir) else { return };
        let Some(paths) = self.by_watch.get_mut(&watch) else { return };
        // A folder that moved keeps its watch, which may already go by its new path, too.
        paths.retain(|path| **path != *dir);
        if paths.is_empty() {
            self.by_watch.remove(&watch);
            // It fails where the folder is gone: then the kernel has ended the watch.
            let _ = self.inotify.get_ref().watches().remove(watch);
        }
    }

    fn sights(&mut self, (watch, mask, name): (WatchDescriptor, EventMask, Option<OsString>)) -> Vec<Sight> {
        if mask.contains(EventMask::Q_OVERFLOW) {
            return vec![Sight::Lost];
        }
        if mask.contains(EventMask::IGNORED) {
            // The end of a watch: ours if it was still known.
            let Some(dirs) = self.by_watch.remove(&watch) else { return Vec::new() };
            for dir in dirs {
                if self.by_dir.get(&dir) == Some(&watch) {
                    self.by_dir.remove(&dir);
                }
            }
            return vec![Sight::Lost];
        }
        let Some(dirs) = self.by_watch.get(&watch) else { return Vec::new() };
        match (name, kind(mask)) {
            (Some(name), Some(kind)) => {
                let is_dir = mask.contains(EventMask::ISDIR);
                dirs.iter().map(|dir| Sight::Entry { dir: dir.clone(), name: name.clone(), kind, is_dir }).collect()
            }
            (Some(_), None) => Vec::new(),
            // The folder itself: gone, moved, or with other permissions.
            (None, _) => vec![Sight::Lost],
        }
    }
}

fn kind(mask: EventMask) -> Option<SightKind> {
    if mask.intersects(EventMask::CLOSE_WRITE | EventMask::MOVED_TO) {
        Some(SightKind::Complete)
    } else if mask.contains(EventMask::CREATE) {
        Some(SightKind::Created)
    } else if mask.intersects(EventMask::DELETE | EventMask::MOVED_FROM) {
        Some(SightKind::Gone)
    } else if mask.contains(EventMask::ATTRIB) {
        Some(SightKind::Attributes)
    } else {
        None
    }
}
