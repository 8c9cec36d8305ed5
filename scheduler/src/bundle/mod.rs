//! The folder of DAGs: what is in it, what changed, what is wrong with it.
//!
//! ```text
//! folder ──walk──▶ files ──compile what changed──▶ Snapshot ──against what is published──▶ BundleChange
//!    ▲ inotify says "look again", a slow rescan stands behind it
//! ```
//!
//! A [`Snapshot`] is the whole truth about the folder, and a [`BundleChange`] a pure comparison, so
//! a leader that starts, takes over or missed something does the same as one that just goes on.
//!
//! **Architecture Invariant:** nothing here writes into the folder or reads outside of it.

mod candidate;
mod change;
mod compile;
mod files;
mod loader;
mod service;
mod snapshot;
#[cfg(test)]
mod tests;
mod walk;

pub use change::{BundleChange, ImportError, Published};
pub use compile::compile_file;
pub use loader::{Listing, scan_once};
pub use service::{Bundle, Config};
pub use snapshot::{FileState, Gap, LoadedDag, Snapshot};
pub use walk::Limits;
