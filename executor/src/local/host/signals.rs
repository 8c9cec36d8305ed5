//! Signals as a descriptor, and nothing inherited that would surprise a command.

use std::io;

use nix::{
    libc,
    sys::{
        prctl,
        signal::{SigSet, SigmaskHow, Signal, sigprocmask},
        signalfd::{SfdFlags, SignalFd},
    },
};

/// Makes us the subreaper of all descendants, and SIGCHLD and SIGTERM readable.
pub(super) fn prepare() -> io::Result<SignalFd> {
    prctl::set_child_subreaper(true)?;
    // Ignored signals survive an exec: `nohup`'s SIGHUP or Rust's SIGPIPE would change how commands behave.
    // The kernel's call, since the libc keeps some signals to itself and refuses them.
    let default_action = [0_u64; 4];
    for signal in (1..=64).filter(|signal| ![libc::SIGKILL, libc::SIGSTOP].contains(signal)) {
        // SAFETY: the kernel's structure of all zeroes is the default action, without a handler.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, &raw const default_action, 0, 8) };
    }
    let mut set = SigSet::empty();
    for signal in [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        set.add(signal);
    }
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&set), None)?;
    Ok(SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?)
}
