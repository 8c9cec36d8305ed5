//! Attempts as Kubernetes pods and SparkApplications.

mod attempt;
mod claim;
mod classify;
mod client;
mod config;
mod fleet;
mod gone;
pub mod identity;
mod launch;
pub mod logs;
pub mod manifest;
pub mod output;
mod pod;
mod report;
pub mod spark;
mod trouble;

pub use client::{Became, Cleaned, Error, Handle, KubernetesExecutor, Running, clean, fingerprint, try_access};
pub use config::{Access, ClusterConfig, Config, Keep, Limits};
pub use launch::{Launch, Object, Open, Payload};
pub use report::{Link, Report};
