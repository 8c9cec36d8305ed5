//! The server's process: started so that it dies with us, and reaped.

use std::{
    fs, io,
    path::Path,
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use nix::{
    sys::{prctl, signal::Signal},
    unistd::{Gid, Pid, Uid, getppid},
};
use std::os::unix::process::CommandExt;

use super::{Durability, Settings, binaries::as_owner};

/// A postmaster that was started.
#[derive(Debug)]
pub(super) struct Process {
    pub pid: Pid,
    exited: mpsc::Receiver<()>,
    is_gone: bool,
}

impl Process {
    /// Starts the server from a thread that lives as long as the server: the kernel's parent-death signal is about
    /// the *thread* that forked, and a test's thread ends with its test.
    pub fn start(mut command: Command) -> Result<Self> {
        let (started, start) = mpsc::channel::<io::Result<u32>>();
        let (ended, exited) = mpsc::channel();
        thread::Builder::new().name("postgres".into()).spawn(move || match command.spawn() {
            Ok(mut child) => {
                let _ = started.send(Ok(child.id()));
                // Reaps it; how it ended is nobody's question.
                let _ = child.wait();
                let _ = ended.send(());
            }
            Err(error) => drop(started.send(Err(error))),
        })?;
        let pid = start.recv().context("the thread of PostgreSQL is gone")?.context("starting PostgreSQL")?;
        Ok(Self { pid: Pid::from_raw(pid.cast_signed()), exited, is_gone: false })
    }

    pub fn has_exited(&mut self, within: Duration) -> bool {
        self.is_gone = self.is_gone || self.exited.recv_timeout(within).is_ok();
        self.is_gone
    }
}

pub(super) fn command(
    bin: &Path,
    dir: &Path,
    owner: Option<(Uid, Gid)>,
    port: u16,
    settings: &Settings,
) -> Result<Command> {
    let mut command = as_owner(Command::new(bin.join("postgres")), owner);
    command.arg("-D").arg(dir.join("data")).current_dir(dir);
    let mut set = |setting: &str| {
        command.arg("-c").arg(setting);
    };
    set(&format!("port={port}"));
    set("listen_addresses=127.0.0.1");
    set(&format!("unix_socket_directories={}", dir.display()));
    set("max_connections=200");
    if settings.durability == Durability::None {
        for setting in ["fsync=off", "full_page_writes=off", "synchronous_commit=off"] {
            set(setting);
        }
    }
    for setting in &settings.config {
        set(setting);
    }
    let log = fs::OpenOptions::new().create(true).append(true).open(dir.join("log"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log.context("making PostgreSQL's log")?);
    let parent = Pid::this();
    // SAFETY: prctl and getppid are async-signal-safe; nothing is allocated.
    unsafe {
        command.pre_exec(move || {
            prctl::set_pdeathsig(Signal::SIGQUIT)?;
            if getppid() != parent {
                return Err(io::Error::from(io::ErrorKind::Interrupted));
            }
            Ok(())
        });
    }
    Ok(command)
}
