//! Requests to the leader: runs that others created, commands of people, events of triggers.

use gridflow_core::{DagId, Event, QueuedRun};
use gridflow_store::{
    command::{Command, Request},
    event::pending,
    inbox::{self, Item, Letter},
    report::{News, Report},
};

use crate::{
    Error,
    lead::Lead,
    quarantine::Culprit,
    trigger::{Decision, Subject, decide},
    turn::Input,
};

/// Letters read at once. The rest is read right after the turn that deals with these.
const LETTERS_MAX: u32 = 2_000;
/// Outside events decided in one turn at most.
const EVENTS_MAX: u32 = 500;

/// Reads all letters there are, and what they ask for, into the next turn's input. True if there are
/// more than one turn may take.
pub(crate) async fn read(lead: &mut Lead, input: &mut Input) -> Result<bool, Error> {
    let letters = inbox::all(&mut lead.reader, LETTERS_MAX).await?;
    let is_full = letters.len() == LETTERS_MAX as usize;
    for letter in letters {
        open(lead, letter, input).await?;
    }
    let has_more_events = decide_events(lead, input).await?;
    Ok(is_full || has_more_events)
}

/// Decides events of the DAGs that may have some (T2). Those of a DAG that is gone, or was never
/// good, stay as they are until it is published. True if there are more than one turn may take.
async fn decide_events(lead: &mut Lead, input: &mut Input) -> Result<bool, Error> {
    if lead.dags_with_events.is_empty() {
        return Ok(false);
    }
    let dags: Vec<DagId> = lead.dags_with_events.iter().filter(|dag| lead.current(dag).is_some()).cloned().collect();
    let events = if dags.is_empty() { Vec::new() } else { pending(&mut lead.reader, &dags, EVENTS_MAX).await? };
    let is_full = events.len() == EVENTS_MAX as usize;
    if !is_full {
        lead.dags_with_events.clear();
    }
    let decided_before = input.events.len();
    for event in events.into_iter().filter(|event| !lead.shared.quarantine.holds(&Culprit::Event(event.id))) {
        let subject = lead
            .current(&event.trigger.dag)
            .map(|(_, dag)| Subject { dag, is_paused: lead.world.is_paused(&event.trigger.dag) });
        match decide(&event, subject) {
            Decision::Step(event) => input.events.push(event),
            Decision::Keep => {}
        }
    }
    // Those that are set aside stay; a turn that decides none of the others would never come to an end of them.
    Ok(is_full && decided_before < input.events.len())
}

async fn open(lead: &mut Lead, letter: Letter, input: &mut Input) -> Result<(), Error> {
    match letter.item {
        Item::RunQueued(run, _) if lead.world.is_quarantined(run.key) => {}
        Item::RunQueued(run, facts) => {
            if let Some(facts) = facts {
                lead.letters.insert(run.key, (run.clone(), *facts));
            }
            input.events.push(Event::RunQueued(run));
        }
        Item::Command(command) => input.events.extend(asked(lead, command).await?),
        Item::EventsReceived { dag } => _ = lead.dags_with_events.insert(dag),
        // Its node keeps it, and tells the next leader again.
        Item::Report(report) if lead.world.is_quarantined(report.run) => {}
        Item::Report(report) => input.events.push(event(report)),
        Item::PoolChanged { pool, slots } => input.events.push(Event::PoolChanged { pool, slots }),
        Item::Gone => {}
        Item::Unreadable(wrong) => tracing::error!("a request that this version can't read is left out: {wrong}"),
    }
    input.consumed.push(letter.id);
    Ok(())
}

fn event(report: Report) -> Event {
    let Report { run, attempt, at, news } = report;
    match news {
        News::Started { pid } => Event::AttemptStarted { run, attempt, at, pid: Some(pid), place: None },
        News::Finished { outcome, usage, output } => {
            Event::AttemptFinished { run, attempt, at, outcome, usage, output }
        }
    }
}

async fn asked(lead: &mut Lead, command: Command) -> Result<Vec<Event>, Error> {
    let id = Some(command.id);
    if let Some(reason) = lead.shared.quarantine.reason(&Culprit::Command(command.id)) {
        return Ok(vec![Event::CommandRefused { command: command.id, reason }]);
    }
    tracing::info!(command = %command.id, actor = %command.actor, "asked for {:?}", command.request);
    Ok(match command.request {
        Request::PauseDag { dag, is_paused } => vec![Event::DagPaused { dag, is_paused, command: id }],
        Request::CancelRun { run } => {
            // The core may not hold a queued run in memory; telling it twice is harmless.
            let queued: Option<QueuedRun> = gridflow_store::run::get_queued(&mut lead.reader, run).await?;
            let queued = queued.filter(|run| !lead.world.is_quarantined(run.key));
            queued.map(Event::RunQueued).into_iter().chain([Event::CancelRun { run, command: id }]).collect()
        }
    })
}
