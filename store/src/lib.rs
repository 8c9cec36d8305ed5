//! Every line of SQL.
//!
//! One module per entity with free functions, connection first. Handlers and triggers *add* rows (runs, events,
//! commands) and tell the leader through the inbox; everything else is changed by the leader alone, in
//! [`leader::Leader::commit`], whose transactions begin with the fence.
//!
//! ```text
//! connect ─▶ migrate ─▶ Candidate::open ─▶ try_lead ─▶ recovery::read ─▶ commit, commit, … ─▶ any error: Candidate again
//! ```
//!
//! **Architecture Invariant:** sqlx appears in no other crate's decisions; rows are private, domain types go in and out.

pub mod api;
mod attempt;
pub mod beside;
pub mod blob;
pub mod command;
pub mod dag;
pub mod dag_version;
mod database;
mod decode;
pub mod doctor;
mod error;
pub mod event;
pub mod fence;
pub mod hold;
pub mod inbox;
pub mod leader;
mod migration;
pub mod node;
pub mod notify;
pub mod partition;
pub mod pool;
pub mod recovery;
pub mod report;
pub mod run;
mod task_instance;
#[cfg(test)]
mod tests;
mod text;
pub mod transition_log;
mod turn_row;
pub mod xcom;

pub use database::{Database, Durability, Options, Reader, connect};
pub use error::{Error, Inconsistency, Refusal};
pub use leader::{Candidate, Election, Leader};
pub use migration::{migrate, schema_version, schema_version_needed};

pub(crate) use gridflow_core::{Epoch, Timestamp, Turn};
