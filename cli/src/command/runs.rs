//! `gridflow runs`: DAG runs of a server.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Subcommand;
use serde_json::{Value, json};

use crate::{
    client::{Client, ServerArgs, block_on},
    failure::{EXIT_NO, Failure, Result, say},
    output::{self, OutputArgs, cell},
};

/// How often a server that is asked to wait shows that it is still there, in seconds.
const SIGN_OF_LIFE: &str = "5";
/// Before a look at a run after the server went away in the middle of a wait.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How long a server may be away while somebody waits: it may be restarting.
const AWAY_MAX: Duration = Duration::from_secs(60);

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a run of a DAG
    #[command(after_help = "\
Examples:
  gridflow runs trigger hello
  gridflow runs trigger report --conf '{\"day\": \"2025-01-31\"}' --wait
  gridflow runs trigger report --run-id report-2025-01 -o json

A run id that exists already is refused, so a script that is repeated with the same id starts one run.")]
    Trigger(Trigger),
    /// List the runs of a DAG, the newest first
    #[command(after_help = "Examples:\n  gridflow runs list hello\n  gridflow runs list '~' --state failed --limit 5")]
    List(List),
    /// Show one run
    #[command(after_help = "Example:\n  gridflow runs show hello manual__2025-01-31T06:00:00+00:00 -o yaml")]
    Show(One),
    /// Wait until a run has ended; exit 0 if it succeeded, 1 if it failed
    #[command(after_help = "Example:\n  gridflow runs wait hello report-2025-01 --timeout 10m")]
    Wait(Wait),
    /// End a run as failed: running tasks are stopped, waiting ones are not started
    #[command(after_help = "Example:\n  gridflow runs cancel hello report-2025-01")]
    Cancel(One),
}

#[derive(Debug, clap::Args)]
pub struct Trigger {
    /// The DAG to run
    dag: String,

    /// Name of the run [default: made from the time]
    #[arg(long, value_name = "ID")]
    run_id: Option<String>,

    /// Values for the DAG's params, as a JSON object
    #[arg(long, value_name = "JSON", value_parser = json_object)]
    conf: Option<Value>,

    /// The time the run is for, with an offset, such as `2025-01-31T06:00:00Z` [default: none]
    #[arg(long, value_name = "TIME")]
    logical_date: Option<String>,

    /// Wait until the run has ended; exit 1 if it failed
    #[arg(long)]
    wait: bool,

    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, clap::Args)]
pub struct List {
    /// The DAG, or `~` for all
    #[arg(default_value = "~")]
    dag: String,

    /// Only runs in this state: queued, running, success or failed; may be repeated
    #[arg(long)]
    state: Vec<String>,

    /// How many at most
    #[arg(long, default_value_t = 25)]
    limit: usize,

    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, clap::Args)]
pub struct One {
    /// The DAG
    dag: String,
    /// The run
    run: String,

    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, clap::Args)]
pub struct Wait {
    #[command(flatten)]
    run: One,

    /// Give up after this long, such as `90s` or `10m`; the run goes on
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    timeout: Option<Duration>,
}

pub fn run(command: &Command) -> Result<ExitCode> {
    block_on(async {
        match command {
            Command::Trigger(args) => trigger(args).await,
            Command::List(args) => list(args).await,
            Command::Show(args) => show(args).await,
            Command::Wait(args) => wait(args).await,
            Command::Cancel(args) => cancel(args).await,
        }
    })
}

async fn trigger(args: &Trigger) -> Result<ExitCode> {
    let client = args.server.client()?;
    let mut body = json!({ "logical_date": args.logical_date, "conf": args.conf.clone().unwrap_or_else(|| json!({})) });
    if let Some(run_id) = &args.run_id {
        body["dag_run_id"] = json!(run_id);
    }
    let mut run = client.post(&["dags", &args.dag, "dagRuns"], &body).await?;
    if args.wait {
        say(format!("run `{}` started; waiting for its end", cell(&run, "dag_run_id")));
        run = ended(&client, run, None).await?;
    }
    output::answer(args.output.output, &run, || one(&run))?;
    Ok(if args.wait { exit_code(&run) } else { ExitCode::SUCCESS })
}

async fn list(args: &List) -> Result<ExitCode> {
    let mut query = vec![("order_by", "-run_after".to_owned())];
    query.extend(args.state.iter().map(|state| ("state", state.clone())));
    let runs = args.server.client()?.list(&["dags", &args.dag, "dagRuns"], "dag_runs", &query, args.limit).await?;
    output::answer(args.output.output, &Value::Array(runs.clone()), || {
        let header = ["DAG", "RUN", "STATE", "TYPE", "STARTED", "DURATION"];
        output::table(
            header,
            runs.iter().map(|run| {
                let seconds = run["duration"].as_f64().map(|seconds| format!("{seconds:.1} s")).unwrap_or_default();
                let field = |name| cell(run, name);
                [field("dag_id"), field("dag_run_id"), field("state"), field("run_type"), field("start_date"), seconds]
            }),
        )
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn show(args: &One) -> Result<ExitCode> {
    let run = args.server.client()?.get(&["dags", &args.dag, "dagRuns", &args.run], &[]).await?;
    output::answer(args.output.output, &run, || one(&run))?;
    Ok(ExitCode::SUCCESS)
}

async fn wait(args: &Wait) -> Result<ExitCode> {
    let Wait { run: one_run, timeout } = args;
    let client = one_run.server.client()?;
    let run = client.get(&["dags", &one_run.dag, "dagRuns", &one_run.run], &[]).await?;
    let run = ended(&client, run, *timeout).await?;
    output::answer(one_run.output.output, &run, || one(&run))?;
    Ok(exit_code(&run))
}

async fn cancel(args: &One) -> Result<ExitCode> {
    let path = ["dags", &args.dag, "dagRuns", &args.run];
    let run = args.server.client()?.patch(&path, &json!({ "state": "failed" })).await?;
    output::answer(args.output.output, &run, || one(&run))?;
    Ok(ExitCode::SUCCESS)
}

/// The run, once it has ended. A server that restarts meanwhile is waited for as well.
async fn ended(client: &Client, mut run: Value, timeout: Option<Duration>) -> Result<Value> {
    let (dag, run_id) = (cell(&run, "dag_id"), cell(&run, "dag_run_id"));
    let path = ["dags", &dag, "dagRuns", &run_id];
    let (wait_path, wait_query) = ([&path[..], &["wait"]].concat(), [("interval", SIGN_OF_LIFE.to_owned())]);
    let started = Instant::now();
    let mut last_seen = Instant::now();
    while !["success", "failed"].contains(&cell(&run, "state").as_str()) {
        let left = timeout.map_or(Duration::MAX, |timeout| timeout.saturating_sub(started.elapsed()));
        if left.is_zero() {
            let state = cell(&run, "state");
            return Err(Failure::user(format!("run `{run_id}` is still `{state}`"))
                .help(format!("it goes on; `gridflow tasks list {dag} {run_id}` shows where it is")));
        }
        let waiting = client.wait(&wait_path, &wait_query);
        if let Ok(Err(_)) = tokio::time::timeout(left, waiting).await {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        match client.get(&path, &[]).await {
            Ok(found) => {
                run = found;
                last_seen = Instant::now();
            }
            Err(failure) if AWAY_MAX < last_seen.elapsed() => return Err(failure),
            Err(_) => {}
        }
    }
    Ok(run)
}

fn exit_code(run: &Value) -> ExitCode {
    if run["state"] == "success" { ExitCode::SUCCESS } else { ExitCode::from(EXIT_NO) }
}

fn one(run: &Value) -> String {
    let names =
        ["dag_id", "dag_run_id", "state", "run_type", "logical_date", "run_after", "start_date", "end_date", "conf"];
    output::fields(&names.map(|name| (name, cell(run, name))))
}

fn json_object(text: &str) -> Result<Value, String> {
    match serde_json::from_str(text) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err("not a JSON object such as '{\"day\": \"2025-01-31\"}'".to_owned()),
        Err(error) => Err(format!("not JSON: {error}")),
    }
}
