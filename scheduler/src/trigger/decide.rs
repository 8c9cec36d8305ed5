//! T2: what a committed event does, as events of the core.

use std::sync::Arc;

use gridflow_core::{Event, RunRequest, RunType, TriggeredBy};
use gridflow_dag_spec::{CompiledDag, EventDecision, OnPause, TriggerSpec};
use gridflow_store::event::PendingEvent;
use serde_json::Value;

/// A DAG as far as its triggers need to know.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The current version: for a broken file the last good one.
    pub dag: &'a CompiledDag,
    pub is_paused: bool,
}

/// What becomes of an event now.
#[derive(Debug)]
pub enum Decision {
    /// To be stepped in the turn that decides the event.
    Step(Event),
    /// Its DAG is gone: it stays pending, and is decided when the DAG comes back.
    Keep,
}

/// Judges one event by its trigger's rules. `None` for a DAG that is gone.
pub fn decide(event: &PendingEvent, subject: Option<Subject<'_>>) -> Decision {
    let Some(Subject { dag, is_paused }) = subject else { return Decision::Keep };
    let Some(trigger) = dag.triggers.iter().find(|trigger| trigger.name == event.trigger.name) else {
        return ignore(event, format!("the DAG has no trigger `{}` any more", event.trigger.name));
    };
    match trigger.on_pause {
        OnPause::Drop if is_paused => {
            ignore(event, "the DAG is paused, and its trigger says `on_pause: drop`".to_owned())
        }
        OnPause::Drop | OnPause::Keep => by_rules(event, trigger),
    }
}

fn by_rules(event: &PendingEvent, trigger: &TriggerSpec) -> Decision {
    match trigger.decide(&event.payload) {
        Ok(EventDecision::Fire { conf }) => Decision::Step(Event::RunRequested(request(event, Value::Object(conf)))),
        Ok(EventDecision::Ignore { reason }) => ignore(event, reason),
        Err(error) => {
            let reason = crate::chain(&error);
            tracing::error!(dag.id = %event.trigger.dag, trigger = event.trigger.name, event.id = %event.id, "an event can't be judged: {reason}");
            ignore(event, reason)
        }
    }
}

fn request(event: &PendingEvent, conf: Value) -> RunRequest {
    RunRequest {
        dag: event.trigger.dag.clone(),
        run_id: None,
        // Airflow's words for runs that something outside started.
        run_type: RunType::AssetTriggered,
        triggered_by: TriggeredBy::Asset,
        logical_date: None,
        data_interval: None,
        run_after: None,
        conf: Arc::new(conf),
        trigger: Some(Arc::new(event.payload.clone())),
        events: vec![event.id],
        actor: None,
    }
}

fn ignore(event: &PendingEvent, reason: String) -> Decision {
    Decision::Step(Event::EventIgnored { event: event.id, reason })
}
