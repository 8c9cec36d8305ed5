//! What a cluster's parts say of pods. They are a help, and expire anyway: without an answer, nothing was said.

use std::collections::HashMap;

use kube::{api::ListParams, core::Request};
use serde::Deserialize;

use super::{
    super::fleet::ByUid,
    access::Cluster,
    call::{CALL_WITHIN, Failed, parse, text},
};

/// Of one pod.
const EVENTS_MAX: u32 = 100;
const EVENTS_TOLD: usize = 10;
/// Of a whole namespace.
const PAGE: u32 = 500;
const PAGES_MAX: usize = 4;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawEvents {
    metadata: RawMetadata,
    items: Vec<RawEvent>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawMetadata {
    #[serde(rename = "continue")]
    next: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawEvent {
    #[serde(rename = "type")]
    kind: Option<String>,
    reason: Option<String>,
    message: Option<String>,
    count: Option<u32>,
    last_timestamp: Option<String>,
    event_time: Option<String>,
    involved_object: RawObject,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawObject {
    uid: String,
}

impl RawEvent {
    /// Both forms are sorted as text: they are RFC 3339 in UTC.
    fn at(&self) -> Option<&str> {
        self.last_timestamp.as_deref().or(self.event_time.as_deref())
    }

    fn is_warning(&self) -> bool {
        self.kind.as_deref() == Some("Warning")
    }

    fn words(&self) -> String {
        let count = self.count.filter(|count| 1 < *count).map(|count| format!(" ({count} times)")).unwrap_or_default();
        let (reason, message) = (self.reason.as_deref().unwrap_or("?"), self.message.as_deref().unwrap_or_default());
        format!("{reason}{count}: {}", message.trim())
    }
}

/// The last events of a pod, oldest first.
pub(super) async fn of_pod(cluster: &Cluster, namespace: &str, uid: &str) -> Vec<String> {
    let params = ListParams::default().fields(&format!("involvedObject.uid={uid}")).limit(EVENTS_MAX);
    let Ok(mut events) = list(cluster, namespace, &params).await else { return Vec::new() };
    events.items.sort_by(|one, two| one.at().cmp(&two.at()));
    let skipped = events.items.len().saturating_sub(EVENTS_TOLD);
    let line = |event: &RawEvent| {
        let warning = if event.is_warning() { "warning: " } else { "" };
        format!("event: {warning}{}", event.words())
    };
    events.items.iter().skip(skipped).map(line).collect()
}

/// Of all pods in a namespace, by uid, of which a warning was the last word.
pub(super) async fn warnings(cluster: &Cluster, namespace: &str) -> ByUid {
    let mut events = Vec::new();
    let mut next = None;
    for _ in 0..PAGES_MAX {
        let mut params = ListParams::default().fields("involvedObject.kind=Pod").limit(PAGE);
        params.continue_token = next.take();
        let Ok(page) = list(cluster, namespace, &params).await else { break };
        events.extend(page.items);
        next = page.metadata.next.filter(|next| !next.is_empty());
        if next.is_none() {
            break;
        }
    }
    last_words(events)
}

fn last_words(events: Vec<RawEvent>) -> ByUid {
    let mut last = HashMap::<String, RawEvent>::new();
    for event in events {
        // Times are often of a second.
        let rank = |event: &RawEvent| (event.at().map(str::to_owned), event.is_warning());
        match last.get(&event.involved_object.uid) {
            Some(known) if rank(&event) < rank(known) => {}
            Some(_) | None => {
                last.insert(event.involved_object.uid.clone(), event);
            }
        }
    }
    last.into_iter()
        .filter(|(_, event)| event.is_warning())
        .map(|(uid, event)| (uid.into(), event.words().into()))
        .collect()
}

async fn list(cluster: &Cluster, namespace: &str, params: &ListParams) -> Result<RawEvents, Failed> {
    let request = Request::new(format!("/api/v1/namespaces/{namespace}/events")).list(params);
    parse(&text(cluster, request, CALL_WITHIN).await?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(uid: &str, at: &str, kind: &str, reason: &str) -> RawEvent {
        let time = if at.contains('.') { "eventTime" } else { "lastTimestamp" };
        serde_json::from_value(json!({
            "type": kind, "reason": reason, "message": "m\n", "count": 3, time: at, "involvedObject": {"uid": uid},
        }))
        .unwrap()
    }

    #[test]
    fn a_warning_counts_until_something_else_happens_to_the_pod() {
        let told = last_words(vec![
            event("u1", "2026-01-01T00:00:05Z", "Warning", "FailedMount"),
            event("u1", "2026-01-01T00:00:01.5Z", "Normal", "Scheduled"),
            event("u2", "2026-01-01T00:00:05Z", "Warning", "FailedMount"),
            event("u2", "2026-01-01T00:00:06Z", "Normal", "Pulling"),
            event("u3", "2026-01-01T00:00:05Z", "Warning", "FailedCreatePodSandBox"),
            event("u3", "2026-01-01T00:00:05Z", "Normal", "Scheduled"),
        ]);
        let mut told: Vec<_> = told.iter().map(|(uid, words)| format!("{uid} {words}")).collect();
        told.sort();
        assert_eq!(told, ["u1 FailedMount (3 times): m", "u3 FailedCreatePodSandBox (3 times): m"]);
    }
}
