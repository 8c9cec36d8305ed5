//! The local executor: commands on this machine that outlive the scheduler.
//!
//! ```text
//!   scheduler (tokio)                 host (one thread, own session)           commands
//!   LocalExecutor ── host.sock ──────► claim ► vfork ► exec ──────────────────► own session and group
//!     stages scratch, environment      records: one slot per attempt            stdout, stderr → log
//!     reads outputs      ◄──────────── started, ended (once nothing is left)
//! ```
//!
//! The host is small and does not know DAGs: it takes claims, starts commands, and keeps how they ended in a file
//! that survives it. The client, in the scheduler, prepares what a command needs and reads what it left.
//!
//! **Invariants.** The command of an attempt starts at most once, whoever asks and whoever dies, because its claim is
//! on file before the clone, its pid is on file before the exec, and the lock of the state directory is held by the
//! new process until the exec. An end is reported only when no process of the attempt is left.

mod boot;
mod client;
mod environment;
mod examine;
pub mod host;
mod launch;
mod layout;
mod output;
mod program;
mod report;
mod run_as;
mod scratch;
mod staging;
mod wire;

pub use boot::boot_identity;
pub use client::{Config, Error, Handle, HostStart, LocalExecutor, Stopping, stop_host, upgrade_host};
pub use examine::{HostState, escaped, host_state, living_attempts};
pub use launch::Launch;
pub use layout::log_path;
pub use report::Report;
