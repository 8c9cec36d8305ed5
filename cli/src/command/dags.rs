//! `gridflow dags`: DAGs of a server, and DAG files.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::Value;

use crate::{
    client::{ServerArgs, block_on},
    failure::Result,
    output::{self, OutputArgs, cell},
};

const DAGS_MAX: usize = 100_000;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the DAGs of a server
    #[command(after_help = "Examples:\n  gridflow dags list\n  gridflow dags list -o json")]
    List(List),
    /// Show one DAG of a server
    #[command(after_help = "Example:\n  gridflow dags show hello")]
    Show(Show),
}

#[derive(Debug, clap::Args)]
pub struct List {
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, clap::Args)]
pub struct Show {
    /// The DAG
    dag: String,

    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    server: ServerArgs,
}

pub fn run(command: &Command) -> Result<ExitCode> {
    match command {
        Command::List(args) => block_on(list(args)),
        Command::Show(args) => block_on(show(args)),
    }
}

async fn list(args: &List) -> Result<ExitCode> {
    let dags = args.server.client()?.list(&["dags"], "dags", &[], DAGS_MAX).await?;
    output::answer(args.output.output, &Value::Array(dags.clone()), || {
        output::table(
            ["DAG", "SCHEDULE", "PAUSED", "NEXT RUN", "FILE"],
            dags.iter().map(|dag| {
                ["dag_id", "timetable_summary", "is_paused", "next_dagrun_run_after", "relative_fileloc"]
                    .map(|field| cell(dag, field))
            }),
        )
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn show(args: &Show) -> Result<ExitCode> {
    let dag = args.server.client()?.get(&["dags", &args.dag, "details"], &[]).await?;
    output::answer(args.output.output, &dag, || {
        let names = [
            "dag_id",
            "description",
            "is_paused",
            "owners",
            "timetable_summary",
            "timezone",
            "start_date",
            "end_date",
            "catchup",
            "next_dagrun_run_after",
            "max_active_runs",
            "max_active_tasks",
            "params",
            "relative_fileloc",
        ];
        output::fields(&names.map(|name| (name, cell(&dag, name))))
    })?;
    Ok(ExitCode::SUCCESS)
}
