//! Our children: commands, and the orphans they leave us as their subreaper.

use nix::libc;
use uuid::Uuid;

use super::{
    super::wire::{End, Usage},
    attempts::Attempts,
    process,
    records::Slot,
};

impl Attempts {
    /// Learns which of our children are orphans of which attempt.
    pub(super) fn find_strays(&mut self) {
        let children = match process::children() {
            Ok(children) => children,
            Err(error) => return super::note(format_args!("cannot list our children: {error}")),
        };
        for pid in children {
            let is_command = self.leaders.get(&pid).is_some_and(|slot| self.runs(*slot));
            let is_ward = self.ward.as_ref().is_some_and(|ward| ward.pid == pid);
            if !is_command && !is_ward && !self.strays.contains_key(&pid) {
                let owner = self.owner_of(pid);
                self.strays.insert(pid, owner);
            }
        }
    }

    /// The open attempt a process belongs to, by its session or by its environment.
    pub(super) fn owner_of(&self, pid: i32) -> Option<Slot> {
        let session = process::stat(pid).and_then(|stat| self.leaders.get(&stat.session).copied());
        let by_environment = || self.claims.get(&process::owner(pid)? as &Uuid).copied();
        session.or_else(by_environment).filter(|slot| self.open.contains_key(slot))
    }
}

/// A child that has exited and is not reaped yet.
pub(super) fn exited_child() -> Option<i32> {
    // SAFETY: all zeroes is a valid siginfo, and the call fills it in.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: the pointer is to the value above. No child at all is an error, none that has exited is pid 0.
    let pid = unsafe {
        if libc::waitid(libc::P_ALL, 0, &raw mut info, flags) != 0 {
            return None;
        }
        info.si_pid()
    };
    (pid != 0).then_some(pid)
}

pub(super) fn reap_child(pid: i32) -> Option<(i32, Usage)> {
    let mut status = 0;
    // SAFETY: all zeroes is a valid rusage; both are filled in by the call.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: pointers to the two values above.
    let reaped = unsafe { libc::wait4(pid, &raw mut status, libc::WNOHANG, &raw mut usage) };
    let us = |time: libc::timeval| (time.tv_sec as u64).saturating_mul(1_000_000).saturating_add(time.tv_usec as u64);
    (reaped == pid).then(|| {
        let used = Usage {
            cpu_user_us: us(usage.ru_utime),
            cpu_system_us: us(usage.ru_stime),
            // Kilobytes on Linux.
            rss_peak_bytes: (usage.ru_maxrss as u64).saturating_mul(1024),
        };
        (status, used)
    })
}

pub(super) fn how(status: i32) -> End {
    if libc::WIFSIGNALED(status) {
        End::Signaled { signal: libc::WTERMSIG(status) }
    } else {
        End::Exited { code: libc::WEXITSTATUS(status) }
    }
}
