//! What the operator's status adds to an attempt's log: a line for each thing that changed.

use std::collections::BTreeMap;

use super::application::{Application, ApplicationState, ExecutorState};

/// Executors named one by one in one update; of more than this, only their number is told.
const NAMED_MAX: usize = 5;

/// The lines between two sights of an application; none if nothing worth telling changed.
///
/// The same two sights give the same lines: a log written anew after a takeover is told from the present alone.
pub fn story(before: Option<&Application>, now: &Application) -> Vec<String> {
    let mut lines = Vec::new();
    if before.map(|before| &before.state) != Some(&now.state) && now.state != ApplicationState::New {
        lines.push(match &now.message {
            Some(message) => format!("spark: {}: {}", now.state.as_str(), super::cause::short(message)),
            None => format!("spark: {}", now.state.as_str()),
        });
    }
    if let Some(ui) = &now.ui
        && before.and_then(|before| before.ui.as_ref()) != Some(ui)
    {
        lines.push(format!("spark: its UI is at {ui}"));
    }
    let none = BTreeMap::new();
    executors(before.map_or(&none, |before| &before.executors), &now.executors, &mut lines);
    lines
}

/// Failures by name, and how many there are of each state whenever that changed.
fn executors(before: &BTreeMap<String, ExecutorState>, now: &BTreeMap<String, ExecutorState>, lines: &mut Vec<String>) {
    let failed: Vec<&str> = now
        .iter()
        .filter(|(pod, state)| **state == ExecutorState::Failed && before.get(*pod) != Some(state))
        .map(|(pod, _)| pod.as_str())
        .collect();
    match failed.as_slice() {
        [] => {}
        [pod] => lines.push(format!("spark: executor {pod} failed")),
        pods if pods.len() <= NAMED_MAX => lines.push(format!("spark: executors {} failed", pods.join(", "))),
        pods => {
            lines.push(format!("spark: {} executors failed, {} among them", pods.len(), pods[..NAMED_MAX].join(", ")))
        }
    }
    let counted = count(now);
    if !counted.is_empty() && counted != count(before) {
        let text: Vec<_> = counted.iter().map(|(state, number)| format!("{number} {}", state.as_str())).collect();
        lines.push(format!("spark: executors: {}", text.join(", ")));
    }
}

fn count(executors: &BTreeMap<String, ExecutorState>) -> BTreeMap<ExecutorState, usize> {
    executors.values().fold(BTreeMap::new(), |mut counted, state| {
        *counted.entry(*state).or_default() += 1;
        counted
    })
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use serde_json::{Value, json};

    use super::{super::sample::application, *};

    /// The whole story of a series of sights.
    fn told(statuses: &[Value]) -> String {
        let sights: Vec<_> = statuses.iter().map(application).collect();
        let mut before = None;
        let mut text = String::new();
        for now in &sights {
            for line in story(before, now) {
                text.push_str(&line);
                text.push('\n');
            }
            before = Some(now);
        }
        text
    }

    #[test]
    fn a_job_is_told_from_its_submission_to_its_end() {
        let ui = json!({"podName": "gf-1-driver", "webUIIngressAddress": "https://spark.example/data/gf-1"});
        assert_snapshot!(told(&[
            json!({}),
            json!({"applicationState": {"state": "SUBMITTED"}, "driverInfo": {"podName": "gf-1-driver"}}),
            json!({"applicationState": {"state": "RUNNING"}, "driverInfo": ui}),
            json!({"applicationState": {"state": "RUNNING"}, "driverInfo": ui, "executorState": {"e-1": "PENDING", "e-2": "RUNNING"}}),
            json!({"applicationState": {"state": "RUNNING"}, "driverInfo": ui, "executorState": {"e-1": "RUNNING", "e-2": "FAILED"}}),
            json!({"applicationState": {"state": "RUNNING"}, "driverInfo": ui, "executorState": {"e-1": "RUNNING", "e-2": "FAILED"}}),
            json!({"applicationState": {"state": "FAILED", "errorMessage": "driver container failed with ExitCode: 1, Reason: Error"},
                "driverInfo": ui, "executorState": {"e-1": "FAILED", "e-2": "FAILED"}}),
        ]), @r"
        spark: SUBMITTED
        spark: RUNNING
        spark: its UI is at https://spark.example/data/gf-1
        spark: executors: 1 pending, 1 running
        spark: executor e-2 failed
        spark: executors: 1 running, 1 failed
        spark: FAILED: driver container failed with ExitCode: 1, Reason: Error
        spark: executor e-1 failed
        spark: executors: 2 failed
        ");
    }

    #[test]
    fn many_failures_at_once_are_one_line() {
        let executors: serde_json::Map<_, _> = (10..30).map(|no| (format!("e-{no}"), json!("FAILED"))).collect();
        assert_snapshot!(told(&[json!({"applicationState": {"state": "RUNNING"}, "executorState": executors})]), @r"
        spark: RUNNING
        spark: 20 executors failed, e-10, e-11, e-12, e-13, e-14 among them
        spark: executors: 20 failed
        ");
    }
}
