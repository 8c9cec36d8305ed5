//! `gridflow version`.

use std::process::ExitCode;

use serde_json::json;

use crate::{
    failure::Result,
    output::{self, OutputArgs},
};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    output: OutputArgs,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let version = env!("CARGO_PKG_VERSION");
    output::answer(args.output.output, &json!({ "version": version }), || format!("gridflow {version}\n"))?;
    Ok(ExitCode::SUCCESS)
}
