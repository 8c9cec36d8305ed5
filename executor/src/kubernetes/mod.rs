//! Attempts as Kubernetes pods and SparkApplications.

mod launch;
mod report;

pub use launch::{Launch, Object, Open, Payload};
pub use report::Report;
