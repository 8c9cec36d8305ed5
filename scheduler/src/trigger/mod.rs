//! What turns outside events into runs.
//!
//! ```text
//! source ──T1: event + dedup key + position, one transaction──▶ event rows ──T2: a turn of the leader──▶ runs
//! ```
//!
//! A trigger is known by its DAG and its name, so that changing its filters keeps what it has read.
//! Triggers run where the leader is, but T1 needs no fence: a key is taken once, whoever comes.

mod decide;
pub mod file;
#[cfg(test)]
mod tests;

pub use decide::{Decision, Subject, decide};
