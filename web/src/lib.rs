//! The REST API: Airflow's stable API v2, exactly, so that its clients work unchanged.
//!
//! One file per resource: a view with serde, handlers that read the request, ask the store and answer. Reads go
//! through [`gridflow_store::api`]. Creating a run is one transaction that needs no leader; other changes are commands
//! that the leader decides.
//!
//! ```text
//! connection ─▶ gate (host, token, type) ─▶ bounds (how many, how long) ─▶ router ─▶ handler ─▶ store
//! ```
//!
//! **Architecture Invariant:** no SQL, and no decision about the state of a run or task instance.

mod accept;
mod body;
mod command;
mod dag;
mod dag_details;
mod dag_run;
mod dag_run_patch;
mod dag_run_trigger;
mod dag_run_wait;
mod dag_source;
mod dag_version;
mod dependency;
mod error;
mod extra_link;
mod filter;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
mod import_error;
mod instant;
mod issue;
mod json;
mod limit;
mod log;
mod monitor;
mod node;
mod path;
mod pool;
mod query;
mod router;
mod security;
mod serve;
mod state;
mod task;
mod task_instance;
mod task_instance_try;
mod version_cache;
mod watch;
mod xcom;

pub use log::LogPlace;
pub use security::{Token, TokenError};
pub use serve::{Config, Error, Server, serve};
pub use watch::Wake;
