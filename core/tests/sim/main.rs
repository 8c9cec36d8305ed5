//! The simulator: everything around the core, from one seed, with faults between any two steps.
//!
//! Virtual time, a database, two schedulers of which one leads, a node that starts commands, and
//! people. After every commit the invariants are checked, and that recovery would rebuild the live
//! state; at the end faults stop and every run must end.
//!
//! `GRIDFLOW_SIM_SEEDS=20000` runs so many histories, `GRIDFLOW_SIM_SEED=17` one of them, with its story.

mod check;
mod dags;
mod db;
mod host;
mod people;
mod rng;
mod scenario;
mod shell;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicU64, Ordering},
};

/// A deliberate fault of the simulated world (never of the core), to see that the checks have teeth.
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
    /// Recovery does not read open attempts.
    ForgetsOpenAttempts,
}

const SEEDS: u64 = 2_000;

/// What the histories together must have seen, or they prove less than they seem to.
const MUST_BE_SEEN: [&str; 24] = [
    "takes over",
    "is killed",
    "is stopped",
    "goes on",
    "fenced",
    "unique",
    "the host is killed",
    "the node reboots",
    "s off",
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
        let (result, history) = run(seed, Mutation::None);
        println!("{}", history.join("\n"));
        return result.unwrap_or_else(|violation| panic!("seed {seed}: {violation}"));
    }
    let seeds = std::env::var("GRIDFLOW_SIM_SEEDS").map_or(SEEDS, |text| text.parse().expect("a number"));
    let next = AtomicU64::new(0);
    let unseen = std::sync::Mutex::new(MUST_BE_SEEN.to_vec());
    let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seeds <= seed {
                        return;
                    }
                    let (result, history) = run(seed, Mutation::None);
                    let mut unseen = unseen.lock().expect("nobody panics with it");
                    unseen.retain(|what| !history.iter().any(|line| line.contains(what)));
                    drop(unseen);
                    if let Err(violation) = result {
                        next.store(seeds, Ordering::Relaxed);
                        let story = &history[history.len().saturating_sub(400)..];
                        panic!("seed {seed}: {violation}\n\n{}\n\nseed {seed}: {violation:.600}", story.join("\n"));
                    }
                }
            });
        }
    });
    let unseen = unseen.into_inner().expect("nobody panics with it");
    assert!(seeds < SEEDS || unseen.is_empty(), "no history has seen {unseen:?}");
}

/// The tests of the tests: each of these faults must be noticed within some hundred histories.
#[test]
fn every_mutation_is_caught() {
    for mutation in [
        Mutation::NoFence,
        Mutation::LosesRow,
        Mutation::NoClaims,
        Mutation::ReportsTooEarly,
        Mutation::DropsReports,
        Mutation::ActsEarly,
        Mutation::ForgetsInbox,
        Mutation::AsksTwice,
        Mutation::ForgetsOpenAttempts,
    ] {
        let caught = (0..400).find(|seed| run(*seed, mutation).0.is_err());
        assert!(caught.is_some(), "{mutation:?} was not caught");
    }
}

/// One history; a panic of the core is a violation like any other.
fn run(seed: u64, mutation: Mutation) -> (Result<(), String>, Vec<String>) {
    let mut scenario = scenario::Scenario::new(seed, mutation);
    let result = catch_unwind(AssertUnwindSafe(|| scenario.play()));
    let result = result.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Err(text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default())
    });
    (result, scenario.history)
}
