//! A `gridflow standalone` in a folder of its own, and the commands that talk to it.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tempfile::TempDir;

use crate::{Program, gridflow, remains, wait_for};

/// What people write before the address.
const READY: &str = "gridflow is ready: ";

/// The folder of an installation; the program in it may be killed and started again.
#[derive(Debug)]
pub struct Installation {
    dir: TempDir,
}

/// The running program.
#[derive(Debug)]
pub struct Standalone {
    pub program: Program,
    address: String,
    token_file: PathBuf,
}

impl Installation {
    /// A folder with a copy of the example DAGs.
    pub fn with_examples() -> Result<Self> {
        let dir = tempfile::tempdir().context("making a folder")?;
        // PostgreSQL runs as another user when we are root, and must be able to walk down to its data.
        std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
        let status = Command::new("cp").arg("-r").arg(examples).arg(dir.path().join("examples")).status()?;
        if !status.success() {
            bail!("copying the examples failed");
        }
        Ok(Self { dir })
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Starts the program and waits until its API answers.
    pub fn start(&self, name: &str) -> Result<Standalone> {
        self.start_with(name, &[])
    }

    /// The same with more in its environment.
    pub fn start_with(&self, name: &str, env: &[(&str, &str)]) -> Result<Standalone> {
        let (dags, state) = (self.path("examples"), self.path("state"));
        let mut args = vec!["standalone".as_ref(), "--dags".as_ref(), dags.as_os_str()];
        args.extend(["--state-dir".as_ref(), state.as_os_str(), "--port".as_ref(), "0".as_ref()]);
        let mut program = Program::start(&args, env, &self.path(&format!("{name}.log")))?;
        let address = wait_for("the address", Duration::from_secs(120), || {
            if !program.is_running()? {
                bail!("it ended: {}", program.log());
            }
            let log = program.log();
            let line = log.lines().find_map(|line| line.strip_prefix(READY));
            Ok(line.map(|url| url.trim_end_matches("/api/v2").to_owned()))
        })
        .with_context(|| program.log())?;
        Ok(Standalone { program, address, token_file: state.join("api-token") })
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        remains::end(self.dir.path());
    }
}

impl Standalone {
    /// Runs `gridflow ARGS… -o json` against it and reads the answer.
    pub fn ask(&self, args: &[&str]) -> Result<Value> {
        let token = std::fs::read_to_string(&self.token_file).context("reading the token")?;
        let output = Command::new(gridflow()?)
            .args(args)
            .args(["-o", "json"])
            .env("GRIDFLOW_SERVER", &self.address)
            .env("GRIDFLOW_TOKEN", token.trim())
            .output()?;
        if !output.status.success() {
            bail!("gridflow {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
        serde_json::from_slice(&output.stdout).with_context(|| format!("the answer of gridflow {args:?}"))
    }
}
