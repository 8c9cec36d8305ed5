//! Runs the task's command, as PID 1 of its container or not, and says what became of it.
//!
//! Signals go to the command's whole process group, orphans that end are reaped, and the exit code is the command's
//! own, or 128 and the signal that ended it.

use std::{
    env,
    ffi::OsString,
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
};

use gridflow_pod::{
    frame, hex,
    report::{self, Output, Report},
};
use nix::{
    errno::Errno,
    libc,
    unistd::{Pid, setsid},
};

use crate::{output, say, signals};

pub struct Options {
    /// Where the kubelet reads the termination message.
    pub message: PathBuf,
    pub message_bytes_max: usize,
    /// The command itself runs something, and tells by its exit code which signal has ended that.
    pub codes_tell_signals: bool,
    pub command: Vec<OsString>,
}

const NOT_FOUND: u8 = 127;
const NOT_STARTED: u8 = 126;

pub fn run(options: &Options) -> u8 {
    let output_file = env::var_os("GRIDFLOW_OUTPUT").map(PathBuf::from);
    let (code, mut report) = match supervise(&options.command) {
        Ok(End::Exited(code)) => {
            // Kubernetes shows the code of a command that a signal ended in the same way.
            let end = (128 < code && !options.codes_tell_signals).then_some(report::End::Exit(code.into()));
            (code, Report { end, ..Report::default() })
        }
        Ok(End::Signaled(signal)) => {
            (128 + signal, Report { end: Some(report::End::Signal(signal.into())), ..Report::default() })
        }
        Err(error) => {
            let reason = format!("cannot start `{}`: {error}", options.command[0].display());
            say::problem(&reason);
            let code = if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { NOT_STARTED };
            (code, Report { failed: Some(reason), ..Report::default() })
        }
    };
    if report.failed.is_none()
        && let Some(path) = output_file
    {
        report.output = output::read(&path);
    }
    hand_over(options, report);
    code
}

enum End {
    Exited(u8),
    Signaled(u8),
}

impl End {
    /// Of a process that has ended, not stopped.
    fn from_status(status: libc::c_int) -> Self {
        if libc::WIFSIGNALED(status) {
            Self::Signaled(libc::WTERMSIG(status) as u8)
        } else {
            Self::Exited(libc::WEXITSTATUS(status) as u8)
        }
    }
}

fn supervise(command: &[OsString]) -> io::Result<End> {
    let held = signals::hold()?;
    let mut child = Command::new(&command[0]);
    child.args(&command[1..]);
    // SAFETY: between fork and exec, two system calls and nothing that allocates.
    unsafe {
        child.pre_exec(|| {
            setsid()?;
            signals::release()?;
            Ok(())
        });
    }
    let child = Pid::from_raw(child.spawn()?.id().cast_signed());
    loop {
        // First, and after every signal: several children that end may be one SIGCHLD.
        if let Some(end) = reap(child)? {
            return Ok(end);
        }
        let signal = held.next();
        if signal != libc::SIGCHLD {
            signals::forward(child, signal);
        }
    }
}

/// Takes leave of every child that has ended; `Some` if the command is one of them.
fn reap(child: Pid) -> nix::Result<Option<End>> {
    let mut end = None;
    loop {
        let mut status = 0;
        // SAFETY: a plain system call that writes the status.
        let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
        match Errno::result(pid) {
            Ok(0) | Err(Errno::ECHILD) => return Ok(end),
            Ok(pid) if pid == child.as_raw() => end = Some(End::from_status(status)),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// The output into the termination message if it has room there, else into the log.
fn hand_over(options: &Options, mut report: Report) {
    let message = report.write(options.message_bytes_max).or_else(|| {
        report.output = match &report.output {
            Output::Text(text) => into_log(text),
            Output::Nothing | Output::InLog { .. } | Output::Invalid(_) => return None,
        };
        report.write(options.message_bytes_max)
    });
    let message = message.unwrap_or_default();
    if message.is_empty() {
        return;
    }
    if let Err(error) = write_message(&options.message, &message) {
        say::problem(&format!("cannot write the termination message `{}`: {error}", options.message.display()));
    }
}

fn into_log(text: &str) -> Output {
    let line = frame::on_one_line(text);
    let attempt = env::var("GRIDFLOW_ATTEMPT_ID").unwrap_or_default();
    match frame::write(&mut io::stdout().lock(), &attempt, &line) {
        Ok(()) => Output::InLog { bytes: line.len() as u64, sha256: hex::sha256(line.as_bytes()) },
        Err(error) => Output::Invalid(format!("cannot write the output to the log: {error}")),
    }
}

/// The kubelet made the file; where it did not, the container's user may.
fn write_message(path: &Path, message: &str) -> io::Result<()> {
    if let Some(folder) = path.parent()
        && !folder.exists()
    {
        fs::create_dir_all(folder)?;
    }
    OpenOptions::new().write(true).create(true).truncate(true).open(path)?.write_all(message.as_bytes())
}
