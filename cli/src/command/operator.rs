//! `gridflow operator`: one operator of Gridflow's own, in a process per attempt.

use std::{
    fs::File,
    io::{self, Read},
    path::PathBuf,
    process::ExitCode,
};

use gridflow_executor::operator::{self, Context};
use serde_json::Value;

use crate::failure::{Failure, Result};

/// Far above any spec, far below what would hurt.
const SPEC_BYTES_MAX: u64 = 16 << 20;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The operator's name
    name: String,

    /// File with the rendered spec as JSON [default: stdin]
    #[arg(value_name = "FILE")]
    spec: Option<PathBuf>,
}

/// The exit code is the operator's own: it tells the task's fault from the machine's.
pub fn run(args: &Args) -> Result<ExitCode> {
    let spec = spec(args)
        .map_err(|error| Failure::ours(format!("cannot read the spec of operator `{}`", args.name)).because(&error))?;
    // An environment variable that is not UTF-8 is none of ours.
    let variables =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let context = Context::from_vars(variables);
    Ok(ExitCode::from(operator::run(&args.name, spec, &context, &mut io::stderr())))
}

fn spec(args: &Args) -> io::Result<Value> {
    let mut bytes = Vec::new();
    match &args.spec {
        Some(path) => File::open(path)?.take(SPEC_BYTES_MAX).read_to_end(&mut bytes)?,
        None => io::stdin().lock().take(SPEC_BYTES_MAX).read_to_end(&mut bytes)?,
    };
    Ok(serde_json::from_slice(&bytes)?)
}
