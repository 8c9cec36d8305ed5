//! A `gridflow web`, and the commands that talk to it.

use std::{
    path::PathBuf,
    process::{Command, Output},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{Cluster, Program, gridflow, wait_for};

const READY: &str = "gridflow is ready: ";

/// The API of a cluster, in a process of its own.
#[derive(Debug)]
pub struct Web {
    pub program: Program,
    address: String,
    state: PathBuf,
}

impl Web {
    /// Starts one in the cluster's own node, and waits until it answers.
    pub fn start(cluster: &Cluster, name: &str) -> Result<Self> {
        let state = cluster.path("state");
        let log = cluster.path(&format!("{name}.log"));
        let args = ["web".as_ref(), "--port".as_ref(), "0".as_ref(), "--state-dir".as_ref(), state.as_os_str()];
        let mut program = Program::start(&args, &[("GRIDFLOW__DATABASE__URL", cluster.url())], &log)?;
        let address = wait_for("the address", Duration::from_secs(60), || {
            if !program.is_running()? {
                bail!("it ended: {}", program.log());
            }
            let log = program.log();
            let line = log.lines().find_map(|line| line.strip_prefix(READY));
            Ok(line.map(|url| url.trim_end_matches("/api/v2").to_owned()))
        })?;
        Ok(Self { program, address, state })
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn token(&self) -> Result<String> {
        Ok(std::fs::read_to_string(self.state.join("api-token")).context("reading the token")?.trim().to_owned())
    }

    /// Runs `gridflow ARGS… -o json` against it.
    pub fn run(&self, args: &[&str]) -> Result<Output> {
        Command::new(gridflow()?)
            .args(args)
            .args(["-o", "json"])
            .env("GRIDFLOW_SERVER", &self.address)
            .env("GRIDFLOW_STATE_DIR", &self.state)
            .output()
            .context("running gridflow")
    }

    /// The answer of a command that succeeds.
    pub fn ask(&self, args: &[&str]) -> Result<Value> {
        let output = self.run(args)?;
        if !output.status.success() {
            bail!("gridflow {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
        serde_json::from_slice(&output.stdout).with_context(|| format!("the answer of gridflow {args:?}"))
    }
}
