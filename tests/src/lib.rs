//! The harness of the tests that cross crates: the built program, real PostgreSQL, real processes.
//!
//! Nothing here uses the product's own crates, so that a checker shares no code with what it checks.

pub mod check;
mod clock;
mod cluster;
mod drivers;
mod entrance;
pub mod evidence;
mod failpoints;
mod ground;
pub mod history;
pub mod http;
mod lookout;
mod node;
mod pods;
mod program;
pub mod proxy;
mod remains;
mod scene;
mod standalone;
mod wait;
mod web;
mod wire;
pub mod workload;

pub use clock::Clock;
pub use cluster::{Cluster, queue_statement};
pub use failpoints::{Failpoints, Paused};
pub use ground::{Executor, Ground};
pub use node::{Node, Scheduler};
pub use pods::Pods;
pub use program::{Program, can_contain, gridflow, memory_bytes};
pub use proxy::{Moment, Proxy};
pub use scene::Session;
pub use standalone::{Installation, Standalone};
pub use wait::wait_for;
pub use web::Web;
pub use wire::Wire;
