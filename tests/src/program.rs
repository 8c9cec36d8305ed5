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
    let path = test.ancestors().nth(2).map(|target| target.join("gridflow")).unwrap_or_default();
    if !path.is_file() {
        bail!("{} is missing: build it first (`cargo build -p gridflow-cli`, as `make test` does)", path.display());
    }
    Ok(path)
}

/// Whether this process may make containers.
pub fn can_contain() -> bool {
    let made = Command::new("unshare").args(["--pid", "--fork", "--mount-proc", "true"]).stderr(Stdio::null()).status();
    made.is_ok_and(|status| status.success())
}

/// A running program; killed with SIGKILL when dropped, so that nothing outlives its test.
#[derive(Debug)]
pub struct Program {
    child: Child,
    log: PathBuf,
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

    fn run(mut command: Command, env: &[(&str, &str)], log: &Path) -> Result<Self> {
        let output = OpenOptions::new().create(true).append(true).open(log).context("opening the log")?;
        let errors: File = output.try_clone().context("opening the log")?;
        command.envs(env.iter().copied()).stdin(Stdio::null()).stdout(output).stderr(errors);
        Ok(Self { child: command.spawn().context("starting gridflow")?, log: log.to_owned() })
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
