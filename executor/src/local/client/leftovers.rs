//! Working folders of attempts that nobody knows: left by a process that crashed, or of a launch that another one has
//! under way. They wait until it must be the former. Time comes in, so that tests need none.

use std::{path::PathBuf, time::Duration};

use tokio::time::Instant;
use uuid::Uuid;

/// Longer than any launch can be under way, by a stopwatch. By then whoever had one has claimed it, and the host has
/// told.
const UNCLAIMED_MAX: Duration = Duration::from_secs(3600);

#[derive(Debug, Default)]
pub(super) struct Leftovers {
    are_sought: bool,
    found: Vec<(Uuid, PathBuf)>,
    due_at: Option<Instant>,
}

impl Leftovers {
    /// Once: what a process leaves from here on, it knows itself.
    pub(super) fn are_to_be_sought(&mut self) -> bool {
        !std::mem::replace(&mut self.are_sought, true)
    }

    pub(super) fn wait(&mut self, found: Vec<(Uuid, PathBuf)>, now: Instant) {
        self.due_at = (!found.is_empty()).then(|| now + UNCLAIMED_MAX);
        self.found = found;
    }

    pub(super) fn due_at(&self) -> Option<Instant> {
        self.due_at
    }

    /// Those that have waited long enough and are nobody's. As long as the host has not told everything they all wait
    /// on.
    pub(super) fn due(&mut self, now: Instant, has_told: bool, is_known: impl Fn(&Uuid) -> bool) -> Vec<PathBuf> {
        if self.due_at.is_none_or(|at| now < at) {
            return Vec::new();
        }
        let found = std::mem::take(&mut self.found);
        if !has_told {
            self.wait(found, now);
            return Vec::new();
        }
        self.due_at = None;
        found.into_iter().filter(|(attempt, _)| !is_known(attempt)).map(|(_, dir)| dir).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use gridflow_core::{InstallationId, NodeId};
    use tokio::net::UnixStream;

    use super::{
        super::{
            super::{
                scratch::Scratch,
                wire::{FromHost, Record, State},
            },
            Config,
            actor::{Actor, Told},
            link::Link,
        },
        *,
    };

    const AN_HOUR: Duration = UNCLAIMED_MAX;
    const A_MOMENT: Duration = Duration::from_millis(1);

    /// A client, and folders of two attempts that it never heard of.
    struct Scene {
        actor: Actor,
        /// Whatever the client says to its host.
        _host: UnixStream,
        folders: [PathBuf; 2],
        _state: tempfile::TempDir,
    }

    fn attempt(no: usize) -> Uuid {
        Uuid::from_u128(no as u128 + 1)
    }

    fn link() -> (Link, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (Link::new(ours), theirs)
    }

    impl Scene {
        /// The host has told everything, and the folders were found.
        async fn found() -> Self {
            let state = tempfile::tempdir().unwrap();
            let scratch = Scratch::open(state.path()).unwrap();
            let folders = [0, 1].map(|no| scratch.make(attempt(no), 7, b"{}").unwrap());
            let path = state.path().to_owned();
            let config = Config::new(path, Vec::new(), InstallationId(Uuid::nil()), NodeId(Uuid::nil()));
            let (link, host) = link();
            let mut scene = Self { actor: Actor::new(config, scratch, link), _host: host, folders, _state: state };
            scene.actor.take_message(FromHost::Synced { turn_max: 0 });
            scene.jobs_end().await;
            assert!(scene.actor.leftovers.due_at().is_some(), "they are found, and wait");
            scene
        }

        async fn jobs_end(&mut self) {
            while let Some(done) = self.actor.jobs.join_next().await {
                self.actor.take_done(done.unwrap());
            }
        }

        /// Which folders are there once it is that much past the hour.
        async fn left_after(&mut self, past: Duration) -> [bool; 2] {
            let due_at = self.actor.leftovers.due_at().expect("they wait");
            self.at(due_at + past).await
        }

        async fn at(&mut self, now: Instant) -> [bool; 2] {
            self.actor.wake(now);
            self.jobs_end().await;
            [0, 1].map(|no: usize| Path::exists(&self.folders[no]))
        }

        fn record(&mut self, no: usize) {
            let state = State::Started { pid: 1, at_us: 0 };
            let record = Record { attempt: attempt(no), run: Uuid::nil(), stage: 7, acknowledged: false, state };
            self.actor.take_message(FromHost::Record(record));
        }
    }

    #[tokio::test]
    async fn what_nobody_knows_is_removed_after_an_hour_and_not_before() {
        let mut scene = Scene::found().await;
        let due_at = scene.actor.leftovers.due_at().expect("they wait");
        assert!(due_at <= Instant::now() + AN_HOUR && Instant::now() + AN_HOUR / 2 < due_at);
        assert_eq!(scene.at(due_at - A_MOMENT).await, [true, true]);
        assert_eq!(scene.at(due_at).await, [false, false]);
        assert_eq!(scene.actor.leftovers.due_at(), None, "nothing is left to wait for");
    }

    #[tokio::test]
    async fn a_launch_of_another_process_that_was_under_way_keeps_its_folder() {
        let mut scene = Scene::found().await;
        scene.record(1);
        assert_eq!(scene.left_after(Duration::ZERO).await, [false, true]);
    }

    #[tokio::test]
    async fn all_wait_on_while_the_host_is_away_and_until_it_has_told_everything_again() {
        let mut scene = Scene::found().await;
        scene.actor.link = None;
        assert_eq!(scene.left_after(A_MOMENT).await, [true, true], "nobody says what others have claimed");
        let (link, host) = link();
        scene.actor.resume(link);
        assert!(scene.actor.sync.told == Told::BeforeSync);
        assert_eq!(scene.left_after(A_MOMENT).await, [true, true], "it has yet to tell");
        scene.record(0);
        scene.actor.take_message(FromHost::Synced { turn_max: 0 });
        let due_at = scene.actor.leftovers.due_at().expect("they wait");
        assert_eq!(scene.at(due_at - A_MOMENT).await, [true, true], "they get their time again");
        assert_eq!(scene.at(due_at).await, [true, false]);
        drop(host);
    }

    #[tokio::test]
    async fn they_are_sought_once_whatever_is_left_later() {
        let mut scene = Scene::found().await;
        assert_eq!(scene.left_after(Duration::ZERO).await, [false, false]);
        scene.actor.take_message(FromHost::Synced { turn_max: 0 });
        scene.jobs_end().await;
        assert_eq!(scene.actor.leftovers.due_at(), None);
    }
}
