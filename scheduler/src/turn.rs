//! One turn: step what came in, answer what the core must know, commit, act.

use std::panic::{AssertUnwindSafe, catch_unwind};

use chrono::{SubsecRound, Utc};
use gridflow_core::{Event, InboxId, Plan, Timestamp, World, admit, step};
use gridflow_failpoint::{Point, check, check_about};

use crate::{Error, act, answer, lead::Lead, quarantine::Suspects};

/// What a turn takes in.
#[derive(Debug, Default)]
pub(crate) struct Input {
    pub events: Vec<Event>,
    /// Inbox rows that these events answer; they go in the same transaction.
    pub consumed: Vec<InboxId>,
}

impl Input {
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.consumed.is_empty()
    }
}

/// Runs one turn. After an error nothing of it is done and the caller must give up the term: memory
/// may hold what the database does not.
pub(crate) async fn turn(lead: &mut Lead, input: Input) -> Result<(), Error> {
    // As the database keeps it.
    let now = Utc::now().trunc_subsecs(6);
    let mut plan = Plan::begin(lead.leader.next_turn(), seed());
    if let Some(recovered) = lead.recovered.take() {
        plan.absorb(recovered);
    }
    for event in input.events {
        guarded(lead, &mut plan, event, now)?;
    }
    // Templates of later tasks read them before the database could tell.
    for xcom in plan.outputs() {
        lead.runs.set_output(xcom.key, xcom.output.value.clone());
    }
    settle(lead, &mut plan, now).await?;
    // Those that did not start now are read when they do.
    lead.letters.clear();
    if plan.is_empty() && input.consumed.is_empty() {
        return Ok(());
    }
    let sealed = plan.seal();
    for run in &sealed.writes().new_runs {
        lead.runs.remember(run);
    }
    for run in &sealed.writes().runs {
        lead.runs.starts(run.key, run.started_at);
    }
    check(Point::TurnDecided)?;
    let (_, actions) = lead.leader.commit(sealed, &input.consumed, now).await?;
    check(Point::TurnCommitted)?;
    act::act(lead, actions).await
}

/// Lets the core admit, and answers its needs, until it needs nothing more.
async fn settle(lead: &mut Lead, plan: &mut Plan, now: Timestamp) -> Result<(), Error> {
    loop {
        admit_guarded(lead, plan, now)?;
        let needs = plan.take_needs();
        if needs.is_empty() {
            return Ok(());
        }
        for answer in answer::answers(lead, plan, needs, now).await? {
            guarded(lead, plan, Event::Answer(answer), now)?;
        }
    }
}

/// A step whose panic ends the term, not the program, and names what it was about.
fn guarded(lead: &mut Lead, plan: &mut Plan, event: Event, now: Timestamp) -> Result<(), Error> {
    let suspects = Suspects::of(&event);
    let world = &mut lead.world;
    catch_unwind(AssertUnwindSafe(|| {
        let _ = check_about(Point::Decision, || format!("{event:?}"));
        step(world, event, now, plan);
    }))
    .map_err(|panic| panicked(suspects, &lead.world, &*panic))
}

fn admit_guarded(lead: &mut Lead, plan: &mut Plan, now: Timestamp) -> Result<(), Error> {
    let world = &mut lead.world;
    catch_unwind(AssertUnwindSafe(|| {
        let _ = check_about(Point::Decision, || "admission".to_owned());
        admit(world, now, plan);
    }))
    .map_err(|panic| panicked(Suspects::default(), &lead.world, &*panic))
}

fn panicked(suspects: Suspects, world: &World, panic: &(dyn std::any::Any + Send)) -> Error {
    Error::Panicked { about: suspects.culprits(world), message: panic_text(panic) }
}

pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".into())
}

fn seed() -> u64 {
    // The random part of a UUIDv7; the core makes keys and attempt ids from it.
    let (high, low) = uuid::Uuid::now_v7().as_u64_pair();
    high.rotate_left(32) ^ low
}
