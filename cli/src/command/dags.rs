//! `gridflow dags`: DAGs of a server, and DAG files.

mod validate;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Subcommand;
use gridflow_dag_spec::{Diagnostic, render_text};
use gridflow_scheduler::bundle::scan_once;
use serde_json::{Value, json};

use crate::{
    client::{ServerArgs, block_on},
    failure::{EXIT_NO, Failure, Result, say},
    output::{self, OutputArgs, cell},
};

const DAGS_MAX: usize = 100_000;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check DAG files and say all that is wrong with them; needs no server
    #[command(after_help = validate::EXAMPLES)]
    Validate(validate::Args),
    /// List the DAGs of a server, or of a folder
    #[command(after_help = "\
Examples:
  gridflow dags list
  gridflow dags list -o json
  gridflow dags list --dags dags/              of a folder, without a server
  gridflow dags list --dags dags/ --ignored    YAML files there that are no DAGs")]
    List(List),
    /// Show one DAG of a server
    #[command(after_help = "Example:\n  gridflow dags show hello")]
    Show(Show),
}

#[derive(Debug, clap::Args)]
pub struct List {
    /// Look into this folder instead of asking a server
    #[arg(long, value_name = "DIR")]
    dags: Option<PathBuf>,

    /// List the YAML files that are no DAGs, because they have no top-level `tasks:`
    #[arg(long, requires = "dags")]
    ignored: bool,

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
        Command::Validate(args) => validate::run(args),
        Command::List(args) => match &args.dags {
            Some(folder) => list_folder(args, folder),
            None => block_on(list(args)),
        },
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

fn list_folder(args: &List, folder: &Path) -> Result<ExitCode> {
    if !folder.is_dir() {
        return Err(Failure::user(format!("`{}` is not a folder", folder.display())));
    }
    let listing = scan_once(folder);
    let (header, rows): (_, Vec<_>) = if args.ignored {
        (["IGNORED", ""], listing.ignored.iter().map(|path| [path.to_string(), String::new()]).collect())
    } else {
        (["DAG", "FILE"], listing.dags.iter().map(|dag| [dag.id().to_string(), dag.path.to_string()]).collect())
    };
    let value = match args.ignored {
        true => rows.iter().map(|[path, _]| json!({ "relative_fileloc": path })).collect(),
        false => rows.iter().map(|[dag, path]| json!({ "dag_id": dag, "relative_fileloc": path })).collect(),
    };
    output::answer(args.output.output, &Value::Array(value), || output::table(header, rows))?;
    if !listing.diagnostics.is_empty() && !args.ignored {
        say(render_text(&listing.diagnostics));
    }
    let has_errors = listing.diagnostics.iter().any(Diagnostic::is_error);
    Ok(if has_errors && !args.ignored { ExitCode::from(EXIT_NO) } else { ExitCode::SUCCESS })
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
