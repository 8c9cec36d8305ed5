//! Signals as they come: none is lost between the start of the program and that of the command.

use std::{io, mem::MaybeUninit, ptr};

use nix::{
    errno::Errno,
    libc::{self, c_int},
    unistd::Pid,
};

/// Those that a fault of the program itself raises, and those that nobody can hold.
const NOT_HELD: [c_int; 8] = [
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGILL,
    libc::SIGTRAP,
    libc::SIGSYS,
    libc::SIGKILL,
    libc::SIGSTOP,
];

/// Signals that are held back until [`Held::next`] asks. By number: the real-time ones have no names.
pub struct Held(libc::sigset_t);

/// Holds back all that can be. As PID 1 the program would otherwise not be given most of them at all.
pub fn hold() -> io::Result<Held> {
    let mut set = MaybeUninit::uninit();
    // SAFETY: `sigfillset` initialises the set, the others are given an initialised one.
    unsafe {
        libc::sigfillset(set.as_mut_ptr());
        let mut set = set.assume_init();
        for signal in NOT_HELD {
            libc::sigdelset(&raw mut set, signal);
        }
        Errno::result(libc::sigprocmask(libc::SIG_SETMASK, &raw const set, ptr::null_mut()))?;
        Ok(Held(set))
    }
}

/// For the command: it begins like any other.
pub fn release() -> io::Result<()> {
    let mut set = MaybeUninit::uninit();
    // SAFETY: as in `hold`.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        Errno::result(libc::sigprocmask(libc::SIG_SETMASK, set.as_ptr(), ptr::null_mut()))?;
    }
    Ok(())
}

impl Held {
    /// Waits for the next signal.
    pub fn next(&self) -> c_int {
        let mut signal = 0;
        // SAFETY: the set is initialised. It only fails for sets with invalid signals, or when interrupted.
        while unsafe { libc::sigwait(&raw const self.0, &raw mut signal) } != 0 {}
        signal
    }
}

/// To a whole process group. Whoever is not there any more needs no signal.
pub fn forward(group: Pid, signal: c_int) {
    // SAFETY: a plain system call.
    unsafe { libc::killpg(group.as_raw(), signal) };
}
