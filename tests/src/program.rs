//! The built `gridflow` program as a child process.

use std::{
    ffi::OsStr,
    fs::{File, OpenOptions},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// Where the program is: beside the test programs.
pub fn gridflow() -> Result<PathBuf> {
    let test = std::env::current_exe().context("finding the test program")?;
    // Tests lie one folder deeper than programs.
    let beside = test.ancestors().skip(1).take(2).map(|folder| folder.join("gridflow")).find(|path| path.is_file());
    let Some(path) = beside else {
        bail!("there is no `gridflow` beside {}: build it first (`cargo build -p gridflow-cli`)", test.display());
    };
    Ok(path)
}

/// Whether this process may make containers.
pub fn can_contain() -> bool {
    let made = Command::new("unshare").args(["--pid", "--fork", "--mount-proc", "true"]).stderr(Stdio::null()).status();
    made.is_ok_and(|status| status.success())
}

/// What a process has written into its memory: without the pages of files, which it shares with whom it may.
pub fn memory_bytes(pid: Pid) -> Result<u64> {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).context("reading its memory")?;
    let kb = rollup.lines().find_map(|line| line.strip_prefix("Anonymous:")).context("its anonymous memory")?;
    Ok(kb.trim().trim_end_matches(" kB").parse::<u64>().context("its anonymous memory")? << 10)
}

/// A running program; killed with SIGKILL when dropped, so that nothing outlives its test.
#[derive(Debug)]
pub struct Program {
    child: Child,
    log: PathBuf,
    /// Where its own words begin in a log that others of this name have written to before.
    log_begin: usize,
}

impl Program {
    /// Starts the program with its output appended to `log`.
    pub fn start<A: AsRef<OsStr>>(args: &[A], env: &[(&str, &str)], log: &Path) -> Result<Self> {
        let mut command = Command::new(gridflow()?);
        command.args(args);
        Self::run(command, env, log)
    }

    /// Starts it in a container of its own, as far as processes go: whatever it starts ends with it, all at once, and
    /// the next container is another boot. Needs root: see [`can_contain`].
    pub fn start_contained<A: AsRef<OsStr>>(args: &[A], env: &[(&str, &str)], log: &Path) -> Result<Self> {
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", "\"$@\" & wait", "sh"]);
        command.arg(gridflow()?).args(args);
        Self::run(command, env, log)
    }

    pub(crate) fn run(mut command: Command, env: &[(&str, &str)], log: &Path) -> Result<Self> {
        let output = OpenOptions::new().create(true).append(true).open(log).context("opening the log")?;
        let errors: File = output.try_clone().context("opening the log")?;
        let log_begin = usize::try_from(errors.metadata().context("looking at the log")?.len())?;
        command.envs(env.iter().copied()).stdin(Stdio::null()).stdout(output).stderr(errors);
        Ok(Self { child: command.spawn().context("starting gridflow")?, log: log.to_owned(), log_begin })
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill(self.pid(), signal).with_context(|| format!("sending {signal}"))
    }

    /// `kill -9`, and its end waited for.
    pub fn kill(mut self) -> Result<()> {
        self.end()
    }

    /// The same for who puts another one in its place.
    pub fn end(&mut self) -> Result<()> {
        self.child.kill().context("killing")?;
        self.child.wait().context("waiting for its end")?;
        Ok(())
    }

    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.child.try_wait().context("asking for its end")?.is_none())
    }

    /// See [`memory_bytes`].
    pub fn memory_bytes(&self) -> Result<u64> {
        memory_bytes(self.pid())
    }

    /// What this very process printed so far.
    pub fn said(&self) -> String {
        self.log().get(self.log_begin..).unwrap_or_default().to_owned()
    }

    /// What it printed so far, for messages of failed tests.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
