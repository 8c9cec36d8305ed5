//! Attempts: launching, watching, adopting, cancelling and collecting them.
//!
//! One folder per executor. The shape is the same for all: prepare → (commit) → start → watch → collect.

pub mod identity;
pub mod kubernetes;
pub mod local;
pub mod operator;
