//! What `/proc` says about processes, and which of them belong to an attempt.

use std::{collections::HashMap, fs, io, path::Path};

use nix::libc;
use uuid::Uuid;

use super::{clock::BootNs, record::Birth};
use crate::identity::ATTEMPT_VARIABLE;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stat {
    pub state: u8,
    pub parent: i32,
    pub group: i32,
    pub session: i32,
    pub start_ticks: u64,
}

impl Stat {
    /// Exited; only its parent has not looked yet.
    pub(super) fn is_dead(self) -> bool {
        matches!(self.state, b'Z' | b'X' | b'x')
    }
}

/// `None` if there is no such process.
pub(super) fn stat(pid: i32) -> Option<Stat> {
    parse_stat(&fs::read(format!("/proc/{pid}/stat")).ok()?)
}

fn parse_stat(text: &[u8]) -> Option<Stat> {
    // The name may contain anything, also spaces and parentheses; the last `)` ends it.
    let name_end = text.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(text.get(name_end + 2..)?).ok()?;
    let mut fields = rest.split(' ');
    let state = *fields.next()?.as_bytes().first()?;
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    let session = fields.next()?.parse().ok()?;
    let start_ticks = fields.nth(15)?.parse().ok()?;
    Some(Stat { state, parent, group, session, start_ticks })
}

/// The kernel's clock for process starts, usually 100 a second.
pub(super) fn ticks(at: BootNs) -> u64 {
    // SAFETY: asks for a number.
    let per_second = u64::try_from(unsafe { libc::sysconf(libc::_SC_CLK_TCK) }).unwrap_or(100);
    (u128::from(at.0) * u128::from(per_second) / 1_000_000_000) as u64
}

/// Is the process with this pid still the one that wrote the birth?
pub(super) fn is_same(stat: Stat, claimed_at: BootNs, birth: Birth) -> bool {
    (ticks(claimed_at)..=ticks(birth.alive_at)).contains(&stat.start_ticks)
}

/// The children of this process, living and dead. As subreaper we also get the orphans of our commands.
pub(super) fn children() -> io::Result<Vec<i32>> {
    let me = std::process::id();
    match fs::read_to_string(format!("/proc/{me}/task/{me}/children")) {
        Ok(list) => Ok(list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()),
        // Kernels without that file: look at everybody's parent.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let me = i32::try_from(me).unwrap_or_default();
            let child = |pid: &i32| stat(*pid).is_some_and(|stat| stat.parent == me);
            Ok(pids()?.into_iter().filter(child).collect())
        }
        Err(error) => Err(error),
    }
}

fn pids() -> io::Result<Vec<i32>> {
    let numbers = fs::read_dir("/proc")?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    Ok(numbers.collect())
}

/// The attempt whose environment this process was started with, if it did not wipe it and we may look.
pub(super) fn owner(pid: i32) -> Option<Uuid> {
    parse_owner(&fs::read(Path::new("/proc").join(pid.to_string()).join("environ")).ok()?)
}

fn parse_owner(environ: &[u8]) -> Option<Uuid> {
    let value = environ.split(|byte| *byte == 0).find_map(|entry| {
        let value = entry.strip_prefix(ATTEMPT_VARIABLE.as_bytes())?;
        value.strip_prefix(b"=")
    })?;
    Uuid::try_parse_ascii(value).ok()
}

/// One look at all living processes. Costs some ten microseconds for each, so it is taken only when something is left.
pub(super) struct Snapshot(HashMap<i32, (Stat, Option<Uuid>)>);

/// A process at the moment of the snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Member {
    pub pid: i32,
    pub start_ticks: u64,
}

impl Snapshot {
    pub(super) fn take() -> io::Result<Self> {
        let me = i32::try_from(std::process::id()).unwrap_or_default();
        let mut processes = HashMap::new();
        for pid in pids()?.into_iter().filter(|pid| *pid != me && 1 < *pid) {
            // Threads of the kernel are children of 2 and carry nothing.
            if let Some(stat) = stat(pid).filter(|stat| !stat.is_dead() && stat.parent != 2) {
                processes.insert(pid, (stat, owner(pid)));
            }
        }
        Ok(Self(processes))
    }

    /// Who belongs to an attempt: its session and group, who carries its id, `strays` known to be its, and the
    /// descendants of all these.
    pub(super) fn members(&self, attempt: Uuid, leader: i32, claimed_at: BootNs, strays: &[i32]) -> Vec<Member> {
        let oldest = ticks(claimed_at);
        let seed = |pid: i32, stat: &Stat, owner: Option<Uuid>| {
            // Nobody older than the claim can be its: the pid may have named another session before.
            oldest <= stat.start_ticks
                && (owner == Some(attempt) || stat.session == leader || stat.group == leader || strays.contains(&pid))
        };
        let belongs = |pid: i32| {
            let mut at = pid;
            // A chain of parents cannot be longer than there are processes.
            for _ in 0..=self.0.len() {
                let Some((stat, owner)) = self.0.get(&at) else { return false };
                if seed(at, stat, *owner) {
                    return true;
                }
                at = stat.parent;
            }
            false
        };
        let members = self.0.iter().filter(|(pid, _)| belongs(**pid));
        members.map(|(pid, (stat, _))| Member { pid: *pid, start_ticks: stat.start_ticks }).collect()
    }
}

/// Signals a process if it is still the same one.
pub(super) fn signal(member: Member, signal: i32) {
    let Ok(fd) = pidfd(member.pid) else { return };
    // Checked with the descriptor open: from here on it names this process or nobody.
    if stat(member.pid).is_some_and(|stat| stat.start_ticks == member.start_ticks) {
        signal_pidfd(&fd, signal);
    }
}

pub(super) fn signal_pidfd(fd: &impl std::os::fd::AsRawFd, signal: i32) {
    let none = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: a descriptor we hold and plain numbers. An error means that it is gone or not ours to signal.
    unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd.as_raw_fd(), signal, none, 0) };
}

/// Fails if there is no such process.
pub(in super::super) fn pidfd(pid: i32) -> io::Result<std::os::fd::OwnedFd> {
    use std::os::fd::FromRawFd;
    // SAFETY: a plain number in, a new descriptor out.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just made, and nobody else has it.
    Ok(unsafe { std::os::fd::OwnedFd::from_raw_fd(fd as i32) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_does_not_confuse_the_fields() {
        let text = b"42 (a) R (b c)) S 7 8 9 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 777 1 2\n";
        let stat = parse_stat(text).unwrap();
        assert_eq!(stat, Stat { state: b'S', parent: 7, group: 8, session: 9, start_ticks: 777 });
    }

    #[test]
    fn the_owner_is_read_from_the_environment_exactly() {
        let id = Uuid::from_u128(5);
        let with = |text: &str| parse_owner(format!("A=1\0{text}\0B=2\0").as_bytes());
        assert_eq!(with(&format!("{ATTEMPT_VARIABLE}={id}")), Some(id));
        assert_eq!(with(&format!("X{ATTEMPT_VARIABLE}={id}")), None);
        assert_eq!(with(&format!("{ATTEMPT_VARIABLE}S={id}")), None);
    }

    #[test]
    fn descendants_belong_even_when_they_left_session_and_environment() {
        let stat = |parent, session| Stat { state: b'S', parent, group: session, session, start_ticks: 10 };
        let attempt = Uuid::from_u128(1);
        let all = [
            (10, (stat(1, 10), Some(attempt))),
            (11, (stat(10, 11), None)),
            (12, (stat(11, 12), None)),
            (20, (stat(1, 20), Some(Uuid::from_u128(2)))),
            (30, (stat(1, 30), None)),
        ];
        let snapshot = Snapshot(all.into_iter().collect());
        let mut pids: Vec<_> =
            snapshot.members(attempt, 99, BootNs(0), &[30]).iter().map(|member| member.pid).collect();
        pids.sort_unstable();
        assert_eq!(pids, [10, 11, 12, 30]);
    }
}
