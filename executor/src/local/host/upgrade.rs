//! Replacing the host's own program while commands run.

use std::{
    convert::Infallible,
    env,
    ffi::{CString, c_char},
    io,
    os::{fd::BorrowedFd, unix::ffi::OsStringExt},
    path::Path,
    ptr,
};

use nix::libc;

use super::{
    super::{program::ProgramFile, wire::Upgrade},
    handover::{self, Handover, Keep},
};

/// Why the old program should rather go on; `None` if there is something to do.
pub(super) fn objection(upgrade: &Upgrade, own: Option<ProgramFile>) -> Option<String> {
    let (oldest, newest, ours) = (upgrade.handover_oldest, upgrade.handover_newest, handover::VERSION);
    if !(oldest..=newest).contains(&ours) {
        return Some(format!("it takes over versions {oldest} to {newest}, and the host hands over version {ours}"));
    }
    let Some(program) = upgrade.command.first().filter(|program| program.starts_with('/')) else {
        return Some("it must be given by its full path".into());
    };
    match ProgramFile::of(Path::new(program)) {
        Err(error) => Some(format!("the host cannot look at `{program}`: {error}")),
        Ok(file) if Some(file) == own => Some("the host runs that program already".into()),
        Ok(_) => None,
    }
}

/// Becomes the new program. Comes back only if that failed, and then nothing has changed.
pub(super) fn replace(command: &[String], handover: &Handover, held: &[BorrowedFd<'_>]) -> io::Error {
    match try_replace(command, handover, held) {
        Err(error) => error,
    }
}

fn try_replace(command: &[String], handover: &Handover, held: &[BorrowedFd<'_>]) -> io::Result<Infallible> {
    let text = |text: Vec<u8>| CString::new(text).map_err(io::Error::from);
    let memory = handover.write()?;
    let state_dir = env::current_dir()?.into_os_string().into_vec();
    let number = handover::number(&memory).to_string();
    let added = [b"--state-dir".to_vec(), state_dir, b"--handover".to_vec(), number.into_bytes()];
    let argv = command.iter().map(|one| one.clone().into_bytes()).chain(added).map(text);
    let argv = argv.collect::<io::Result<Vec<CString>>>()?;
    let env = env::vars_os().map(|(name, value)| text([name.into_vec(), value.into_vec()].join(&b'=')));
    let env = env.collect::<io::Result<Vec<CString>>>()?;
    let pointers = |texts: &[CString]| -> Vec<*const c_char> {
        texts.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect()
    };
    let program = argv.first().ok_or(io::ErrorKind::InvalidInput)?;

    let _kept = Kept::new(held)?;
    // Not std's: it would unblock the signals, and one that came between the programs would end us.
    // SAFETY: NUL-terminated texts and arrays that live until the exec.
    unsafe { libc::execve(program.as_ptr(), pointers(&argv).as_ptr(), pointers(&env).as_ptr()) };
    Err(io::Error::last_os_error())
}

/// Descriptors that survive the exec, for as long as it is under way.
struct Kept<'a>(&'a [BorrowedFd<'a>]);

impl<'a> Kept<'a> {
    fn new(fds: &'a [BorrowedFd<'a>]) -> io::Result<Self> {
        let kept = Self(fds);
        fds.iter().try_for_each(|fd| handover::keep_across_exec(fd, Keep::Yes))?;
        Ok(kept)
    }
}

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        for fd in self.0 {
            // An open descriptor always takes its flag.
            let _ = handover::keep_across_exec(fd, Keep::No);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    fn upgrade(program: &str, oldest: u32, newest: u32) -> Upgrade {
        Upgrade { command: vec![program.into()], handover_oldest: oldest, handover_newest: newest }
    }

    #[test]
    fn a_program_that_does_not_understand_us_or_is_not_there_or_runs_already_replaces_nothing() {
        let own = ProgramFile::own().ok();
        let version = handover::VERSION;
        let objection = |program: &str, oldest, newest| objection(&upgrade(program, oldest, newest), own);
        assert!(objection("/bin/sh", version + 1, version + 2).unwrap().contains("hands over version"));
        assert!(objection("sh", version, version).unwrap().contains("full path"));
        assert!(objection("/no/such/program", version, version).unwrap().contains("cannot look"));
        assert!(objection("/proc/self/exe", version, version).unwrap().contains("already"));
        assert_eq!(objection("/bin/sh", version, version), None);
    }

    #[test]
    fn after_an_exec_that_failed_commands_still_inherit_nothing() {
        let file = tempfile::tempfile().unwrap();
        let handover = Handover {
            version: handover::VERSION,
            lock: 0,
            listener: 0,
            records: 0,
            linger_ms: 0,
            draining: false,
            stopping: false,
            stays: false,
            ward: None,
            underway: Vec::new(),
            strays: Vec::new(),
        };
        let error = replace(&["/no/such/program".into()], &handover, &[file.as_fd()]);
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        let flags = nix::fcntl::fcntl(&file, nix::fcntl::FcntlArg::F_GETFD).unwrap();
        assert_eq!(flags, libc::FD_CLOEXEC);
    }
}
