//! `gridflow host`: started by the scheduler, not by people.

use std::{path::PathBuf, process::ExitCode};

use crate::failure::{Failure, Result};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The node's state directory
    #[arg(long)]
    state_dir: PathBuf,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    Err(Failure::ours(format!("no host for `{}` yet", args.state_dir.display())))
}
