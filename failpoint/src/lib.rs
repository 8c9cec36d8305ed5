//! Places in the program where a test may step in: stop it there, end it there, or make what follows fail.
//!
//! A test names a folder when it starts the program. To arm a place it puts a file there, named after the place:
//!
//! ```text
//! turn.committed      pause          taken by the first that comes by: it becomes `turn.committed.taken-<pid>`,
//!                                    and whoever took it stands still until that file is gone
//! turn.committed      abort          the process ends there and then, as by `kill -9`
//! turn.committed      refuse         what follows fails, or is left out, as the place says
//! decision.taken      panic always for 0193…   not taken: everyone about whom it is said that `0193…` panics
//! ```
//!
//! So a test needs no protocol, and any number of processes may share a folder. Waiting blocks the thread, in async
//! code, too: a task that stands still while others of its process go on is what a test wants to see.
//!
//! **Architecture Invariant:** inert unless [`arm`] was called, which only a build with debug assertions can do: in a
//! release build every place compiles to nothing.

mod action;

use std::{path::PathBuf, sync::OnceLock};

/// Names the folder; read by the program at its start.
pub const VARIABLE: &str = "GRIDFLOW_FAILPOINTS";

static FOLDER: OnceLock<PathBuf> = OnceLock::new();

macro_rules! points {
    ($($(#[$doc:meta])* $point:ident = $name:literal,)*) => {
        /// Where a test may step in, in the order in which a run passes them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Point { $($(#[$doc])* $point,)* }

        impl Point {
            pub const ALL: &[Self] = &[$(Self::$point,)*];

            pub fn name(self) -> &'static str {
                match self { $(Self::$point => $name,)* }
            }
        }
    };
}

points! {
    /// Leadership is won, nothing is read yet.
    Elected = "leader.elected",
    /// A new leader has read all rows.
    RecoveryRead = "recovery.read",
    /// A new leader is connected to its host and has told why runs are set aside.
    Recovered = "recovery.done",
    /// The folder of DAGs is about to be looked at.
    FolderRead = "bundle.read",
    /// The folder differs from what is published: the transaction has not begun.
    PublishBegun = "publish.begun",
    /// DAG versions are committed, and the core has not heard of them.
    PublishCommitted = "publish.committed",
    /// A trigger's events are ripe, and not committed.
    EventsRipe = "trigger.ripe",
    /// A trigger's events are committed (T1), and nobody was woken. Refused: nobody is.
    EventsCommitted = "trigger.committed",
    /// A decision is about to be taken. What it is about is said.
    Decision = "decision.taken",
    /// A turn is decided, and not committed. Refused: it fails.
    TurnDecided = "turn.decided",
    /// A turn is committed, and nobody knows. Refused: as if its answer got lost.
    TurnCommitted = "turn.committed",
    /// What a turn allows is about to be done.
    Act = "act.begun",
    /// A turn's launches are handed to the executor; its cancels and acknowledgements are not.
    ActLaunched = "act.launched",
    /// The files of an attempt are laid out; the host has not heard of it.
    Staged = "launch.staged",
    /// The host has taken a claim and not started the command.
    Claimed = "host.claimed",
    /// The command runs; nobody has heard of it.
    Spawned = "host.spawned",
    /// A command's end is noticed and not on record.
    CommandEnded = "host.ended",
    /// A report of an executor is read; no turn has taken it. What it says is said. Refused: it gets lost.
    Reported = "report.taken",
    /// The API server has made a pod; who asked for it has not heard. Refused: the answer gets lost.
    PodMade = "pod.made",
    /// The same of the Secret with a pod's files.
    PodSecretMade = "pod.secret_made",
    /// A claim is committed; its pod has not been let go.
    PodConfirming = "pod.confirming",
    /// The API server has let a pod go; who asked for it has not heard. Refused: the answer gets lost.
    PodConfirmed = "pod.confirmed",
    /// A pod is proven gone; the rest of its log has not been read.
    PodGone = "pod.gone",
    /// A pod's log is read to its end; its end is not reported.
    PodLogRead = "pod.log_read",
    /// A pod's end is committed; our finalizer is still on it.
    PodReleasing = "pod.releasing",
    /// Our finalizer is off; who asked for it has not heard. Refused: the answer gets lost.
    PodReleased = "pod.released",
    /// The API server deletes a pod; who asked for it has not heard. Refused: the answer gets lost.
    PodDeleted = "pod.deleted",
}

impl Point {
    /// Only what runs in a cluster passes it.
    pub fn is_of_pods(self) -> bool {
        self.name().starts_with("pod.")
    }
}

/// Something went wrong because a test wanted it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Injected(pub Point);

impl std::fmt::Display for Injected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a test made `{}` fail", self.0.name())
    }
}

impl std::error::Error for Injected {}

/// Failpoints are not in this build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotInThisBuild;

/// From now on, files of this folder arm places.
pub fn arm(folder: PathBuf) -> Result<(), NotInThisBuild> {
    if !cfg!(debug_assertions) {
        return Err(NotInThisBuild);
    }
    // The first one holds: a process has one folder.
    let _ = FOLDER.set(folder);
    Ok(())
}

/// A place where a test may stop or end the program.
#[inline]
pub fn reach(point: Point) {
    // A place without an alternative can't be refused.
    let _ = check(point);
}

/// A place that a test may make fail, too.
#[inline]
pub fn check(point: Point) -> Result<(), Injected> {
    check_about(point, String::new)
}

/// A place that says what it is about, so that a test can choose.
#[inline]
pub fn check_about(point: Point, about: impl FnOnce() -> String) -> Result<(), Injected> {
    if !cfg!(debug_assertions) {
        return Ok(());
    }
    match FOLDER.get() {
        None => Ok(()),
        Some(folder) => action::carry_out(folder, point, about),
    }
}
