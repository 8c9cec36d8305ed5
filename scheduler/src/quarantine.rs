//! What is set aside, so that the rest goes on.
//!
//! Something lands here when a decision about it panicked: a bug. It keeps its rows and its state, its
//! reason says what happened, and nothing is decided about it until the program is started again.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use gridflow_core::{CommandId, DagId, Event, EventId, RunKey, World};

/// What a decision can be about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Culprit {
    /// It keeps its slots, and its commands run on.
    Run(RunKey),
    /// It is refused.
    Command(CommandId),
    /// It stays undecided.
    Event(EventId),
    /// As if it had left its folder.
    Dag(DagId),
}

/// Outlives terms: what panicked would panic again.
#[derive(Debug, Default)]
pub(crate) struct Quarantine {
    culprits: Mutex<BTreeMap<Culprit, String>>,
}

impl Quarantine {
    /// False if it was set aside before: then that did not help.
    pub fn set_aside(&self, culprit: Culprit, reason: String) -> bool {
        tracing::error!("{culprit} is set aside until the program is started again: {reason}");
        self.culprits.lock().unwrap_or_else(PoisonError::into_inner).insert(culprit, reason).is_none()
    }

    /// Why it is set aside, if it is.
    pub fn reason(&self, culprit: &Culprit) -> Option<String> {
        self.culprits.lock().unwrap_or_else(PoisonError::into_inner).get(culprit).cloned()
    }

    pub fn holds(&self, culprit: &Culprit) -> bool {
        self.culprits.lock().unwrap_or_else(PoisonError::into_inner).contains_key(culprit)
    }

    pub fn runs(&self) -> Vec<(RunKey, String)> {
        let culprits = self.culprits.lock().unwrap_or_else(PoisonError::into_inner);
        let run = |(culprit, reason): (&Culprit, &String)| match culprit {
            Culprit::Run(run) => Some((*run, reason.clone())),
            Culprit::Command(_) | Culprit::Event(_) | Culprit::Dag(_) => None,
        };
        culprits.iter().filter_map(run).collect()
    }
}

/// What is to blame should the step panic: the run at work then, and whoever asked. Which of the two was at fault
/// nobody knows.
#[derive(Debug, Default)]
pub(crate) struct Suspects {
    run: Option<RunKey>,
    asked_by: Vec<Culprit>,
}

impl Suspects {
    /// To be asked before the step, which consumes the event.
    pub fn of(event: &Event) -> Self {
        Self { run: event.run(), asked_by: asked_by(event) }
    }

    pub fn culprits(self, world: &World) -> Vec<Culprit> {
        let run = world.at_work().or(self.run);
        self.asked_by.into_iter().chain(run.map(Culprit::Run)).collect()
    }
}

fn asked_by(event: &Event) -> Vec<Culprit> {
    match event {
        Event::DagChanged(changed) => vec![Culprit::Dag(changed.definition.id().clone())],
        Event::RunRequested(request) => request.events.iter().map(|event| Culprit::Event(*event)).collect(),
        Event::CancelRun { command: Some(command), .. } | Event::DagPaused { command: Some(command), .. } => {
            vec![Culprit::Command(*command)]
        }
        Event::CancelRun { command: None, .. }
        | Event::DagPaused { command: None, .. }
        | Event::DagRemoved { .. }
        | Event::PoolChanged { .. }
        | Event::RunQueued(_)
        | Event::QueuedFetched { .. }
        | Event::EventIgnored { .. }
        | Event::AttemptClaimed { .. }
        | Event::AttemptStarted { .. }
        | Event::AttemptFinished { .. }
        | Event::CommandRefused { .. }
        | Event::NodeLost { .. }
        | Event::TimersDue
        | Event::Answer(_) => Vec::new(),
    }
}

impl std::fmt::Display for Culprit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Run(run) => write!(f, "the run {run}"),
            Self::Command(command) => write!(f, "the command {command}"),
            Self::Event(event) => write!(f, "the event {event}"),
            Self::Dag(dag) => write!(f, "the DAG `{dag}`"),
        }
    }
}
