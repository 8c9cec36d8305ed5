//! What is measured. One file per item; each is a function from the bench to its lines.

mod catchup;
mod chain;
mod fan;
mod folder;
mod history;
mod idle;
mod latency;
mod python;
mod steps;
mod throughput;
mod triggers;
mod waiting;

use anyhow::Result;

use crate::{bench::Bench, line::Line};

/// An item's name, and the function that measures it.
pub type Item = (&'static str, fn(&mut Bench) -> Result<Vec<Line>>);

/// In the order in which they are measured: those that make much history come late, W10 last of those that share
/// a database.
pub const ITEMS: [Item; 12] = [
    ("W1", chain::measure),
    ("W2", fan::measure),
    ("W3", python::measure),
    ("W8", latency::measure),
    ("W5", catchup::measure),
    ("W7ab", triggers::measure),
    ("W7c", throughput::measure),
    ("W10", history::measure),
    ("W4", folder::measure),
    ("W6", idle::measure),
    ("W9", waiting::measure),
    ("core", steps::measure),
];
