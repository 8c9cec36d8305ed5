//! Read models of the API: what its pages and lists show, read without disturbing the leader.
//!
//! Rows become typed values here; a value that is none of ours is reported with its column, never skipped.
//! List filters are the one place where statements are put together at run time; values are always bound.
//!
//! **Architecture Invariant:** nothing here writes what the leader owns.

pub mod attempt;
pub mod command;
pub mod dag;
mod dag_details;
pub mod dag_run;
pub mod dag_version;
pub mod import_error;
pub mod leader;
mod list;
pub mod node;
pub mod pool;
mod read;
pub mod task_instance;
pub mod xcom;

pub use dag_details::DagDetails;
pub use list::{Bound, Order, Page, Pattern, Range};
