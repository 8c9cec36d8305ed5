//! How attempts end: the command first, then whatever it left behind.
//!
//! ```text
//! running ──exit──► nothing left? ──► gone
//!    │                 │ else
//!    │ cancel,         ▼
//!    │ timeout      SIGTERM ── grace ──► SIGKILL, again and again ──► gone
//!    └─► SIGTERM to the group ── grace ──► SIGKILL
//! ```
//! The common case costs two system calls: we are the subreaper, so a command that left nothing has left no process in
//! its group, and us no child that is not a command.

use std::collections::{HashSet, hash_map::Entry};

use gridflow_failpoint::{Point, reach};
use nix::libc;

use super::{
    super::wire::{End, Usage},
    attempts::{Attempts, Tie},
    children::{exited_child, how, reap_child},
    clock::{BootNs, wall_us},
    process::{self, Member, Snapshot},
    record::{Asked, Ended},
    records::Slot,
};

/// Between two looks at what is left of an attempt: short first, since most go at once.
const PAUSE_MS_MIN: u64 = 5;
const PAUSE_MS_MAX: u64 = 250;
/// Other work gets its turn in between.
const REAPED_AT_ONCE_MAX: usize = 256;
/// How a command ended that had to go because we do.
pub(super) const STOPPED: &str = "it was ended because Gridflow was stopped on its machine";

impl Attempts {
    /// Collects every child that has exited. `true` if there may be more.
    pub(super) fn reap(&mut self) -> bool {
        let mut ended = Vec::new();
        let mut reaped = 0;
        let mut unknown = false;
        while reaped < REAPED_AT_ONCE_MAX
            && let Some(pid) = exited_child()
        {
            reaped += 1;
            if self.ward.as_ref().is_some_and(|ward| ward.pid == pid) {
                if let (Some((status, _)), Some(ward)) = (reap_child(pid), &mut self.ward) {
                    ward.status = Some(status);
                }
                continue;
            }
            // Looked at before the reaping: afterwards the pid says nothing any more.
            let command = self.leaders.get(&pid).copied().filter(|slot| self.runs(*slot));
            let stray = match (command, self.strays.remove(&pid)) {
                (Some(_), _) => None,
                (None, Some(known)) => known,
                (None, None) => {
                    unknown = true;
                    self.owner_of(pid)
                }
            };
            let Some((status, usage)) = reap_child(pid) else { continue };
            if let Some(slot) = command {
                self.command_ended(slot, how(status), usage);
                ended.push(slot);
            } else if let Some(slot) = stray {
                self.stray_ended(slot, usage);
            }
        }
        // An orphan becomes our child before its parent can be reaped, so this list is complete for all of `ended`.
        if !ended.is_empty() || unknown {
            self.find_strays();
        }
        let left: HashSet<Slot> = self.strays.values().flatten().copied().collect();
        for slot in ended {
            let pid = self.open.get(&slot).and_then(|open| open.record.birth).map_or(0, |birth| birth.pid);
            if left.contains(&slot) || group_lives(pid) || self.cgroup_lives(slot) {
                self.sweep_from(slot, BootNs::now());
            } else {
                self.gone(slot);
            }
        }
        reaped == REAPED_AT_ONCE_MAX
    }

    /// The command of a host that died has ended; nobody knows how.
    pub(super) fn watched_ended(&mut self, slot: Slot) {
        if self.runs(slot) {
            let reason = "its host was killed while it ran, so how it ended is unknown".into();
            self.command_ended(slot, End::Lost { reason }, Usage::default());
            self.sweep_from(slot, BootNs::now());
        }
    }

    /// SIGTERM now, SIGKILL after the grace.
    pub(super) fn ask_to_end(&mut self, slot: Slot, asked: Asked) {
        let now = BootNs::now();
        let Some(open) = self.open.get_mut(&slot).filter(|open| open.record.end.is_none()) else { return };
        if open.record.asked.is_some() {
            return;
        }
        open.record.asked = Some(asked);
        open.kill_at = Some(now.plus_ms(open.record.grace_ms));
        let record = open.record.clone();
        // On file before the signal: another host must not take the end for the command's own.
        self.write(slot, &record);
        self.terminate_group(slot);
        self.wake(slot, now.plus_ms(record.grace_ms));
    }

    /// Ends everything that runs, `grace_ms` at most being the time between SIGTERM and SIGKILL. Says how many commands
    /// that are.
    pub(super) fn stop(&mut self, grace_ms: Option<u64>) -> usize {
        let living: Vec<Slot> = self.open.iter().filter(|(_, open)| !open.is_gone()).map(|(slot, _)| *slot).collect();
        for slot in &living {
            self.ask_to_end(*slot, Asked::Stop);
            // Also those that were being ended before.
            if let (Some(ms), Some(open)) = (grace_ms, self.open.get_mut(slot)) {
                let limit = BootNs::now().plus_ms(ms);
                open.kill_at = Some(open.kill_at.map_or(limit, |at| at.min(limit)));
                let wake_at = open.wake_at.map_or(limit, |at| at.min(limit));
                self.wake(*slot, wake_at);
            }
        }
        living.len()
    }

    pub(super) fn terminate_group(&self, slot: Slot) {
        // The group is named by a pid that cannot be another's: our unreaped child, or looked at right now.
        if let Some(pid) = self.living_leader(slot) {
            signal_group(pid, libc::SIGTERM);
            // A stopped process would never see it.
            signal_group(pid, libc::SIGCONT);
        }
    }

    pub(super) fn wake(&mut self, slot: Slot, at: BootNs) {
        let Some(open) = self.open.get_mut(&slot) else { return };
        if let Some(old) = open.wake_at.replace(at) {
            self.timers.remove(&(old, slot));
        }
        self.timers.insert((at, slot));
    }

    /// Does what is due.
    pub(super) fn tend(&mut self, now: BootNs) {
        let mut snapshot = None;
        while let Some(&(at, slot)) = self.timers.first()
            && at <= now
        {
            self.timers.remove(&(at, slot));
            let Some(open) = self.open.get_mut(&slot) else { continue };
            open.wake_at = None;
            match (&open.record.end, open.record.asked) {
                (Some(Ended { gone: true, .. }), _) => {}
                (Some(Ended { gone: false, .. }), _) => {
                    if let Some(snapshot) = look(&mut snapshot) {
                        self.sweep(slot, snapshot, now);
                    } else {
                        self.wake(slot, now.plus_ms(PAUSE_MS_MAX));
                    }
                }
                (None, None) => self.ask_to_end(slot, Asked::Timeout),
                (None, Some(_)) => {
                    if let Some(snapshot) = look(&mut snapshot) {
                        self.kill(slot, snapshot);
                    }
                    self.wake(slot, now.plus_ms(PAUSE_MS_MAX));
                }
            }
        }
    }

    /// Looks for what is left and ends it. The attempt is gone when a look finds nothing, neither among all processes
    /// nor, afterwards, among our children: a process that forked and died during the look left us its child.
    fn sweep(&mut self, slot: Slot, snapshot: &Snapshot, now: BootNs) {
        let members = self.members(slot, snapshot);
        self.find_strays();
        let has_stray = self.strays.values().any(|owner| *owner == Some(slot));
        if members.is_empty() && !has_stray && !self.cgroup_lives(slot) {
            return self.gone(slot);
        }
        let told = self.is_told_of_the_end(slot, &members);
        let Some(open) = self.open.get_mut(&slot) else { return };
        let first_look = open.pause_ms == 0;
        let kill_at = *open.kill_at.get_or_insert(now.plus_ms(open.record.grace_ms));
        open.pause_ms = (open.pause_ms * 2).clamp(PAUSE_MS_MIN, PAUSE_MS_MAX);
        let next = if told { kill_at.max(now.plus_ms(PAUSE_MS_MAX)) } else { now.plus_ms(open.pause_ms) };
        if let Some(cgroups) = &self.cgroups
            && kill_at <= now
        {
            cgroups.kill(open.record.attempt);
        }
        for member in members {
            if kill_at <= now {
                process::signal(member, libc::SIGKILL);
            } else if first_look {
                process::signal(member, libc::SIGTERM);
                process::signal(member, libc::SIGCONT);
            }
        }
        // The moment of the kill is kept exactly; after it, every look kills what is new.
        self.wake(slot, if now < kill_at { next.min(kill_at) } else { next });
    }

    /// Will the kernel say when the last of them has gone? Then nobody has to look until they are killed.
    fn is_told_of_the_end(&mut self, slot: Slot, members: &[Member]) -> bool {
        let (Some(cgroups), Some(open)) = (&self.cgroups, self.open.get(&slot)) else { return false };
        let attempt = open.record.attempt;
        if let Entry::Vacant(place) = self.emptying.entry(slot) {
            let Ok(watch) = cgroups.watch(attempt) else { return false };
            place.insert(watch);
            self.to_watch.push(slot);
        }
        let pids = cgroups.pids(attempt);
        !pids.is_empty() && members.iter().all(|member| pids.contains(&member.pid))
    }

    /// Something has changed in its group.
    pub(super) fn group_changed(&mut self, slot: Slot) {
        if let Some(watch) = self.emptying.get(&slot) {
            watch.seen();
            self.wake(slot, BootNs::now());
        }
    }

    /// SIGKILL to the command and everything that belongs to it.
    fn kill(&self, slot: Slot, snapshot: &Snapshot) {
        if let Some(pid) = self.living_leader(slot) {
            signal_group(pid, libc::SIGKILL);
        }
        if let (Some(cgroups), Some(open)) = (&self.cgroups, self.open.get(&slot)) {
            cgroups.kill(open.record.attempt);
        }
        for member in self.members(slot, snapshot) {
            process::signal(member, libc::SIGKILL);
        }
    }

    fn cgroup_lives(&self, slot: Slot) -> bool {
        match (&self.cgroups, self.open.get(&slot)) {
            (Some(cgroups), Some(open)) => cgroups.is_populated(open.record.attempt),
            (None, _) | (_, None) => false,
        }
    }

    fn members(&self, slot: Slot, snapshot: &Snapshot) -> Vec<Member> {
        let Some(open) = self.open.get(&slot) else { return Vec::new() };
        let mut strays: Vec<i32> =
            self.strays.iter().filter(|(_, owner)| **owner == Some(slot)).map(|(pid, _)| *pid).collect();
        if let Some(cgroups) = &self.cgroups {
            strays.extend(cgroups.pids(open.record.attempt));
        }
        // Pid 0 leads no session that we could see; an attempt without birth is found by its environment.
        let leader = open.record.birth.map_or(-1, |birth| birth.pid);
        snapshot.members(open.record.attempt, leader, open.record.claimed_at, &strays)
    }

    pub(super) fn runs(&self, slot: Slot) -> bool {
        self.open.get(&slot).is_some_and(|open| open.record.end.is_none())
    }

    fn living_leader(&self, slot: Slot) -> Option<i32> {
        let open = self.open.get(&slot).filter(|open| open.record.end.is_none())?;
        let birth = open.record.birth?;
        match open.tie {
            Tie::Child => Some(birth.pid),
            Tie::Watched(_) => {
                let stat = process::stat(birth.pid)?;
                process::is_same(stat, open.record.claimed_at, birth).then_some(birth.pid)
            }
            Tie::None => None,
        }
    }

    fn was_out_of_memory(&self, slot: Slot) -> bool {
        match (&self.cgroups, self.open.get(&slot)) {
            (Some(cgroups), Some(open)) => cgroups.was_out_of_memory(open.record.attempt),
            (None, _) | (_, None) => false,
        }
    }

    fn command_ended(&mut self, slot: Slot, end: End, usage: Usage) {
        reach(Point::CommandEnded);
        let asked = self.open.get(&slot).and_then(|open| open.record.asked);
        let end = match asked {
            Some(Asked::Cancel) => End::Canceled,
            Some(Asked::Timeout) => End::TimedOut,
            // Whatever it made of the signal, it may not have come to its end.
            Some(Asked::Stop) => End::Lost { reason: STOPPED.into() },
            None if end == (End::Signaled { signal: libc::SIGKILL }) && self.was_out_of_memory(slot) => {
                End::OutOfMemory
            }
            None => end,
        };
        let Some(open) = self.open.get_mut(&slot) else { return };
        let usage = sum(usage, open.strays_used);
        open.record.end = Some(Ended { at_us: wall_us(), end, usage, gone: false });
        open.tie = Tie::None;
    }

    fn stray_ended(&mut self, slot: Slot, used: Usage) {
        let Some(open) = self.open.get_mut(&slot) else { return };
        match &mut open.record.end {
            None => open.strays_used = sum(open.strays_used, used),
            Some(ended) if !ended.gone => {
                ended.usage = sum(ended.usage, used);
                self.wake(slot, BootNs::now());
            }
            Some(_) => {}
        }
    }

    pub(super) fn sweep_from(&mut self, slot: Slot, at: BootNs) {
        let Some(open) = self.open.get(&slot) else { return };
        // Should we die now, the next host knows how the command ended and only has to sweep.
        self.write(slot, &open.record);
        self.wake(slot, at);
    }

    fn gone(&mut self, slot: Slot) {
        let Some(open) = self.open.get_mut(&slot) else { return };
        if let Some(ended) = &mut open.record.end {
            ended.gone = true;
            ended.at_us = wall_us();
        }
        if let Some(old) = open.wake_at.take() {
            self.timers.remove(&(old, slot));
        }
        let record = open.record.clone();
        if let Some(birth) = record.birth
            && self.leaders.get(&birth.pid) == Some(&slot)
        {
            self.leaders.remove(&birth.pid);
        }
        // Closed, so that the loop does not wait for it any more.
        self.emptying.remove(&slot);
        self.remove_cgroup(record.attempt);
        self.write(slot, &record);
        self.changed.push(slot);
    }
}

fn look(snapshot: &mut Option<Snapshot>) -> Option<&Snapshot> {
    if snapshot.is_none() {
        match Snapshot::take() {
            Ok(taken) => *snapshot = Some(taken),
            Err(error) => super::note(format_args!("cannot look at the processes: {error}")),
        }
    }
    snapshot.as_ref()
}

/// CPU adds up; peaks may not have been at the same time, so the highest is the honest one.
fn sum(one: Usage, other: Usage) -> Usage {
    Usage {
        cpu_user_us: one.cpu_user_us + other.cpu_user_us,
        cpu_system_us: one.cpu_system_us + other.cpu_system_us,
        rss_peak_bytes: one.rss_peak_bytes.max(other.rss_peak_bytes),
    }
}

fn group_lives(group: i32) -> bool {
    // SAFETY: signal 0 only asks. Zero or less would mean other processes than the group's.
    // EPERM also says that somebody is there.
    0 < group
        && (unsafe { libc::kill(-group, 0) } == 0
            || std::io::Error::last_os_error().raw_os_error() == Some(libc::EPERM))
}

fn signal_group(group: i32, signal: i32) {
    if 0 < group {
        // SAFETY: plain numbers; a group that has just gone is an error of no interest.
        unsafe { libc::kill(-group, signal) };
    }
}
