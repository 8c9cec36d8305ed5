//! What a new host makes of the records that another one left.

use std::{io, os::fd::AsRawFd};

use super::{
    super::wire::{End, Usage},
    attempts::{Attempts, Open, Tie},
    clock::{BootNs, wall_us},
    ending::STOPPED,
    handover::{Handover, Stray, Underway},
    process,
    record::{Asked, Birth, Ended, Record},
    records::{Records, Slot},
};

/// Called with the lock held: every child of the former host has written its birth by now, or will never run.
///
/// With something handed over, the former host is this very process, and nothing happened in between.
pub(super) fn recover(
    boot: u64,
    records: Records,
    found: Vec<(Slot, Record)>,
    handover: Option<&Handover>,
) -> io::Result<Attempts> {
    let mut attempts = Attempts::new(boot, records)?;
    for (slot, record) in found {
        attempts.turn_max = attempts.turn_max.max(record.turn);
        if record.acknowledged {
            attempts.claims.insert(record.attempt, slot);
            attempts.note_committed(slot, &record);
        } else {
            recover_open(&mut attempts, slot, record);
        }
    }
    match handover {
        Some(handover) => take_over(&mut attempts, handover),
        None => ask_again(&attempts),
    }
    Ok(attempts)
}

/// The former host may have died between its mark and its signal.
fn ask_again(attempts: &Attempts) {
    let asked = attempts.open.iter().filter(|(_, open)| open.record.end.is_none() && open.record.asked.is_some());
    asked.for_each(|(slot, _)| attempts.terminate_group(*slot));
}

/// Goes on where the former program was: nobody is asked twice to end, and every grace ends when it was to end.
fn take_over(attempts: &mut Attempts, handover: &Handover) {
    for underway in &handover.underway {
        let Some(open) = attempts.open.get_mut(&underway.slot) else { continue };
        open.kill_at = underway.kill_at;
        open.pause_ms = underway.pause_ms;
        open.strays_used = underway.strays_used;
        if let Some(birth) = open.record.birth.filter(|_| !open.is_gone()) {
            attempts.leaders.insert(birth.pid, underway.slot);
        }
        if let Some(at) = underway.wake_at {
            attempts.wake(underway.slot, at);
        }
    }
    attempts.strays = handover.strays.iter().map(|stray| (stray.pid, stray.owner)).collect();
}

fn recover_open(attempts: &mut Attempts, slot: Slot, mut record: Record) {
    let now = BootNs::now();
    if record.boot != attempts.boot {
        let gone = "the machine or container was restarted while it ran";
        // Nothing of another boot lives: what was only unswept is gone, and what had not ended never will.
        match &mut record.end {
            Some(ended) => ended.gone = true,
            None => record.end = Some(lost(gone, Left::Nothing)),
        }
        attempts.write(slot, &record);
        return attempts.keep(slot, Open::new(record, Tie::None));
    }
    match (&record.end, record.birth) {
        (Some(Ended { gone: true, .. }), _) => attempts.keep(slot, Open::new(record, Tie::None)),
        (Some(Ended { gone: false, .. }), _) => {
            attempts.keep(slot, Open::new(record, Tie::None));
            attempts.wake(slot, now);
        }
        (None, None) => {
            record.end = Some(lost("its host was killed before it could start the command", Left::Nothing));
            attempts.write(slot, &record);
            attempts.keep(slot, Open::new(record, Tie::None));
        }
        (None, Some(birth)) => watch(attempts, slot, record, birth),
    }
}

fn watch(attempts: &mut Attempts, slot: Slot, mut record: Record, birth: Birth) {
    let now = BootNs::now();
    let Some(tie) = tie(&record, birth) else {
        // As after any end, others of the attempt may live.
        record.end = Some(match record.asked {
            Some(Asked::Cancel) => Ended { end: End::Canceled, ..lost("", Left::Perhaps) },
            Some(Asked::Timeout) => Ended { end: End::TimedOut, ..lost("", Left::Perhaps) },
            Some(Asked::Stop) => lost(STOPPED, Left::Perhaps),
            None => lost("its host was killed, and it ended before another one looked", Left::Perhaps),
        });
        attempts.write(slot, &record);
        attempts.keep(slot, Open::new(record, Tie::None));
        return attempts.wake(slot, now);
    };
    let (asked, deadline, grace_ms) = (record.asked, record.deadline, record.grace_ms);
    let mut open = Open::new(record, tie);
    open.kill_at = asked.map(|_| now.plus_ms(grace_ms));
    attempts.keep(slot, open);
    attempts.leaders.insert(birth.pid, slot);
    match (asked, deadline) {
        (Some(_), _) => attempts.wake(slot, now.plus_ms(grace_ms)),
        (None, Some(deadline)) => attempts.wake(slot, deadline),
        (None, None) => {}
    }
}

/// `None` if the command has ended.
fn tie(record: &Record, birth: Birth) -> Option<Tie> {
    let fd = process::pidfd(birth.pid);
    // Looked at with the descriptor open: from here on it names this process or nobody.
    let stat = process::stat(birth.pid).filter(|stat| process::is_same(*stat, record.claimed_at, birth))?;
    if stat.parent.unsigned_abs() == std::process::id() {
        return Some(Tie::Child);
    }
    (!stat.is_dead()).then_some(fd.ok().map(Tie::Watched)?)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Left {
    Nothing,
    Perhaps,
}

fn lost(reason: &str, left: Left) -> Ended {
    let end = End::Lost { reason: reason.into() };
    Ended { at_us: wall_us(), end, usage: Usage::default(), gone: left == Left::Nothing }
}

impl Attempts {
    /// The descriptors to wait on, and whose end each of them tells.
    pub(super) fn watched(&self) -> impl Iterator<Item = (i32, Slot)> {
        self.open.iter().filter_map(|(slot, open)| match &open.tie {
            Tie::Watched(fd) => Some((fd.as_raw_fd(), *slot)),
            Tie::Child | Tie::None => None,
        })
    }

    /// What of the attempts the records do not hold. Fails if the records lag behind, as on a full disk.
    pub(super) fn to_hand_over(&self) -> io::Result<(Vec<Underway>, Vec<Stray>)> {
        for (slot, open) in &self.open {
            self.records.update(*slot, &open.record)?;
        }
        let underway = self.open.iter().filter(|(_, open)| !open.is_gone()).map(|(slot, open)| Underway {
            slot: *slot,
            kill_at: open.kill_at,
            wake_at: open.wake_at,
            pause_ms: open.pause_ms,
            strays_used: open.strays_used,
        });
        let strays = self.strays.iter().map(|(pid, owner)| Stray { pid: *pid, owner: *owner });
        Ok((underway.collect(), strays.collect()))
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::{
        super::{super::wire::State, records::open},
        *,
    };

    const BOOT: u64 = 1;

    fn claimed() -> Record {
        Record {
            attempt: Uuid::now_v7(),
            run: Uuid::nil(),
            turn: 3,
            spec_hash: [0; 32],
            stage: 0,
            boot: BOOT,
            claimed_us: wall_us(),
            claimed_at: BootNs::now(),
            deadline: None,
            grace_ms: 0,
            asked: None,
            end: None,
            acknowledged: false,
            birth: None,
        }
    }

    /// What a new host says about a record that it finds.
    fn found(record: &Record) -> (Attempts, State) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("records");
        let slot = Records::read_all(open(&path).unwrap()).unwrap().0.insert(record).unwrap();
        let (records, found) = Records::read_all(open(&path).unwrap()).unwrap();
        let attempts = recover(BOOT, records, found, None).unwrap();
        let state = attempts.shown(slot).unwrap().state;
        (attempts, state)
    }

    fn reason(state: State) -> String {
        match state {
            State::Gone { end: End::Lost { reason }, .. } => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_claim_without_a_birth_never_started() {
        let (attempts, state) = found(&claimed());
        assert!(reason(state).contains("before it could start"));
        assert!(attempts.is_idle());
        assert_eq!(attempts.turn_max, 3);
    }

    #[test]
    fn a_command_of_another_boot_is_gone_whatever_its_pid_names_now() {
        let birth = Some(Birth { pid: 1, alive_at: BootNs::now() });
        let (attempts, state) = found(&Record { boot: 2, birth, ..claimed() });
        assert!(reason(state).contains("restarted"));
        assert!(attempts.is_idle());
    }

    #[test]
    fn a_pid_that_names_a_younger_process_now_is_not_the_command() {
        let long_ago = BootNs(1_000_000_000);
        let birth = Some(Birth { pid: std::process::id().cast_signed(), alive_at: BootNs(2_000_000_000) });
        let (attempts, state) = found(&Record { claimed_at: long_ago, birth, ..claimed() });
        // Others of the attempt may live, so it is not gone before somebody has looked.
        assert!(matches!(state, State::Started { .. }));
        assert_eq!(attempts.watched().count(), 0);
        assert_eq!(attempts.timers.len(), 1);
    }

    #[test]
    fn a_command_that_had_ended_keeps_its_end_while_it_is_swept() {
        let end = End::Exited { code: 4 };
        let ended = Ended { at_us: 1, end: end.clone(), usage: Usage::default(), gone: false };
        let (mut attempts, state) = found(&Record { end: Some(ended), ..claimed() });
        assert!(matches!(state, State::Started { .. }));
        let (_, slot) = *attempts.timers.first().unwrap();
        attempts.tend(BootNs::now());
        match attempts.shown(slot).unwrap().state {
            State::Gone { end: now, .. } => assert_eq!(now, end),
            other => panic!("{other:?}"),
        }
    }
}
