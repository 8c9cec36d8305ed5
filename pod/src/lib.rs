//! What the scheduler and the small program in a task's pod agree on.
//!
//! ```text
//! Secret ──(gridflow-pod init)──▶ /gridflow/work, /gridflow/bin ──(gridflow-pod run -- COMMAND)──▶ output
//! ```
//! A task's files and context travel in as one Secret ([`payload`]). What the command left as its output travels out in
//! the container's termination message ([`report`]) or, when it is larger, as the last lines of its log ([`frame`]).

pub mod frame;
pub mod hex;
pub mod layout;
pub mod payload;
pub mod report;
