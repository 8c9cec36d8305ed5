//! `gridflow operator`: started by the host, one process per attempt.

use std::process::ExitCode;

use crate::failure::{Failure, Result};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The operator's name
    name: String,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    Err(Failure::ours(format!("no operator `{}` yet", args.name)))
}
