//! `gridflow run`: one DAG file, here and now.

use std::{path::PathBuf, process::ExitCode};

use crate::failure::{Failure, Result};

const EXAMPLES: &str = "\
Examples:
  gridflow run hello.yaml
  gridflow run report.yaml --param day=2025-01-31 --logs
  gridflow run report.yaml -o json | jq .dag_run.state

Needs no server and no database. Exit code 0 if the run succeeded, 1 if it failed.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The DAG file
    file: PathBuf,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    Err(Failure::ours(format!("cannot run `{}` yet", args.file.display())))
}
