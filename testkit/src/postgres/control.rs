//! What happens to a server in production, done on purpose: stopped, killed, its sessions ended, set back in time.

use std::{
    fs,
    path::PathBuf,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{
    Postgres, START_TIMEOUT,
    binaries::{as_owner, tool},
    disk,
    process::{self, Process},
};

/// How a server ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// In order, as `pg_ctl stop` does it: sessions are ended, a checkpoint is written.
    Fast,
    /// `kill -9` of all its processes: what it had not written to its log is gone.
    Crash,
}

/// The files of a server as they were at one moment.
#[derive(Debug)]
pub struct Copy {
    data: PathBuf,
}

impl Postgres {
    /// Ends the server and waits until it is gone.
    pub fn stop(&self, how: Stop) -> Result<()> {
        let mut process = self.process();
        if process.has_exited(Duration::ZERO) {
            return Ok(());
        }
        let children = match how {
            Stop::Fast => Vec::new(),
            Stop::Crash => children_of(process.pid),
        };
        let signal = match how {
            Stop::Fast => Signal::SIGINT,
            Stop::Crash => Signal::SIGKILL,
        };
        kill(process.pid, signal).context("ending PostgreSQL")?;
        for child in children {
            // It may have noticed by itself.
            let _ = kill(child, Signal::SIGKILL);
        }
        if !process.has_exited(START_TIMEOUT) {
            bail!("PostgreSQL does not end");
        }
        Ok(())
    }

    /// Starts a stopped server on the same port and data.
    pub fn start_again(&self) -> Result<()> {
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            let command = process::command(&self.bin, self.dir.path(), self.owner, self.port, &self.settings)?;
            *self.process() = Process::start(command)?;
            match self.wait_until_ready() {
                Ok(()) => return Ok(()),
                // The memory that a killed server's last process still holds, or its port, is free in a moment.
                Err(_) if Instant::now() < deadline && self.process().has_exited(Duration::ZERO) => {
                    thread::sleep(Duration::from_millis(50));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Ends the server for good and removes its data, for who can't drop it.
    pub fn discard(&self) {
        // What can't be removed now is swept later.
        let _ = self.stop(Stop::Crash);
        if self.settings.disk_bytes.is_some() {
            disk::unmount(&self.data_dir());
        }
        let _ = fs::remove_dir_all(self.dir.path());
    }

    pub fn is_running(&self) -> bool {
        !self.process().has_exited(Duration::ZERO)
    }

    /// Ends the sessions of which a condition on `pg_stat_activity` is true, and says how many those were.
    pub fn terminate(&self, database: &str, condition: &str) -> Result<usize> {
        let sql = format!(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
             WHERE pid <> pg_backend_pid() AND datname = current_database() AND ({condition})"
        );
        self.psql(database, &sql)?.parse().context("how many sessions were ended")
    }

    /// Copies the running server's files, as its own tool for backups does it.
    pub fn copy(&self, name: &str) -> Result<Copy> {
        let data = self.dir.path().join(name);
        let output = as_owner(Command::new(tool(&self.bin, "pg_basebackup")), self.owner)
            .args(["--checkpoint=fast", "--wal-method=stream", "--no-sync", "-U", "postgres", "-h"])
            .arg(self.dir.path())
            .args(["-p", &self.port.to_string(), "-D"])
            .arg(&data)
            .current_dir(self.dir.path())
            .output()
            .context("running pg_basebackup")?;
        if !output.status.success() {
            bail!("pg_basebackup: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(Copy { data })
    }

    /// Puts a copy in the place of the server's data: the database is as it was then.
    pub fn restore(&self, copy: Copy) -> Result<()> {
        self.stop(Stop::Crash)?;
        fs::remove_dir_all(self.data_dir()).context("removing the present data")?;
        fs::rename(copy.data, self.data_dir()).context("putting the copy in its place")?;
        self.start_again()
    }
}

fn children_of(parent: Pid) -> Vec<Pid> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| parent_of(*pid) == Some(parent.as_raw())).map(Pid::from_raw).collect()
}

fn parent_of(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}
