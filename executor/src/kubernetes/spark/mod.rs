//! SparkApplications: what the Spark operator makes of them, and what that means for an attempt.
//!
//! ```text
//! SparkApplication gf-ATTEMPT ──operator──▶ spark-submit ──▶ driver pod, gated ──claim, confirm──▶ runs
//!          │                                                      │
//!          └─ its status: detail, for people                      └─ the truth
//! ```
//!
//! The driver carries the gate through the pod template, so it does not matter how often the operator submits: a
//! driver that was not confirmed never runs, and one that was is followed whatever the object says. After its
//! creation the object is never patched: the operator answers a change of the spec by running everything again.

mod application;
mod cause;
mod progress;
#[cfg(test)]
mod sample;
mod story;
mod verdict;

pub use application::{Application, ApplicationState, ExecutorState};
pub use progress::{Progress, Teller};
pub use story::story;
pub use verdict::{Driver, Verdict, verdict};

/// The API of the operator.
pub const GROUP: &str = "sparkoperator.k8s.io";
pub const VERSION: &str = "v1beta2";
pub const KIND: &str = "SparkApplication";
pub const PLURAL: &str = "sparkapplications";

/// The containers' names are fixed: Spark finds its own in the pod templates by them.
pub const DRIVER_CONTAINER: &str = "spark-kubernetes-driver";
pub const EXECUTOR_CONTAINER: &str = "spark-kubernetes-executor";

/// Spark tells its pods apart by this label.
pub const ROLE_LABEL: &str = "spark-role";
pub const DRIVER_ROLE: &str = "driver";
pub const EXECUTOR_ROLE: &str = "executor";

/// The operator's webhook changes only pods with this label, and the operator sets it only on pods without a template.
pub const MUTATED_LABEL: &str = "sparkoperator.k8s.io/mutated-by-spark-operator";

/// Spark's own name of the application, on its pods.
pub const APPLICATION_LABEL: &str = "spark-app-selector";
/// Where a driver's UI answers unless its pod says otherwise, and how the pod names that port.
pub const UI_PORT: u16 = 4040;
pub const UI_PORT_NAME: &str = "spark-ui";
