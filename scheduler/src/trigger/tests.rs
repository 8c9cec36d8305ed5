//! What events do, by the rules that a DAG file gives its trigger.

use std::{collections::BTreeMap, sync::Arc};

use chrono::Utc;
use gridflow_core::{DagId, Event, EventId};
use gridflow_dag_spec::CompiledDag;
use gridflow_store::event::{PendingEvent, TriggerKey};
use serde_json::json;
use uuid::Uuid;

use super::{Decision, Subject, decide};

fn dag(trigger: &str) -> Arc<CompiledDag> {
    let text = format!(
        "trigger: {{file: {{path: in, {trigger}}}}}\nparams: {{rows: {{default: 0}}}}\ntasks: {{a: {{empty: }}}}\n"
    );
    let files: BTreeMap<String, Arc<[u8]>> = BTreeMap::new();
    let compiled = gridflow_dag_spec::compile("d.yaml", text.as_bytes(), &files);
    compiled.dag.unwrap_or_else(|| panic!("{:#?}", compiled.diagnostics))
}

fn event(trigger: &str) -> PendingEvent {
    PendingEvent {
        id: EventId(Uuid::nil()),
        trigger: TriggerKey { dag: DagId::parse("d").unwrap(), name: trigger.to_owned() },
        payload: json!({"kind": "file", "name": "x7.csv", "size": 5}),
        occurred_at: None,
        received_at: Utc::now(),
    }
}

fn decided(trigger: &str, event: &PendingEvent, is_paused: bool) -> String {
    let dag = dag(trigger);
    match decide(event, Some(Subject { dag: &dag, is_paused })) {
        Decision::Keep => "kept".to_owned(),
        Decision::Step(Event::EventIgnored { reason, .. }) => format!("ignored: {reason}"),
        Decision::Step(Event::RunRequested(run)) => {
            assert_eq!((run.events.as_slice(), run.trigger.as_deref()), ([event.id].as_slice(), Some(&event.payload)));
            format!("{} run with {}", run.run_type.as_str(), run.conf)
        }
        Decision::Step(other) => panic!("{other:?}"),
    }
}

#[test]
fn an_event_asks_for_a_run_with_what_its_trigger_maps() {
    assert_eq!(decided("recursive: false", &event("file"), false), "asset_triggered run with {}");
    let mapped = decided("map: {rows: '{{ trigger.size * 2 }}'}", &event("file"), false);
    assert_eq!(mapped, r#"asset_triggered run with {"rows":10}"#);
}

#[test]
fn a_filter_that_does_not_hold_ignores_the_event() {
    let text = decided("filter: '{{ trigger.size > 9 }}'", &event("file"), false);
    assert!(text.starts_with("ignored: filter"), "{text}");
}

#[test]
fn what_can_not_be_judged_is_ignored_with_the_reason() {
    let text = decided("map: {rows: '{{ trigger.name | int }}'}", &event("file"), false);
    assert!(text.starts_with("ignored: `map` of trigger `file`: "), "{text}");
}

#[test]
fn a_paused_dag_keeps_or_drops_as_its_trigger_says() {
    assert_eq!(decided("on_pause: keep", &event("file"), true), "asset_triggered run with {}");
    assert!(decided("on_pause: drop", &event("file"), true).starts_with("ignored: the DAG is paused"));
    assert_eq!(decided("on_pause: drop", &event("file"), false), "asset_triggered run with {}");
}

#[test]
fn events_of_a_dag_that_is_gone_stay_and_those_of_a_trigger_that_is_gone_end() {
    assert!(matches!(decide(&event("file"), None), Decision::Keep));
    assert_eq!(decided("name: other", &event("file"), false), "ignored: the DAG has no trigger `file` any more");
}
