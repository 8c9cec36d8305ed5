//! SparkApplications for tests, as the operator shows them.

use serde_json::{Value, json};

use super::Application;

/// The operator's words for all of its states. It has none for one that it has not looked at yet.
pub const STATES: [&str; 14] = [
    "",
    "SUBMITTED",
    "RUNNING",
    "COMPLETED",
    "FAILED",
    "SUBMISSION_FAILED",
    "PENDING_RERUN",
    "INVALIDATING",
    "SUCCEEDING",
    "FAILING",
    "SUSPENDING",
    "SUSPENDED",
    "RESUMING",
    "UNKNOWN",
];

/// The word of an operator that is newer than this program.
pub const STATE_OF_TOMORROW: &str = "HIBERNATING";

/// One with this status.
pub fn application(status: &Value) -> Application {
    let object = json!({"metadata": {"name": "gf-1", "uid": "u-1"}, "status": status});
    Application::read(&object).expect("it has a name and a uid")
}
