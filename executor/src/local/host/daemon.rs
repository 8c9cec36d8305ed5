//! Becoming a host: away from whoever starts it, and the only one of its state directory.

use std::{
    ffi::OsStr,
    fs::{DirBuilder, File, OpenOptions},
    io,
    os::unix::{
        fs::{DirBuilderExt, OpenOptionsExt},
        net::UnixListener,
        process::CommandExt,
    },
    path::Path,
    process::{Command, Stdio},
};

use nix::{
    fcntl::{Flock, FlockArg},
    libc,
    sys::stat::{Mode, umask},
};

use super::{
    super::layout::{HOST_LOG, LOCK, RECORDS},
    Error,
    handover::{Handover, inherit},
    records,
};
use crate::identity::ATTEMPT_VARIABLE;

/// Starts a host that outlives the caller: `PROGRAM ARGUMENTS… --state-dir DIR` in a session of its own and with
/// nothing of the caller's open. Returns when it is on its way; it may find that another one was faster.
///
/// Safe with threads around: between fork and exec there are system calls only.
pub fn spawn(program: &[impl AsRef<OsStr>], state_dir: &Path) -> io::Result<()> {
    let Some((exe, arguments)) = program.split_first() else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no program is configured to run the host"));
    };
    // Others may pass through, since commands may run as other users; what is inside guards itself.
    DirBuilder::new().recursive(true).mode(0o711).create(state_dir)?;
    let log = OpenOptions::new().append(true).create(true).mode(0o600).open(state_dir.join(HOST_LOG))?;
    let mut command = Command::new(exe);
    command.args(arguments).arg("--state-dir").arg(state_dir);
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    // The scheduler's secrets are no business of a process that commands of the same user can look into. Only a mark of
    // an attempt that we ourselves are part of stays: whoever runs it must find the host when it cleans up. And what
    // a test wants of the host, too.
    command.env_clear().envs(std::env::vars_os().filter(|(name, _)| stays(name)));
    // SAFETY: `detach` makes system calls only.
    unsafe { command.pre_exec(detach) };
    // The process in between ends at once, so the host is nobody's child: nobody has to reap it.
    let status = command.status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("the host could not be started: {status}"))) }
}

fn stays(name: &OsStr) -> bool {
    name == ATTEMPT_VARIABLE || name == gridflow_failpoint::VARIABLE
}

/// The second fork, in the child of the first. The parent in between leaves with success.
fn detach() -> io::Result<()> {
    // SAFETY: system calls in a process that has one thread.
    unsafe {
        if libc::setsid() < 0 {
            return Err(io::Error::last_os_error());
        }
        match libc::fork() {
            -1 => Err(io::Error::last_os_error()),
            0 => {
                // Connections and files of the starter must not live as long as the host. CLOEXEC instead of closing:
                // std still needs its pipe to tell that the exec failed.
                libc::syscall(libc::SYS_close_range, 3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC);
                Ok(())
            }
            _ => libc::_exit(0),
        }
    }
}

/// What makes a process the host of its state directory.
pub(super) struct Holdings {
    pub lock: Flock<File>,
    pub records: File,
    /// A new host listens once it knows its records.
    pub listener: Option<UnixListener>,
}

/// From nobody: the current directory is the state directory.
pub(super) fn hold(dir: &Path) -> Result<Holdings, Error> {
    let lock = lock(dir)?;
    let records = records::open(RECORDS.as_ref()).map_err(|source| Error::StateDir {
        action: "open the records",
        dir: dir.into(),
        source,
    })?;
    Ok(Holdings { lock, records, listener: None })
}

/// From the program that ran in this process before. Whatever the folder holds by now, these are the files.
pub(super) fn take_over(handover: &Handover) -> io::Result<Holdings> {
    // Locking what is locked through the same descriptor changes nothing.
    let lock = Flock::lock(inherit(handover.lock)?, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| error)?;
    Ok(Holdings { lock, records: inherit(handover.records)?, listener: Some(inherit(handover.listener)?) })
}

/// Held by this process and by its children until they exec.
fn lock(dir: &Path) -> Result<Flock<File>, Error> {
    let failed = |source| Error::StateDir { action: "lock", dir: dir.into(), source };
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(LOCK).map_err(failed)?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| match error {
        nix::Error::EWOULDBLOCK => Error::AlreadyRuns { dir: dir.into() },
        error => failed(error.into()),
    })
}

/// Relative to the current directory, so the length of its path does not matter.
pub(super) fn listen(socket: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    // Commands get the mask that we were started with.
    let before = umask(Mode::from_bits_truncate(0o177));
    let listener = UnixListener::bind(socket);
    umask(before);
    let listener = listener?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}
