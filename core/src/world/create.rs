//! New runs: for triggers, schedules and `trigger_dag` tasks.

use std::{collections::VecDeque, sync::Arc};

use chrono::SecondsFormat;

use crate::{
    event::{ChildRequest, RunRequest},
    id::{DagId, DagVersionId, EventId, RunId, RunKey, TaskInstanceKey, Timestamp},
    plan::{EventOutcome, EventWrite, Need, Plan},
    run::{DataInterval, NewRun, QueuedRun, RunType, TriggeredBy},
    timetable::Tick,
};

use super::{DagIx, Shared, World, to_micros};

/// What waits to hear which run ids and logical dates are taken, in the order asked.
pub(super) type Asks = std::collections::HashMap<DagIx, VecDeque<Ask>>;

#[derive(Debug)]
pub(super) enum Ask {
    Request(Box<RunRequest>),
    Child(TaskInstanceKey, Box<ChildRequest>),
    Ticks(Vec<Tick>),
}

/// A run about to be created; what is left open is filled in.
pub(super) struct Draft {
    pub version: DagVersionId,
    pub run_id: Option<RunId>,
    pub run_type: RunType,
    pub triggered_by: TriggeredBy,
    pub logical_date: Option<Timestamp>,
    pub data_interval: Option<DataInterval>,
    pub run_after: Timestamp,
    pub conf: Arc<serde_json::Value>,
    pub trigger: Option<Arc<serde_json::Value>>,
    pub events: Vec<EventId>,
    pub actor: Option<String>,
    pub parent: Option<TaskInstanceKey>,
}

impl World {
    /// The answer to the oldest open [`Need::Taken`] of this DAG.
    pub(super) fn taken(
        &mut self,
        dag: &DagId,
        logical_dates: &[Timestamp],
        run_ids: &[RunId],
        now: Timestamp,
        plan: &mut Plan,
    ) {
        let ix = self.shared.dag_ix(dag);
        let Some(ask) = self.shared.asks.get_mut(&ix).and_then(VecDeque::pop_front) else {
            self.shared.stats.stale_answers += 1;
            return;
        };
        match ask {
            Ask::Request(request) => {
                if let Some(taken) = taken_text(request.run_id.as_ref(), request.logical_date, logical_dates, run_ids) {
                    refuse_events(&request.events, &taken, plan);
                } else {
                    self.shared.create_requested(ix, *request, now, plan);
                }
            }
            Ask::Child(parent, request) => {
                let taken = taken_text(request.run_id.as_ref(), request.logical_date, logical_dates, run_ids);
                self.child_answered(parent, *request, taken, now, plan);
            }
            Ask::Ticks(ticks) => self.shared.create_scheduled(ix, ticks, logical_dates, run_ids, now, plan),
        }
    }
}

impl Shared {
    /// A trigger asks for a run. Without a current version nothing is written and its events stay pending.
    pub(super) fn request_run(&mut self, request: RunRequest, now: Timestamp, plan: &mut Plan) {
        let Some(&ix) = self.dag_by_id.get(&request.dag) else { return };
        if self.current(ix).is_none() {
            return;
        }
        if request.run_id.is_some() || request.logical_date.is_some() {
            let logical_dates = request.logical_date.into_iter().collect();
            let run_ids = request.run_id.iter().cloned().collect();
            self.ask_taken(ix, Ask::Request(Box::new(request)), logical_dates, run_ids, plan);
        } else {
            self.create_requested(ix, request, now, plan);
        }
    }

    pub(super) fn ask_taken(
        &mut self,
        ix: DagIx,
        ask: Ask,
        logical_dates: Vec<Timestamp>,
        run_ids: Vec<RunId>,
        plan: &mut Plan,
    ) {
        self.asks.entry(ix).or_default().push_back(ask);
        plan.needs.push(Need::Taken { dag: self.dags[ix.0 as usize].id.clone(), logical_dates, run_ids });
    }

    fn create_requested(&mut self, ix: DagIx, request: RunRequest, now: Timestamp, plan: &mut Plan) {
        let Some(version) = self.dag(ix).current else { return };
        let events = request.events.clone();
        let draft = Draft {
            version,
            run_id: request.run_id,
            run_type: request.run_type,
            triggered_by: request.triggered_by,
            logical_date: request.logical_date.map(to_micros),
            data_interval: request.data_interval,
            run_after: request.run_after.map_or(now, to_micros),
            conf: request.conf,
            trigger: request.trigger,
            events: request.events,
            actor: request.actor,
            parent: None,
        };
        if self.create_run(ix, draft, now, plan).is_none() {
            refuse_events(&events, "this turn gave the run id or logical date to another run", plan);
        }
    }

    /// Creates a queued run. None: this very turn gave its run id or its logical date to another.
    pub(super) fn create_run(&mut self, ix: DagIx, draft: Draft, now: Timestamp, plan: &mut Plan) -> Option<RunKey> {
        let dag = self.dag(ix).id.clone();
        let run_id = match draft.run_id {
            Some(run_id) => run_id,
            None => run_id(draft.run_type, draft.run_after, draft.logical_date, plan),
        };
        let is_taken = plan.run_ids.contains(&(dag.clone(), run_id.clone()))
            || draft.logical_date.is_some_and(|date| plan.logical_dates.contains(&(dag.clone(), date)));
        if is_taken {
            return None;
        }
        let key = plan.new_run_key(now);
        let point = draft.logical_date.map(|date| DataInterval { start: date, end: date });
        let queued = QueuedRun {
            key,
            dag,
            version: draft.version,
            run_id,
            run_type: draft.run_type,
            logical_date: draft.logical_date,
            data_interval: draft.data_interval.or(point),
            run_after: draft.run_after,
        };
        for &event in &draft.events {
            plan.writes.events.push(EventWrite { event, outcome: EventOutcome::Run(key) });
        }
        plan.create_run(NewRun {
            queued: queued.clone(),
            queued_at: now,
            triggered_by: draft.triggered_by,
            actor: draft.actor,
            conf: draft.conf,
            trigger: draft.trigger,
            events: draft.events,
            parent: draft.parent,
            note: None,
            traceparent: None,
        });
        self.queue_run(queued);
        Some(key)
    }
}

/// Airflow's: `scheduled__2025-01-01T00:00:00+00:00`, with a random suffix where no logical date makes it unique.
pub(super) fn run_id(
    run_type: RunType,
    run_after: Timestamp,
    logical_date: Option<Timestamp>,
    plan: &mut Plan,
) -> RunId {
    // Python's isoformat: microseconds only where there are any.
    let precision = if run_after.timestamp_subsec_micros() == 0 { SecondsFormat::Secs } else { SecondsFormat::Micros };
    let iso = run_after.to_rfc3339_opts(precision, false);
    let text = match logical_date {
        Some(_) => format!("{}__{iso}", run_type.as_str()),
        None => format!("{}__{iso}_{}", run_type.as_str(), plan.random_suffix()),
    };
    RunId::parse(&text).expect("made of allowed characters")
}

fn taken_text(
    run_id: Option<&RunId>,
    logical_date: Option<Timestamp>,
    taken_dates: &[Timestamp],
    taken_ids: &[RunId],
) -> Option<String> {
    if let Some(run_id) = run_id.filter(|id| taken_ids.contains(id)) {
        return Some(format!("the run id `{run_id}` is taken"));
    }
    let date = logical_date.filter(|date| taken_dates.contains(date))?;
    Some(format!("the logical date `{}` is taken", date.to_rfc3339()))
}

pub(super) fn refuse_events(events: &[EventId], reason: &str, plan: &mut Plan) {
    for &event in events {
        let outcome = EventOutcome::Ignored { reason: reason.to_owned() };
        plan.writes.events.push(EventWrite { event, outcome });
    }
}
