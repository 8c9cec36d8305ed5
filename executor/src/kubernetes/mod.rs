//! Attempts as Kubernetes pods and SparkApplications.

mod launch;
pub mod logs;
pub mod manifest;
pub mod output;
mod report;
pub mod spark;

pub use launch::{Launch, Object, Open, Payload};
pub use report::Report;
