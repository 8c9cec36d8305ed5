//! `gridflow run`: one DAG file, here and now.

mod report;

use std::{num::NonZeroU32, path::PathBuf, process::ExitCode};

use chrono::{DateTime, Utc};
use gridflow_dag_spec::{Params, render_text};
use gridflow_scheduler::{
    bundle::compile_file,
    local_run::{self, Config, Error},
};
use serde_json::{Map, Value};

use self::report::{Logs, Reporter};
use crate::{
    failure::{EXIT_NO, Failure, Result, say},
    output::{self, Format, OutputArgs},
    role,
};

const EXAMPLES: &str = "\
Examples:
  gridflow run hello.yaml
  gridflow run report.yaml --param day=2025-01-31 --param rows=100 --logs
  gridflow run report.yaml -o json | jq .dag_run.state

Needs no server and no database. Exit code 0 if the run succeeded, 1 if it failed.
Ctrl-C cancels the run: its commands are asked to end, then killed.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The DAG file
    file: PathBuf,

    /// A param of the run; may be repeated. The value is text or JSON, whatever the DAG says
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = name_and_value)]
    params: Vec<(String, String)>,

    /// The time the run is for, with an offset, such as `2025-01-31T06:00:00Z` [default: now]
    #[arg(long, value_name = "TIME")]
    logical_date: Option<DateTime<Utc>>,

    /// How many tasks run at the same time
    #[arg(long, value_name = "N", default_value = "32")]
    parallelism: NonZeroU32,

    /// Print what the tasks write; without it only the last lines of those that fail
    #[arg(long)]
    logs: bool,

    #[command(flatten)]
    output: OutputArgs,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let mut config = Config::new(args.file.clone(), role::process_image()?);
    config.logical_date = args.logical_date;
    config.parallelism = args.parallelism;
    config.environment = role::environment();
    // A file that does not compile is reported by the run itself.
    if let Ok(loaded) = compile_file(&args.file) {
        config.conf = conf(&loaded.compiled.params, &args.params);
    }
    let logs = if args.logs { Logs::All } else { Logs::OfFailures };
    let reporter = Reporter::new(args.output.output, logs);
    let outcome = role::runtime()?.block_on(async {
        let shutdown = role::shutdown_on_signals()?;
        local_run::run(config, shutdown, |change| reporter.change(change)).await.map_err(failure)
    })?;
    if args.output.output != Format::Table {
        output::answer(args.output.output, &report::value(&outcome.run), String::new)?;
    }
    if outcome.is_canceled {
        say("canceled");
    }
    Ok(if outcome.is_success() { ExitCode::SUCCESS } else { ExitCode::from(EXIT_NO) })
}

fn failure(error: Error) -> Failure {
    match error {
        Error::Dag(diagnostics) => {
            say(render_text(&diagnostics));
            let count = diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count();
            let errors = if count == 1 { "an error".to_owned() } else { format!("{count} errors") };
            Failure::user(format!("the file has {errors}")).help("`gridflow explain CODE` tells more about a code")
        }
        Error::Params(problems) => Failure::user(problems.join("\n")).help("set params with `--param NAME=VALUE`"),
        error @ (Error::StateDir { .. } | Error::Boot(_) | Error::Executor(_) | Error::Stuck(_)) => {
            Failure::ours("cannot run the DAG").because(&error)
        }
    }
}

/// The values in the form that the DAG's params take: `0012` is text for a string and a number for an integer.
fn conf(params: &Params, given: &[(String, String)]) -> Map<String, Value> {
    let value = |name: &str, text: &str| {
        let as_text = Value::from(text);
        let as_json = serde_json::from_str(text).ok();
        let fits = |value: &Value| params.0.get(name).is_some_and(|param| param.check(value).is_ok());
        match as_json {
            Some(json) if !fits(&as_text) => json,
            Some(json) if params.0.get(name).is_some_and(|param| param.types.is_empty()) => json,
            Some(_) | None => as_text,
        }
    };
    given.iter().map(|(name, text)| (name.clone(), value(name, text))).collect()
}

fn name_and_value(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("not of the form NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}
