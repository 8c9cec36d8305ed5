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
            if let Some(made_ms) = super::super::layout::minted_ms(record.attempt)
                && record.forgotten
            {
                attempts.forgotten.insert((made_ms, slot));
            }
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
