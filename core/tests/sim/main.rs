//! The simulator: everything around the core, from one seed, with faults between any two steps.
//!
//! Virtual time, a database, two schedulers of which one leads, a node that starts commands, and
//! people. After every commit the invariants are checked, and that recovery would rebuild the live
//! state; at the end faults stop and every run must end.
//!
//! `GRIDFLOW_SIM_SEEDS=20000` runs so many histories, `GRIDFLOW_SIM_SEEDS=500000..1000000` those of these seeds,
//! `GRIDFLOW_SIM_SEED=17` one of them, with its story.

mod check;
mod cluster;
mod dags;
mod db;
mod host;
mod people;
mod rng;
mod scenario;
mod shell;
mod story;
mod truth;

use std::{
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicU64, Ordering},
};

use story::Story;

/// A deliberate fault, to see that the checks have teeth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutation {
    None,
    /// The store does not look at the epoch.
    NoFence,
    /// The store loses a row of a turn.
    LosesRow,
    /// The node starts whatever it is told to.
    NoClaims,
    /// The node reports the end of commands that still live.
    ReportsTooEarly,
    /// Some ends are never reported.
    DropsReports,
    /// Actions are done whether the commit succeeds or not.
    ActsEarly,
    /// Inbox rows are deleted when they are read.
    ForgetsInbox,
    /// Each event asks for two runs.
    AsksTwice,
    /// A cancel that comes before its launch says that nothing will start, and takes no claim.
    CancelTakesNoClaim,
    /// Recovery does not read open attempts.
    ForgetsOpenAttempts,
    /// Recovery does not read when a failed task may be tried again.
    ForgetsRetries,
    /// The inbox is read from the highest id seen, as if ids were committed in their order.
    ReadsPastIds,
    /// Pools are believed to have one slot more than they have.
    CountsTooFar,
    /// Timers fire ten minutes early.
    WakesEarly,
    /// After the answer to a commit is lost, the leader goes on as if nothing had been written.
    IgnoresLostAnswer,
    /// What is said about full pools is wrong by one.
    ExplainsWrongly,
    /// A cancel for another node's attempt is carried out on this one.
    CancelsAnywhere,
    /// Pods run as soon as they are made.
    PodsWithoutGate,
    /// A confirmation goes to whatever pod bears the attempt's name.
    ConfirmsByName,
}

const MUTATIONS: [Mutation; 19] = [
    Mutation::NoFence,
    Mutation::LosesRow,
    Mutation::NoClaims,
    Mutation::ReportsTooEarly,
    Mutation::DropsReports,
    Mutation::ActsEarly,
    Mutation::ForgetsInbox,
    Mutation::AsksTwice,
    Mutation::CancelTakesNoClaim,
    Mutation::ForgetsOpenAttempts,
    Mutation::ForgetsRetries,
    Mutation::ReadsPastIds,
    Mutation::CountsTooFar,
    Mutation::WakesEarly,
    Mutation::IgnoresLostAnswer,
    Mutation::ExplainsWrongly,
    Mutation::CancelsAnywhere,
    Mutation::PodsWithoutGate,
    Mutation::ConfirmsByName,
];

/// Histories in every run of the tests. The long form has millions:
/// `GRIDFLOW_SIM_SEEDS=2000000 cargo test --release -p gridflow-core --test sim`.
const SEEDS: u64 = 20_000;

/// Of the long form: a minute or two of work.
const PROGRESS_EVERY: u64 = 50_000;

/// So many of them are told, to look at what they have seen.
const TOLD: u64 = 500;

/// What the histories together must have seen, or they prove less than they seem to.
const MUST_BE_SEEN: [&str; 34] = [
    "takes over",
    "is killed with 0 actions",
    "is killed with 1 actions",
    "is killed with 2 actions",
    "is stopped",
    "goes on",
    "fenced",
    "unique",
    "the host is killed",
    "reboots",
    "s off",
    " acts for a past epoch",
    "a launch comes after its cancel",
    "a launch comes again",
    " tends node 1",
    "a pod is there already",
    "another pod takes the name",
    "a pod is made too late",
    "a confirmation finds no pod",
    "crash BeforeCommit",
    "crash AfterCommit",
    "crash AnswerLost",
    "event TimersDue",
    "event DagRemoved",
    "event QueuedFetched",
    "event CancelRun",
    "answer PrepareFailed",
    "answer Taken",
    "answer Child",
    "to: Deferred",
    "to: UpForRetry",
    "to: Canceling",
    "to: UpstreamFailed",
    "from: Some(Running), to: Scheduled",
];

#[test]
fn every_history_keeps_the_invariants() {
    if let Ok(seed) = std::env::var("GRIDFLOW_SIM_SEED") {
        let seed = seed.parse().expect("GRIDFLOW_SIM_SEED is a number");
        let (result, story) = run(seed, Mutation::None, Story::told());
        println!("{}", story.lines().join("\n"));
        return result.unwrap_or_else(|violation| panic!("seed {seed}: {violation}"));
    }
    let Range { start, end } = std::env::var("GRIDFLOW_SIM_SEEDS").map_or(0..SEEDS, |text| seeds(&text));
    let next = AtomicU64::new(start);
    let unseen = std::sync::Mutex::new(MUST_BE_SEEN.to_vec());
    let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if end <= seed {
                        return;
                    }
                    if start < seed && seed.is_multiple_of(PROGRESS_EVERY) {
                        eprintln!("histories {start} to {seed} of {end} have begun");
                    }
                    let story = if seed < TOLD { Story::told() } else { Story::silent() };
                    let (result, story) = run(seed, Mutation::None, story);
                    let is_seen = |what: &&str| story.lines().iter().any(|line| line.contains(*what));
                    if seed < TOLD {
                        unseen.lock().expect("nobody panics with it").retain(|what| !is_seen(what));
                    }
                    if let Err(violation) = result {
                        next.store(end, Ordering::Relaxed);
                        let (_, story) = run(seed, Mutation::None, Story::told());
                        let lines = &story.lines()[story.lines().len().saturating_sub(400)..];
                        panic!("seed {seed}: {violation}\n\n{}\n\nseed {seed}: {violation:.600}", lines.join("\n"));
                    }
                }
            });
        }
    });
    let unseen = unseen.into_inner().expect("nobody panics with it");
    assert!(start != 0 || end < TOLD || unseen.is_empty(), "no history has seen {unseen:?}");
}

/// `20000`, or `500000..1000000`.
fn seeds(text: &str) -> Range<u64> {
    let number = |text: &str| text.parse().expect("GRIDFLOW_SIM_SEEDS is a number, or a range like 5..10");
    match text.split_once("..") {
        Some((start, end)) => number(start)..number(end),
        None => 0..number(text),
    }
}

/// The tests of the tests: each of these faults must be noticed within some hundred histories.
#[test]
fn every_mutation_is_caught() {
    for mutation in MUTATIONS {
        let caught = (0..400).find(|seed| run(*seed, mutation, Story::silent()).0.is_err());
        let seed = caught.unwrap_or_else(|| panic!("{mutation:?} was not caught"));
        println!("{mutation:?}: seed {seed}");
    }
}

/// One history; a panic of the core is a violation like any other.
fn run(seed: u64, mutation: Mutation, story: Story) -> (Result<(), String>, Story) {
    let mut scenario = scenario::Scenario::new(seed, mutation, story);
    let result = catch_unwind(AssertUnwindSafe(|| scenario.play()));
    let result = result.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Err(text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default())
    });
    (result, scenario.story)
}
