//! The files of one trigger: what notifications and looks at the folder make of them.
//!
//! Everything here may wait for a file system, also a remote one: it runs where waiting is allowed.

use std::{collections::HashSet, path::Path, path::PathBuf, sync::Arc, time::Duration};

use gridflow_dag_spec::FileTrigger;
use tokio::time::Instant;

use super::{
    look::{self, Found, Problem, stamp},
    payload::{marked_by, marker_of},
    ripen::{Ripening, Writer},
    scope::Scope,
};
use crate::folder::{Sight, SightKind, Stamp};

/// Files handed over at once: one transaction of some hundred kilobytes.
const BATCH_MAX: usize = 500;

/// A file that is complete.
#[derive(Debug, Clone)]
pub(crate) struct Ripe {
    pub path: Arc<Path>,
    pub stamp: Stamp,
}

/// What is known of a trigger's folder.
#[derive(Debug)]
pub(crate) struct Arrivals {
    pub scope: Scope,
    stable_for: Duration,
    marker: Option<String>,
    ripening: Ripening,
    dirs: HashSet<PathBuf>,
}

impl Arrivals {
    pub fn new(scope: Scope, spec: &FileTrigger) -> Self {
        let (stable_for, marker) = (spec.stable_for, spec.marker.clone());
        Self { scope, stable_for, marker, ripening: Ripening::default(), dirs: HashSet::new() }
    }

    /// Looks at the whole folder; what is neither known nor on its way begins to ripen.
    pub fn look(&mut self, now: Instant) -> Found {
        let found = look::look(&self.scope);
        self.dirs.clone_from(&found.dirs);
        if found.is_complete() {
            self.ripening.retain(&found.files);
        }
        let stable_for = if self.marker.is_some() { Duration::ZERO } else { self.stable_for };
        for (path, stamp) in &found.files {
            if self.is_complete(path, *stamp) {
                self.ripening.see_again(path, *stamp, stable_for, now);
            }
        }
        found
    }

    /// Takes notifications in; true where only a look at the whole folder helps.
    pub fn see(&mut self, sights: &[Sight], now: Instant) -> bool {
        let mut needs_look = false;
        for sight in sights {
            match sight {
                Sight::Lost => needs_look = true,
                Sight::Entry { dir, name, kind, is_dir } => {
                    let path = dir.join(name);
                    // On the way to the folder, or a folder inside.
                    needs_look |= (*is_dir && self.scope.is_recursive && path.starts_with(&self.scope.folder))
                        || self.scope.folder.starts_with(&path);
                    if !is_dir {
                        self.see_file(&path, *kind, now);
                    }
                }
            }
        }
        needs_look
    }

    fn see_file(&mut self, path: &Path, kind: SightKind, now: Instant) {
        if let Some(marker) = self.marker.clone() {
            // Either of the two may come last.
            let file = marked_by(path, &marker).unwrap_or_else(|| path.to_owned());
            if self.scope.covers(&file)
                && let Some(stamp) = stamp(&file)
                && is_marked(&file, stamp, &marker)
            {
                self.ripening.see(&file.into(), stamp, Writer::Gone, Duration::ZERO, now);
            }
            return;
        }
        if !self.scope.covers(path) {
            return;
        }
        let Some(stamp) = stamp(path) else { return self.ripening.forget(path) };
        match kind {
            // Who creates a file by opening it closes it, too; a link to another file is complete.
            SightKind::Created if !is_link(path) => {
                self.ripening.see(&path.into(), stamp, Writer::Open, self.stable_for, now);
            }
            SightKind::Created | SightKind::Complete => {
                self.ripening.see(&path.into(), stamp, Writer::Gone, self.stable_for, now);
            }
            SightKind::Attributes => self.ripening.see_again(&path.into(), stamp, self.stable_for, now),
            SightKind::Gone => self.ripening.forget(path),
        }
    }

    /// The next files that are complete, at most a batch. Those that changed go on ripening.
    pub fn due(&mut self, now: Instant) -> Vec<Ripe> {
        let mut ripe = Vec::new();
        for (path, seen) in self.ripening.due(now, BATCH_MAX) {
            match stamp(&path) {
                Some(stamp) if stamp.is_same_content(seen) => ripe.push(Ripe { path, stamp }),
                changed => self.give_back(&path, changed, now),
            }
        }
        ripe
    }

    /// A file that was due turned out to be another by now, or none.
    pub fn give_back(&mut self, path: &Arc<Path>, stamp: Option<Stamp>, now: Instant) {
        self.ripening.give_back(path);
        if let Some(stamp) = stamp {
            self.ripening.see(path, stamp, Writer::Gone, self.stable_for, now);
        }
    }

    /// A file is dealt with, as it was then.
    pub fn take(&mut self, path: &Path, stamp: Stamp) {
        self.ripening.take(path, stamp);
    }

    pub fn next_at(&self) -> Option<Instant> {
        self.ripening.next_at()
    }

    pub fn dirs(&self) -> &HashSet<PathBuf> {
        &self.dirs
    }

    /// Whether a file may be taken as it is, as soon as it has stayed the same for long enough.
    pub fn is_complete(&self, path: &Path, stamp: Stamp) -> bool {
        match &self.marker {
            None => true,
            Some(marker) => marked_by(path, marker).is_none() && is_marked(path, stamp, marker),
        }
    }
}

/// Whether a marker lies beside a file. One that is older than its file is left from an earlier
/// delivery under the same name.
fn is_marked(path: &Path, file: Stamp, marker: &str) -> bool {
    stamp(&marker_of(path, marker)).is_some_and(|marker| file.modified_ns <= marker.modified_ns)
}

/// Whether a name that appeared leads to a file that was there before.
fn is_link(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink() || 1 < metadata.nlink())
}

/// For people: what keeps a trigger from seeing its files.
pub(crate) fn describe(problem: &Problem) -> String {
    match problem {
        Problem::Unreadable { source, .. } => format!("{problem}: {source}"),
        Problem::Missing | Problem::TooMany => problem.to_string(),
    }
}
