//! `gridflow nodes`: the machines that run local attempts.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::Value;

use crate::{
    client::{ServerArgs, block_on},
    failure::Result,
    output::{self, OutputArgs, cell},
};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the nodes: which leads, when each last reported, and how many attempts are open on it
    #[command(after_help = "\
Example:
  gridflow nodes list

A `silent` node has said nothing for a while. Its attempts keep their state and their slots until it is
back, because nobody else can know whether their processes live.")]
    List(List),
}

#[derive(Debug, clap::Args)]
pub struct List {
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    server: ServerArgs,
}

pub fn run(command: &Command) -> Result<ExitCode> {
    let Command::List(args) = command;
    block_on(async {
        let nodes = args.server.client()?.get(&["nodes"], &[]).await?["nodes"].take();
        output::answer(args.output.output, &nodes, || table(&nodes))?;
        Ok(ExitCode::SUCCESS)
    })
}

fn table(nodes: &Value) -> String {
    let header = ["NODE", "HOST", "STATE", "LAST REPORT", "OPEN ATTEMPTS", "BOOT"];
    let rows = nodes.as_array().into_iter().flatten().map(|node| {
        ["node_id", "hostname", "state", "last_report", "open_attempts", "boot"].map(|field| cell(node, field))
    });
    output::table(header, rows)
}
