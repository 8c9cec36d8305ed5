//! `gridflow tasks`: task instances of a run, and their logs.

use std::{process::ExitCode, time::Duration};

use clap::Subcommand;
use serde_json::Value;

use crate::{
    client::{Client, ServerArgs, block_on},
    failure::{Result, say},
    output::{self, OutputArgs, cell},
};

/// Between two looks at a log that is followed.
const FOLLOW_EVERY: Duration = Duration::from_millis(300);

/// More task instances than a DAG may have.
const TASKS_MAX: usize = 1_000_000;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the task instances of a run
    #[command(
        after_help = "Examples:\n  gridflow tasks list hello report-2025-01\n  gridflow tasks list hello report-2025-01 --state failed -o json"
    )]
    List(List),
    /// Print the log of a task instance
    #[command(after_help = "\
Examples:
  gridflow tasks logs hello report-2025-01 greet
  gridflow tasks logs hello report-2025-01 greet --try 1
  gridflow tasks logs hello report-2025-01 greet -f")]
    Logs(Logs),
}

#[derive(Debug, clap::Args)]
pub struct List {
    /// The DAG
    dag: String,
    /// The run
    run: String,

    /// Only task instances in this state, such as `failed`; may be repeated
    #[arg(long)]
    state: Vec<String>,

    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, clap::Args)]
pub struct Logs {
    /// The DAG
    dag: String,
    /// The run
    run: String,
    /// The task
    task: String,

    /// Which try, from 1 [default: the last one]
    #[arg(long = "try", value_name = "N")]
    try_number: Option<u32>,

    /// Which copy of a mapped task
    #[arg(long, default_value_t = -1, value_name = "N", allow_negative_numbers = true)]
    map_index: i32,

    /// Go on until the task instance has ended
    #[arg(short, long)]
    follow: bool,

    #[command(flatten)]
    server: ServerArgs,
}

pub fn run(command: &Command) -> Result<ExitCode> {
    block_on(async {
        match command {
            Command::List(args) => list(args).await,
            Command::Logs(args) => logs(args).await,
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn list(args: &List) -> Result<()> {
    let query: Vec<_> = args.state.iter().map(|state| ("state", state.clone())).collect();
    let path = ["dags", &args.dag, "dagRuns", &args.run, "taskInstances"];
    let tasks = args.server.client()?.list(&path, "task_instances", &query, TASKS_MAX).await?;
    output::answer(args.output.output, &Value::Array(tasks.clone()), || table(&tasks))
}

/// The columns that people look for in a list of task instances.
pub fn table(tasks: &[Value]) -> String {
    let header = ["TASK", "STATE", "TRY", "STARTED", "DURATION", "REASON"];
    output::table(
        header,
        tasks.iter().map(|task| {
            let seconds = task["duration"].as_f64().map(|seconds| format!("{seconds:.1} s")).unwrap_or_default();
            let state = task["state"].as_str().unwrap_or("none").to_owned();
            // Why it is in this state, or what it waits for. Others' words may have lines.
            let reason = cell(task, "reason").replace('\n', " ");
            [name(task), state, cell(task, "try_number"), cell(task, "start_date"), seconds, reason]
        }),
    )
}

fn name(task: &Value) -> String {
    match task["map_index"].as_i64() {
        Some(index) if 0 <= index => format!("{}[{index}]", cell(task, "task_id")),
        Some(_) | None => cell(task, "task_id"),
    }
}

async fn logs(args: &Logs) -> Result<()> {
    let client = args.server.client()?;
    let try_number = match args.try_number {
        Some(try_number) => u64::from(try_number),
        // A task that has not been tried yet is going to have its first try.
        None => task_instance(&client, args).await?["try_number"].as_u64().unwrap_or(1).max(1),
    }
    .to_string();
    let path = ["dags", &args.dag, "dagRuns", &args.run, "taskInstances", &args.task, "logs", &try_number];
    let mut query = vec![("map_index", args.map_index.to_string())];
    loop {
        let (text, token) = client.log(&path, &query).await?;
        print(&text)?;
        // Without a token the try is over and all was read.
        let Some(token) = token else { return Ok(()) };
        if text.is_empty() {
            if !args.follow {
                return Ok(());
            }
            tokio::time::sleep(FOLLOW_EVERY).await;
        }
        query.truncate(1);
        query.push(("token", token));
    }
}

async fn task_instance(client: &Client, args: &Logs) -> Result<Value> {
    let map_index = args.map_index.to_string();
    let mut path = vec!["dags", &args.dag, "dagRuns", &args.run, "taskInstances", &args.task];
    if 0 <= args.map_index {
        path.push(&map_index);
    }
    client.get(&path, &[]).await
}

/// The task's own lines to stdout; what Gridflow says about the try to stderr.
fn print(records: &str) -> Result<()> {
    let mut lines = String::new();
    for record in records.lines() {
        match serde_json::from_str::<Value>(record) {
            Ok(record) if record["logger"] == "gridflow" => say(cell(&record, "event")),
            Ok(record) => lines.push_str(&(cell(&record, "event") + "\n")),
            Err(_) => lines.push_str(&format!("{record}\n")),
        }
    }
    output::print(&lines)
}
