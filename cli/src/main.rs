//! The `gridflow` program: commands, configuration, wiring.
//!
//! The only crate that knows all others, and it holds no rule of theirs.
//! `main` starts no runtime and no thread: a command that needs the process host forks it off first.

mod client;
mod command;
mod config;
mod failure;
mod output;
mod postgres;
mod progress;
mod role;
mod state_dir;
mod telemetry;
mod yaml;

use std::process::ExitCode;

use clap::Parser;

use crate::{command::Cli, failure::report_usage};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return report_usage(&error),
    };
    match command::run(cli.command) {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}
