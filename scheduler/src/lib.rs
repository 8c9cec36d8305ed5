//! The shell around the core: waits, steps, commits, does. Owns no rule.

pub mod bundle;
mod folder;
