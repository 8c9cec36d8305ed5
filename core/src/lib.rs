//! The nouns of Gridflow and every decision about them.
//!
//! This crate is pure: no I/O, no clock, no randomness, no async. `now` and seeds are arguments.
//! The shells (`scheduler`, `store`, `executor`) wait, write and do what a [`Plan`] says.
//!
//! One turn of the leader looks like this:
//!
//! ```text
//! events ──step──▶ plan ──admit──▶ plan ──needs?──▶ answers ──step──▶ … ──seal──▶ commit ──▶ act
//! ```
//!
//! **Architecture Invariant:** nothing here depends on tokio, sqlx, kube or a clock, and petgraph
//! does not appear in a public signature.

mod attempt;
mod dag;
mod event;
mod hash;
mod id;
mod plan;
mod retry;
mod rows;
mod run;
mod state;
mod timetable;
mod trigger_rule;
mod world;

pub use attempt::{AttemptOutcome, AttemptState, ExecutorKind, NodeBinding, Output, Usage};
pub use dag::{Dag, DagError, DagParts, Task, TaskKind, WeightRule};
pub use event::{Answer, ChildRequest, DagChanged, Event, RunRequest};
pub use id::{
    AttemptId, CommandId, DagId, DagVersionId, Epoch, EventId, IdError, InboxId, InstallationId, MapIndex, NodeId,
    PoolName, RunId, RunKey, TaskId, TaskInstanceKey, TaskNo, Timestamp, TryNumber, Turn,
};
pub use plan::{
    Action, AttemptWrite, Committed, CursorWrite, EventOutcome, EventWrite, LaunchOrder, Need, Plan, RunWrite,
    SealedPlan, TaskInstanceWrite, Transition, Writes, XcomWrite,
};
pub use retry::retry_delay;
pub use rows::{ActiveRunRow, AttemptRow, DagRow, FinishedRunRow, PoolRow, RecoveryRows, TaskInstanceRow, WaitRow};
pub use run::{DataInterval, NewRun, QueuedRun, RunType, TriggeredBy};
pub use state::{RunState, TaskState};
pub use timetable::{CronExpression, Schedule, ScheduleCursor, Tick, Timetable};
pub use trigger_rule::{TriggerRule, UpstreamCounts, Verdict, verdict};
pub use world::{
    Reason, Snapshot, Stats, World, WorldConfig, admit, explain, explain_run, recover, recover_watched, step,
};
