//! What a new host makes of the records that another one left.

use std::{io, os::fd::AsRawFd};

use super::{
    super::wire::{End, Usage},
    attempts::{Attempts, Open, Tie},
    clock::{BootNs, wall_us},
    process,
    record::{Asked, Birth, Ended, Record},
    records::{Records, Slot},
};

/// Called with the lock held: every child of the former host has written its birth by now, or will never run.
pub(super) fn recover(boot: u64, records: Records, found: Vec<(Slot, Record)>) -> io::Result<Attempts> {
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
    Ok(attempts)
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
        // The former host may have died between its mark and its signal.
        (Some(_), _) => {
            attempts.terminate_group(slot);
            attempts.wake(slot, now.plus_ms(grace_ms));
        }
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
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::{super::super::wire::State, *};

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
            forgotten: false,
            birth: None,
        }
    }

    /// What a new host says about a record that it finds.
    fn found(record: &Record) -> (Attempts, State) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("records");
        let slot = Records::open(&path).unwrap().0.insert(record).unwrap();
        let (records, found) = Records::open(&path).unwrap();
        let attempts = recover(BOOT, records, found).unwrap();
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
