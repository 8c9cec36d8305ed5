//! Pods that can't start. Pure.

use std::time::Duration;

use chrono::SecondsFormat;
use gridflow_core::Timestamp;

use super::pod::{Container, InitTrouble, Pod};

/// A registry may hiccup, and nodes try again by themselves.
const PULL_PATIENCE: Duration = Duration::from_secs(120);
/// A config map or secret may be made a moment later.
const CONFIG_PATIENCE: Duration = Duration::from_secs(30);

/// What keeps a pod from starting.
#[derive(Debug, Clone, PartialEq)]
pub struct Trouble {
    /// The kind: a pod that goes from one kind to another is given time again.
    pub kind: &'static str,
    pub patience: Duration,
    /// When that is over.
    pub message: String,
    what: String,
    /// Kubernetes' own words.
    detail: Option<Box<str>>,
}

impl Trouble {
    /// In words while there is hope, and until when there is.
    pub fn so_far(&self, since: Option<Timestamp>) -> String {
        let until = since.map(|since| format!(", given up at {}", instant(since + self.patience)));
        format!("{}{}{}", self.what, until.unwrap_or_default(), after_colon(self.detail.as_deref()))
    }
}

pub fn trouble(pod: &Pod, unschedulable_after: Duration) -> Option<Trouble> {
    if pod.node.is_none() {
        let message = pod.unschedulable.as_deref()?;
        return Some(Trouble {
            kind: "unschedulable",
            patience: unschedulable_after,
            message: format!("no node could take the pod for {}: {message}", words(unschedulable_after)),
            what: "no node can take the pod".to_owned(),
            detail: Some(message.into()),
        });
    }
    if let Some(InitTrouble::Waiting { name, reason, message }) = pod.init.as_deref() {
        return waiting(&format!("init container `{name}`"), reason, message.as_deref());
    }
    match &pod.task {
        Container::Waiting { reason: Some(reason), message } => waiting("container", reason, message.as_deref()),
        Container::Waiting { reason: None, .. }
        | Container::Absent
        | Container::Running { .. }
        | Container::Ended(_) => None,
    }
}

fn waiting(container: &str, reason: &str, detail: Option<&str>) -> Option<Trouble> {
    let (kind, patience, problem) = match reason {
        "ErrImagePull" | "ImagePullBackOff" | "ImageInspectError" | "RegistryUnavailable" => {
            ("image pull", PULL_PATIENCE, "the image can't be pulled")
        }
        "ErrImageNeverPull" => ("image", Duration::ZERO, "the image is not on the node, and may not be pulled"),
        "InvalidImageName" => ("image", Duration::ZERO, "the name of the image is invalid"),
        "SignatureValidationFailed" => ("image", Duration::ZERO, "the image's signature is refused"),
        "CreateContainerConfigError"
        | "CreateContainerError"
        | "RunContainerError"
        | "PreCreateHookError"
        | "PreStartHookError"
        | "PostStartHookError" => ("config", CONFIG_PATIENCE, "the container can't be created"),
        // Being created, and what a newer kubelet calls it.
        _ => return None,
    };
    let what = format!("{container}: {problem} ({reason})");
    let message = format!("{what}{}", after_colon(detail));
    Some(Trouble { kind, patience, message, what, detail: detail.map(Into::into) })
}

fn after_colon(detail: Option<&str>) -> String {
    detail.map(|detail| format!(": {detail}")).unwrap_or_default()
}

/// For people, to the second.
pub fn instant(at: Timestamp) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn words(duration: Duration) -> String {
    match duration.as_secs() {
        seconds if seconds % 60 == 0 && 0 < seconds => format!("{} min", seconds / 60),
        seconds => format!("{seconds} s"),
    }
}
