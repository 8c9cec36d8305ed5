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

/// A running program; killed with SIGKILL when dropped, so that nothing outlives its test.
#[derive(Debug)]
pub struct Program {
    child: Child,
    log: PathBuf,
}

impl Program {
    /// Starts the program with its output appended to `log`.
    pub fn start<A: AsRef<OsStr>>(args: &[A], env: &[(&str, &str)], log: &Path) -> Result<Self> {
        let output = OpenOptions::new().create(true).append(true).open(log).context("opening the log")?;
        let errors: File = output.try_clone().context("opening the log")?;
        let child = Command::new(gridflow()?)
            .args(args)
            .envs(env.iter().copied())
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .context("starting gridflow")?;
        Ok(Self { child, log: log.to_owned() })
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
