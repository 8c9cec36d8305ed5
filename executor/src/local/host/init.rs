//! As the first process of a container: the host stays, and the program runs as its child.
//!
//! ```text
//! pid 1  gridflow standalone ─ fork ─ host: parent of all commands, reaper of all orphans
//!                               └─── gridflow standalone, once the host listens
//! ```
//! A container lives as long as its first process, so commands can't outlive this host, and nobody else would reap.
//! Signals go to the program, which stops, while the host ends the commands; then the container ends with the
//! program's exit code.

use std::{
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    sync::Arc,
};

use nix::{
    libc,
    sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask},
    unistd::{ForkResult, Pid, fork, setpgid},
};

/// The program, as its host sees it. It waits until the host is ready, and ends if that never comes.
#[derive(Debug, Clone)]
pub struct Ward {
    pid: i32,
    start: Arc<UnixStream>,
}

/// Which of the two this process is from now on.
#[derive(Debug)]
pub enum Part {
    Host(Ward),
    Program,
}

/// Makes two processes of one. No thread may be there yet.
pub fn split() -> io::Result<Part> {
    let (mut wait, start) = UnixStream::pair()?;
    // From here on: a signal that came before the host reads them would be lost for a first process.
    let mut held = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGCHLD] {
        held.add(signal);
    }
    let mut before = SigSet::empty();
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&held), Some(&mut before))?;
    // SAFETY: the caller has one thread.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => {
            drop(wait);
            Ok(Part::Host(Ward { pid: child.as_raw(), start: Arc::new(start) }))
        }
        ForkResult::Child => {
            drop(start);
            // Ctrl-C at the container's terminal comes once, through the host.
            setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
            let mut told = [0];
            wait.read_exact(&mut told).map_err(|_| io::Error::other("the host of local commands ended"))?;
            sigprocmask(SigmaskHow::SIG_SETMASK, Some(&before), None)?;
            Ok(Part::Program)
        }
    }
}

impl Ward {
    /// Lets it go on, and says which child it is.
    pub(super) fn begin(&self) -> i32 {
        // One that has ended meanwhile is reaped like any other.
        let _ = (&*self.start).write_all(&[1]);
        self.pid
    }
}

/// As shells have it: 128 and the number of the signal.
pub(super) fn exit_code(status: i32) -> u8 {
    let code = if libc::WIFSIGNALED(status) { 128 + libc::WTERMSIG(status) } else { libc::WEXITSTATUS(status) };
    u8::try_from(code).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_is_the_programs_own_or_tells_its_signal() {
        assert_eq!(exit_code(3 << 8), 3);
        assert_eq!(exit_code(libc::SIGTERM), 143);
    }
}
