//! When a file is complete. Pure: what was seen and the time come in.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    path::Path,
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use super::payload::sighting;
use crate::folder::Stamp;

/// A writer that keeps a file open without writing for so long is taken for dead or done.
const OPEN_PATIENCE: Duration = Duration::from_secs(60);

/// Whether a writer is known to have the file open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writer {
    Open,
    /// Closed, or unknown.
    Gone,
}

/// The files of one trigger that are on their way.
#[derive(Debug, Default)]
pub(crate) struct Ripening {
    waiting: HashMap<Arc<Path>, Waiting>,
    timers: BTreeSet<(Instant, Arc<Path>)>,
    /// Files that are being handed over.
    ripe: HashMap<Arc<Path>, Stamp>,
    /// Files that were handed over, or need not be: by path and stamp.
    taken: HashSet<Sighting>,
}

#[derive(Debug, Clone, Copy)]
struct Waiting {
    stamp: Stamp,
    writer: Writer,
    ripe_at: Instant,
}

/// A path and a stamp in 16 bytes: folders may hold a million files that are long done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Sighting([u8; 16]);

impl Sighting {
    fn of(path: &Path, stamp: Stamp) -> Self {
        let hash = sighting(path, stamp);
        Self(std::array::from_fn(|at| hash[at]))
    }
}

impl Ripening {
    /// A file was seen. It is ripe once it has stayed the same for `stable_for`.
    pub fn see(&mut self, path: &Arc<Path>, stamp: Stamp, writer: Writer, stable_for: Duration, now: Instant) {
        let is_ripe = self.ripe.get(path).is_some_and(|ripe| ripe.is_same_content(stamp));
        if is_ripe || self.is_taken(path, stamp) {
            return self.forget(path);
        }
        let ripe_at = now
            + match writer {
                Writer::Open => stable_for.max(OPEN_PATIENCE),
                Writer::Gone => stable_for,
            };
        self.forget(path);
        self.timers.insert((ripe_at, path.clone()));
        self.waiting.insert(path.clone(), Waiting { stamp, writer, ripe_at });
    }

    /// A whole look at the folder found this file: news only if it is another than was known.
    pub fn see_again(&mut self, path: &Arc<Path>, stamp: Stamp, stable_for: Duration, now: Instant) {
        match self.waiting.get(path) {
            Some(waiting) if waiting.stamp.is_same_content(stamp) => {}
            Some(Waiting { writer, .. }) => self.see(path, stamp, *writer, stable_for, now),
            None => self.see(path, stamp, Writer::Gone, stable_for, now),
        }
    }

    pub fn forget(&mut self, path: &Path) {
        if let Some((path, waiting)) = self.waiting.remove_entry(path) {
            self.timers.remove(&(waiting.ripe_at, path));
        }
    }

    /// When the next file may be ripe.
    pub fn next_at(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Files whose time has come, with the stamp that they must still have. They are on their way
    /// until [`Self::take`] or [`Self::give_back`].
    pub fn due(&mut self, now: Instant, limit: usize) -> Vec<(Arc<Path>, Stamp)> {
        let mut due = Vec::new();
        while due.len() < limit && self.timers.first().is_some_and(|(at, _)| *at <= now) {
            let (_, path) = self.timers.pop_first().expect("it has a first");
            let waiting = self.waiting.remove(&path).expect("a timer belongs to a waiting file");
            self.ripe.insert(path.clone(), waiting.stamp);
            due.push((path, waiting.stamp));
        }
        due
    }

    /// A file is dealt with, as it was then.
    pub fn take(&mut self, path: &Path, stamp: Stamp) {
        self.taken.insert(Sighting::of(path, stamp));
        self.give_back(path);
        if self.waiting.get(path).is_some_and(|waiting| waiting.stamp.is_same_content(stamp)) {
            self.forget(path);
        }
    }

    /// A ripe file turned out to have changed or gone.
    pub fn give_back(&mut self, path: &Path) {
        self.ripe.remove(path);
    }

    pub fn is_taken(&self, path: &Path, stamp: Stamp) -> bool {
        self.taken.contains(&Sighting::of(path, stamp))
    }

    /// Forgets all files but these, which a whole look at the folder found.
    pub fn retain(&mut self, found: &HashMap<Arc<Path>, Stamp>) {
        let gone: Vec<_> = self.waiting.keys().filter(|path| !found.contains_key(*path)).cloned().collect();
        for path in gone {
            self.forget(&path);
        }
        // A quarter more than needed is cheaper than sorting out at each look.
        if found.len() + found.len() / 4 + 1000 < self.taken.len() {
            let present: HashSet<_> = found.iter().map(|(path, stamp)| Sighting::of(path, *stamp)).collect();
            self.taken.retain(|sighting| present.contains(sighting));
        }
    }

    #[cfg(test)]
    pub fn waiting_count(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STABLE: Duration = Duration::from_secs(2);

    fn file(name: &str) -> Arc<Path> {
        Path::new(name).into()
    }

    fn names(due: Vec<(Arc<Path>, Stamp)>) -> Vec<String> {
        due.into_iter().map(|(path, _)| path.display().to_string()).collect()
    }

    #[test]
    fn a_file_is_ripe_after_it_stayed_the_same() {
        let (start, mut ripening) = (Instant::now(), Ripening::default());
        ripening.see(&file("a"), Stamp::fake(1), Writer::Gone, STABLE, start);
        ripening.see(&file("a"), Stamp::fake(2), Writer::Gone, STABLE, start + Duration::from_secs(1));
        assert_eq!(ripening.next_at(), Some(start + Duration::from_secs(3)));
        assert!(ripening.due(start + STABLE, 9).is_empty());
        assert_eq!(names(ripening.due(start + Duration::from_secs(3), 9)), ["a"]);
        assert_eq!(ripening.next_at(), None);
    }

    #[test]
    fn an_open_file_waits_for_its_writer() {
        let (start, mut ripening) = (Instant::now(), Ripening::default());
        ripening.see(&file("a"), Stamp::fake(1), Writer::Open, STABLE, start);
        // A look at the whole folder knows nothing of writers and must not shorten the wait.
        ripening.see_again(&file("a"), Stamp::fake(1), STABLE, start);
        ripening.see_again(&file("a"), Stamp::fake(2), STABLE, start);
        assert!(ripening.due(start + STABLE, 9).is_empty());
        ripening.see(&file("a"), Stamp::fake(2), Writer::Gone, STABLE, start + STABLE);
        assert_eq!(names(ripening.due(start + STABLE * 2, 9)), ["a"]);
    }

    #[test]
    fn what_is_on_its_way_or_taken_is_not_taken_again_until_it_changes() {
        let (start, mut ripening) = (Instant::now(), Ripening::default());
        let (a, stamp) = (file("a"), Stamp::fake(1));
        ripening.see(&a, stamp, Writer::Gone, STABLE, start);
        ripening.due(start + STABLE, 9);
        ripening.see_again(&a, stamp, STABLE, start + STABLE);
        assert_eq!(ripening.waiting_count(), 0);
        ripening.take(&a, stamp);
        ripening.see(&a, stamp, Writer::Gone, STABLE, start + STABLE);
        assert_eq!(ripening.waiting_count(), 0);
        ripening.see(&a, Stamp::fake(2), Writer::Gone, STABLE, start + STABLE);
        assert_eq!(ripening.waiting_count(), 1);
        ripening.retain(&HashMap::new());
        assert_eq!((ripening.waiting_count(), ripening.next_at()), (0, None));
    }
}
