//! What a node that does not lead does next: from what its host has on record and what the database says.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use gridflow_core::{AttemptId, AttemptOutcome, AttemptState, RunKey, Timestamp, Usage};
use gridflow_store::{
    node::{Charge, Known, OpenAttempt},
    report::{News, Report},
};

use super::Named;

/// What the host has told and nobody has acknowledged.
#[derive(Debug, Default)]
pub(super) struct Records {
    boot: Option<Arc<str>>,
    records: HashMap<AttemptId, Record>,
    /// Open attempts that were forestalled: their claims are told soon.
    forestalled: HashSet<AttemptId>,
    /// Attempts of a boot that is over, and the epoch in which the leader was told that they are lost.
    lost: HashMap<AttemptId, i64>,
}

#[derive(Debug)]
struct Record {
    report: Report,
    /// Of one that has ended: its start, which nobody was told of meanwhile.
    start: Option<Report>,
    /// The epoch of the leader that was told last.
    told: Option<i64>,
    is_cancelled: bool,
    is_noted: bool,
}

/// What to write, then what to ask of the host.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Decision {
    pub letters: Vec<Report>,
    pub unknown: Vec<Report>,
    pub cancel: Vec<Named>,
    pub forestall: Vec<Named>,
    pub acknowledge: Vec<AttemptId>,
    /// Of those to cancel: the ones that no row asks for.
    pub strays: Vec<AttemptId>,
    epoch: i64,
}

impl Records {
    /// The host has told all it knows; this is the boot whose processes it can see.
    pub fn synced(&mut self, boot: Arc<str>) {
        self.boot = Some(boot);
    }

    /// None before the host has told all it knows: until then nothing follows from what it has not told.
    pub fn boot(&self) -> Option<Arc<str>> {
        self.boot.clone()
    }

    pub fn take(&mut self, report: Report) {
        let attempt = report.attempt;
        self.forestalled.remove(&attempt);
        if let Some(known) = self.records.get(&attempt)
            && (known.report == report || matches!(known.report.news, News::Finished { .. }))
        {
            return; // Told again after a reconnect.
        }
        // What is not an end yet is a start.
        let start = self.records.remove(&attempt);
        let is_cancelled = start.as_ref().is_some_and(|known| known.is_cancelled);
        let start = start.map(|known| known.report);
        self.records.insert(attempt, Record { report, start, told: None, is_cancelled, is_noted: false });
    }

    /// What is on record and not among these.
    pub fn not_among(&self, open: &HashMap<AttemptId, OpenAttempt>) -> Vec<Named> {
        let others = self.records.values().filter(|record| !open.contains_key(&record.report.attempt));
        others.map(|record| (record.report.run, record.report.attempt)).collect()
    }

    /// What was decided is written.
    pub fn told(&mut self, decision: &Decision) {
        for letter in &decision.letters {
            match self.records.get_mut(&letter.attempt) {
                Some(record) => record.told = Some(decision.epoch),
                None => _ = self.lost.insert(letter.attempt, decision.epoch),
            }
        }
        for report in &decision.unknown {
            if let Some(record) = self.records.get_mut(&report.attempt) {
                record.is_noted = true;
            }
        }
    }
}

/// Decides. Letters and notes are repeated until [`Records::told`] says that they were written.
pub(super) fn decide(
    records: &mut Records,
    boot: &str,
    charge: &Charge,
    known: &HashMap<AttemptId, Known>,
    now: Timestamp,
) -> Decision {
    let mut decision = Decision { epoch: charge.epoch, ..Decision::default() };
    for record in records.records.values_mut() {
        match (charge.open.get(&record.report.attempt), known.get(&record.report.attempt)) {
            (Some(open), _) => of_open(record, open, charge, &mut decision),
            // Committed between the two reads: the next look knows.
            (None, Some(Known::Open)) => {}
            (None, Some(Known::Closed)) => of_stray(record, &mut decision),
            // The database lost it. Its processes may be worth more than the order to end them: a person decides.
            (None, None) if charge.is_held => {
                if !record.is_noted {
                    decision.unknown.push(record.report.clone());
                }
            }
            (None, None) if charge.is_ahead => {}
            (None, None) => of_stray(record, &mut decision),
        }
    }
    for attempt in &decision.acknowledge {
        records.records.remove(attempt);
    }
    // A leader that is here would start what is queued; while there is a hold nobody may decide on what is missing.
    if !charge.leads_here && !charge.is_held && !charge.is_ahead {
        of_missing(records, boot, charge, now, &mut decision);
    }
    // A start before its end, also where they are of one instant.
    decision.letters.sort_by_key(|report| (report.at, report.attempt));
    decision
}

fn of_open(record: &mut Record, open: &OpenAttempt, charge: &Charge, decision: &mut Decision) {
    let (run, attempt) = (record.report.run, record.report.attempt);
    let is_news = match record.report.news {
        News::Started { .. } => !open.has_started,
        News::Finished { .. } => true,
    };
    if is_news && record.told != Some(charge.epoch) {
        decision.letters.extend(record.start.clone().filter(|_| !open.has_started));
        decision.letters.push(record.report.clone());
    }
    let is_running = matches!(record.report.news, News::Started { .. });
    if is_running && open.state == AttemptState::Canceling && !std::mem::replace(&mut record.is_cancelled, true) {
        decision.cancel.push((run, attempt));
    }
}

/// Closed, or known to nobody: what is left of it ends, and then its record may go.
fn of_stray(record: &mut Record, decision: &mut Decision) {
    let (run, attempt) = (record.report.run, record.report.attempt);
    match record.report.news {
        News::Finished { .. } => decision.acknowledge.push(attempt),
        News::Started { .. } => {
            if !std::mem::replace(&mut record.is_cancelled, true) {
                decision.cancel.push((run, attempt));
                decision.strays.push(attempt);
            }
        }
    }
}

/// Open attempts of this node that its host has no record of.
fn of_missing(records: &mut Records, boot: &str, charge: &Charge, now: Timestamp, decision: &mut Decision) {
    for (attempt, open) in &charge.open {
        if records.records.contains_key(attempt) {
            continue;
        }
        if open.boot == boot {
            // Whoever queued it did not get to launch it, or still does: the claim decides, and is told either way.
            if records.forestalled.insert(*attempt) {
                decision.forestall.push((open.run, *attempt));
            }
        } else if records.lost.get(attempt) != Some(&charge.epoch) {
            decision.letters.push(lost_with_its_boot(open.run, *attempt, now));
        }
    }
    records.forestalled.retain(|attempt| charge.open.contains_key(attempt));
    records.lost.retain(|attempt, _| charge.open.contains_key(attempt));
}

fn lost_with_its_boot(run: RunKey, attempt: AttemptId, at: Timestamp) -> Report {
    let outcome = AttemptOutcome::Lost { reason: "its machine was restarted".into() };
    Report { run, attempt, at, news: News::Finished { outcome, usage: Usage::default(), output: None } }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const BOOT: &str = "boot 2";

    fn run() -> RunKey {
        RunKey(Uuid::from_u128(1))
    }

    fn attempt() -> AttemptId {
        AttemptId(Uuid::from_u128(2))
    }

    fn started() -> Report {
        Report { run: run(), attempt: attempt(), at: Timestamp::default(), news: News::Started { pid: 7 } }
    }

    fn finished() -> Report {
        let outcome = AttemptOutcome::Exited { code: 0 };
        let news = News::Finished { outcome, usage: Usage::default(), output: None };
        Report { news, ..started() }
    }

    fn charge(state: Option<AttemptState>) -> Charge {
        let open = state.map(|state| {
            (
                attempt(),
                OpenAttempt { run: run(), boot: BOOT.into(), state, has_started: state != AttemptState::Queued },
            )
        });
        Charge { epoch: 5, open: open.into_iter().collect(), ..Charge::default() }
    }

    /// Decides, and writes what was decided.
    fn look(records: &mut Records, charge: &Charge, known: Option<Known>) -> Decision {
        let known = known.map(|known| (attempt(), known)).into_iter().collect();
        let decision = decide(records, BOOT, charge, &known, Timestamp::default());
        records.told(&decision);
        decision
    }

    fn records(report: Report) -> Records {
        let mut records = Records::default();
        records.synced(BOOT.into());
        records.take(report);
        records
    }

    #[test]
    fn an_end_is_told_once_to_each_leader_and_acknowledged_only_when_the_attempt_is_closed() {
        let mut records = records(finished());
        let open = charge(Some(AttemptState::Running));
        assert_eq!(look(&mut records, &open, None).letters, [finished()]);
        assert_eq!(look(&mut records, &open, None), Decision { epoch: 5, ..Decision::default() });
        let next = Charge { epoch: 6, ..open };
        assert_eq!(look(&mut records, &next, None).letters, [finished()], "the next leader is told again");
        let closed = look(&mut records, &charge(None), Some(Known::Closed));
        assert_eq!((closed.acknowledge, closed.letters), (vec![attempt()], vec![]));
        assert_eq!(look(&mut records, &charge(None), None).acknowledge, [], "there is nothing left to acknowledge");
    }

    #[test]
    fn a_letter_that_was_not_written_is_written_by_the_next_look() {
        let mut records = records(finished());
        let open = charge(Some(AttemptState::Running));
        let first = decide(&mut records, BOOT, &open, &HashMap::new(), Timestamp::default());
        assert_eq!(first.letters.len(), 1);
        assert_eq!(look(&mut records, &open, None).letters, [finished()]);
    }

    #[test]
    fn the_start_of_a_command_that_has_ended_meanwhile_is_told_before_its_end() {
        let mut records = records(started());
        records.take(finished());
        records.take(started());
        let queued = charge(Some(AttemptState::Queued));
        assert_eq!(look(&mut records, &queued, None).letters, [started(), finished()]);
        let running = Charge { epoch: 6, ..charge(Some(AttemptState::Running)) };
        assert_eq!(look(&mut records, &running, None).letters, [finished()]);
    }

    #[test]
    fn a_start_that_the_database_knows_is_no_news() {
        let mut records = records(started());
        assert_eq!(look(&mut records, &charge(Some(AttemptState::Running)), None).letters, []);
        assert_eq!(look(&mut records, &charge(Some(AttemptState::Queued)), None).letters, [started()]);
    }

    #[test]
    fn a_canceling_row_is_the_order_and_is_passed_on_once() {
        let mut records = records(started());
        let canceling = charge(Some(AttemptState::Canceling));
        assert_eq!(look(&mut records, &canceling, None).cancel, [(run(), attempt())]);
        assert_eq!(look(&mut records, &canceling, None).cancel, []);
    }

    #[test]
    fn what_the_database_has_closed_or_never_had_is_ended() {
        for known in [Some(Known::Closed), None] {
            let decision = look(&mut records(started()), &charge(None), known);
            assert_eq!((decision.cancel, decision.strays), (vec![(run(), attempt())], vec![attempt()]));
        }
    }

    #[test]
    fn while_there_is_a_hold_the_unknown_is_noted_and_left_alone() {
        let mut records = records(started());
        let held = Charge { is_held: true, ..charge(None) };
        let first = look(&mut records, &held, None);
        assert_eq!((first.unknown, first.cancel), (vec![started()], vec![]));
        assert_eq!(look(&mut records, &held, None).unknown, []);
        assert_eq!(look(&mut records, &charge(None), None).cancel, [(run(), attempt())], "then it is ended");
    }

    #[test]
    fn a_node_that_is_ahead_of_the_database_ends_nothing_before_a_leader_has_noticed() {
        let mut records = records(started());
        let ahead = Charge { is_ahead: true, ..charge(None) };
        assert_eq!(look(&mut records, &ahead, None), Decision { epoch: 5, ..Decision::default() });
        let held = Charge { is_held: true, ..ahead };
        assert_eq!(look(&mut records, &held, None).unknown, [started()]);
    }

    #[test]
    fn what_the_host_has_never_heard_of_is_forestalled_in_this_boot_and_lost_in_another() {
        let mut records = Records::default();
        records.synced(BOOT.into());
        let mut queued = charge(Some(AttemptState::Queued));
        assert_eq!(look(&mut records, &queued, None).forestall, [(run(), attempt())]);
        assert_eq!(look(&mut records, &queued, None).forestall, [], "the host answers by a record");
        queued.leads_here = true;
        queued.is_held = true;
        records.forestalled.clear();
        assert_eq!(look(&mut records, &queued, None).forestall, [], "nobody decides while there is a hold");

        let mut old = charge(Some(AttemptState::Running));
        old.open.get_mut(&attempt()).unwrap().boot = "boot 1".into();
        let letters = look(&mut records, &old, None).letters;
        assert!(
            matches!(&letters[..], [Report { news: News::Finished { outcome, .. }, .. }] if outcome.kind() == "lost")
        );
        assert_eq!(look(&mut records, &old, None).letters, []);
    }

    #[test]
    fn an_attempt_that_was_committed_between_the_two_reads_is_left_for_the_next_look() {
        let decision = look(&mut records(started()), &charge(None), Some(Known::Open));
        assert_eq!(decision, Decision { epoch: 5, ..Decision::default() });
    }
}
