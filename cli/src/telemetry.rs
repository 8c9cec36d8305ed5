//! Logs of the long-running roles, on stderr. stdout is data.

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

use crate::failure::{Failure, Result};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

/// How the long-running roles log.
#[derive(Debug, clap::Args)]
pub struct LogArgs {
    /// How log lines on stderr look: `text` for people, `json` for collectors
    #[arg(long, value_enum, default_value_t = LogFormat::Text, env = "GRIDFLOW_LOG_FORMAT", help_heading = "Logging")]
    log_format: LogFormat,

    /// What is logged: `error`, `warn`, `info`, `debug`, or a filter such as `info,gridflow_scheduler=debug`
    #[arg(
        long,
        default_value = "info,sqlx=warn",
        env = "GRIDFLOW_LOG",
        value_name = "FILTER",
        help_heading = "Logging"
    )]
    log: String,
}

/// Call once, before anything is logged.
pub fn start(args: &LogArgs) -> Result<()> {
    let filter = EnvFilter::try_new(&args.log).map_err(|error| {
        Failure::user(format!("`{}` is not a log filter", args.log))
            .because(&error)
            .help("use a level such as `info`, or `info,gridflow_scheduler=debug`")
    })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match args.log_format {
        LogFormat::Text => {
            let colour = std::io::IsTerminal::is_terminal(&std::io::stderr());
            builder.with_ansi(colour).with_target(false).try_init()
        }
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| Failure::ours("cannot start logging").because(&*error))
}
