//! The `gridflow` program: commands, configuration, wiring.
//!
//! The only crate that knows all others, and it holds no rule of theirs.
//! `main` starts no runtime and no thread: as the first process of a container, a role forks before anything else.

mod client;
mod clusters;
mod command;
mod config;
mod failure;
mod init;
mod output;
mod postgres;
mod progress;
mod role;
mod state_dir;
mod telemetry;
mod worker;
mod yaml;

use std::process::ExitCode;

use clap::Parser;

use crate::{
    command::Cli,
    failure::{Failure, report_usage},
};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return report_usage(&error),
    };
    match arm_failpoints().and_then(|()| command::run(cli.command)) {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}

/// For tests of this program; see `failpoint/src/lib.rs`.
fn arm_failpoints() -> failure::Result<()> {
    let Some(folder) = std::env::var_os(gridflow_failpoint::VARIABLE) else { return Ok(()) };
    gridflow_failpoint::arm(folder.into()).map_err(|gridflow_failpoint::NotInThisBuild| {
        Failure::user(format!("`{}` is set, but this build has no failpoints", gridflow_failpoint::VARIABLE))
            .help("they are for tests: build without `--release`")
    })
}
