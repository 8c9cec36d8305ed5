//! What the operator says of a SparkApplication, read from the object's JSON.

use std::{collections::BTreeMap, sync::Arc};

use gridflow_core::{AttemptId, Timestamp, Turn};
use serde_json::Value;
use uuid::Uuid;

use crate::kubernetes::identity;

/// One SparkApplication as it was seen last.
///
/// Only what is needed is kept: a status has one entry for each executor that there ever was, so the map is bounded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Application {
    pub name: String,
    pub uid: Arc<str>,
    /// Whose it says it is, and of which turn.
    pub attempt: Option<AttemptId>,
    pub turn: Option<Turn>,
    pub state: ApplicationState,
    /// The operator's own words, where it has any.
    pub message: Option<String>,
    /// The driver pod's name, as soon as the operator has chosen it.
    pub driver: Option<String>,
    /// Where the driver's UI is, if the operator publishes it.
    pub ui: Option<Arc<str>>,
    pub executors: BTreeMap<String, ExecutorState>,
    /// When its driver had ended, as the operator saw it.
    pub ended_at: Option<Timestamp>,
    /// Somebody asked for its deletion.
    pub is_being_deleted: bool,
}

/// The operator's states of an application, all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApplicationState {
    /// Not looked at yet by the operator.
    New,
    /// `spark-submit` has ended well: the driver pod was made.
    Submitted,
    Running,
    Completed,
    Failed,
    /// `spark-submit` failed; without a restart policy it becomes `Failed` at once.
    SubmissionFailed,
    /// About to be submitted again: somebody changed the spec.
    PendingRerun,
    /// The spec was changed: everything is thrown away first.
    Invalidating,
    /// The driver has ended well; becomes `Completed`.
    Succeeding,
    /// The driver has failed or is missing; becomes `Failed`.
    Failing,
    Suspending,
    /// Suspended, by Kueue or by hand. There are no pods.
    Suspended,
    Resuming,
    /// The driver's node does not answer.
    Unknown,
    /// A state of an operator that is newer than this program.
    Other(String),
}

/// The states of an executor in the application's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExecutorState {
    Pending,
    Running,
    Completed,
    Failed,
    /// Also everything this program has no name for.
    Unknown,
}

/// More executors than this are not kept: their states only serve the log.
const EXECUTORS_MAX: usize = 2_000;

impl Application {
    /// `None`: no object of the API, it has no name or no uid.
    pub fn read(object: &Value) -> Option<Self> {
        let metadata = object.get("metadata")?;
        let status = &object["status"];
        let driver = &status["driverInfo"];
        Some(Self {
            name: metadata.get("name")?.as_str()?.to_owned(),
            uid: metadata.get("uid")?.as_str()?.into(),
            attempt: text(&metadata["labels"][identity::ATTEMPT])
                .and_then(|id| Uuid::parse_str(id).ok())
                .map(AttemptId),
            turn: text(&metadata["annotations"][identity::TURN]).and_then(identity::parse_turn),
            ended_at: text(&status["terminationTime"]).and_then(|at| at.parse().ok()),
            state: ApplicationState::parse(text(&status["applicationState"]["state"]).unwrap_or_default()),
            message: text(&status["applicationState"]["errorMessage"]).map(str::to_owned),
            driver: text(&driver["podName"]).map(str::to_owned),
            ui: ui(driver),
            executors: executors(&status["executorState"]),
            is_being_deleted: metadata.get("deletionTimestamp").is_some_and(|at| !at.is_null()),
        })
    }
}

impl ApplicationState {
    pub fn parse(text: &str) -> Self {
        match text {
            "" => Self::New,
            "SUBMITTED" => Self::Submitted,
            "RUNNING" => Self::Running,
            "COMPLETED" => Self::Completed,
            "FAILED" => Self::Failed,
            "SUBMISSION_FAILED" => Self::SubmissionFailed,
            "PENDING_RERUN" => Self::PendingRerun,
            "INVALIDATING" => Self::Invalidating,
            "SUCCEEDING" => Self::Succeeding,
            "FAILING" => Self::Failing,
            "SUSPENDING" => Self::Suspending,
            "SUSPENDED" => Self::Suspended,
            "RESUMING" => Self::Resuming,
            "UNKNOWN" => Self::Unknown,
            other => Self::Other(other.to_owned()),
        }
    }

    /// The operator's own word.
    pub fn as_str(&self) -> &str {
        match self {
            Self::New => "NEW",
            Self::Submitted => "SUBMITTED",
            Self::Running => "RUNNING",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
            Self::SubmissionFailed => "SUBMISSION_FAILED",
            Self::PendingRerun => "PENDING_RERUN",
            Self::Invalidating => "INVALIDATING",
            Self::Succeeding => "SUCCEEDING",
            Self::Failing => "FAILING",
            Self::Suspending => "SUSPENDING",
            Self::Suspended => "SUSPENDED",
            Self::Resuming => "RESUMING",
            Self::Unknown => "UNKNOWN",
            Self::Other(word) => word,
        }
    }
}

impl ExecutorState {
    fn parse(text: &str) -> Self {
        match text {
            "PENDING" => Self::Pending,
            "RUNNING" => Self::Running,
            "COMPLETED" => Self::Completed,
            "FAILED" => Self::Failed,
            _ => Self::Unknown,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }
}

/// The ingress reaches further than the service's address, so it goes first. It is for people to follow, so it is a web
/// page or nothing.
fn ui(driver: &Value) -> Option<Arc<str>> {
    let address = text(&driver["webUIIngressAddress"]).or_else(|| text(&driver["webUIAddress"]))?;
    match address.split_once("://") {
        Some(("http" | "https", _)) => Some(address.into()),
        Some(_) => None,
        None => Some(format!("http://{address}").into()),
    }
}

fn executors(states: &Value) -> BTreeMap<String, ExecutorState> {
    let Some(states) = states.as_object() else { return BTreeMap::new() };
    states
        .iter()
        .take(EXECUTORS_MAX)
        .map(|(pod, state)| (pod.clone(), ExecutorState::parse(state.as_str().unwrap_or_default())))
        .collect()
}

fn text(value: &Value) -> Option<&str> {
    value.as_str().filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{
        super::sample::{STATE_OF_TOMORROW, STATES, application},
        *,
    };

    #[test]
    fn every_state_of_the_operator_has_a_name_here() {
        for word in STATES {
            let state = ApplicationState::parse(word);
            assert!(!matches!(state, ApplicationState::Other(_)), "{word}");
            assert_eq!(state.as_str(), if word.is_empty() { "NEW" } else { word });
        }
        assert_eq!(ApplicationState::parse(STATE_OF_TOMORROW).as_str(), STATE_OF_TOMORROW);
    }

    #[test]
    fn a_whole_status_is_read() {
        let application = application(&json!({
            "applicationState": {"state": "FAILED", "errorMessage": "driver container failed with ExitCode: 1, Reason: Error"},
            "driverInfo": {"podName": "gf-1-driver", "webUIAddress": "198.19.254.7:4040", "webUIServiceName": "gf-1-ui-svc"},
            "executorState": {"gf-1-exec-1": "COMPLETED", "gf-1-exec-2": "FAILED", "gf-1-exec-3": "ODD"},
        }));
        assert_eq!(application.state, ApplicationState::Failed);
        assert_eq!(application.message.as_deref(), Some("driver container failed with ExitCode: 1, Reason: Error"));
        assert_eq!(application.driver.as_deref(), Some("gf-1-driver"));
        assert_eq!(application.ui.as_deref(), Some("http://198.19.254.7:4040"));
        assert_eq!(
            application.executors.values().copied().collect::<Vec<_>>(),
            [ExecutorState::Completed, ExecutorState::Failed, ExecutorState::Unknown]
        );
        assert!(!application.is_being_deleted);
    }

    #[test]
    fn only_a_web_page_is_a_ui() {
        let ui = |driver: Value| application(&json!({"driverInfo": driver})).ui;
        let both = json!({"webUIIngressAddress": "https://spark.example/gf-1", "webUIAddress": "198.19.254.7:4040"});
        assert_eq!(ui(both).as_deref(), Some("https://spark.example/gf-1"));
        assert_eq!(ui(json!({"webUIIngressAddress": "javascript://alert(1)"})), None);
        assert_eq!(ui(json!({"webUIAddress": ""})), None);
    }

    #[test]
    fn an_object_nobody_has_looked_at_is_new() {
        let application = Application::read(&json!({"metadata": {"name": "gf-1", "uid": "u-1"}})).unwrap();
        assert_eq!(application.state, ApplicationState::New);
        assert_eq!((application.message, application.driver, application.ui), (None, None, None));
    }

    #[test]
    fn what_has_no_uid_is_no_object() {
        assert_eq!(Application::read(&json!({"metadata": {"name": "gf-1"}})), None);
        assert_eq!(Application::read(&json!({"kind": "Status", "code": 410})), None);
    }
}
