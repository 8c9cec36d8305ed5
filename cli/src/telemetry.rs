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
    let filter = filter(&args.log).map_err(|error| {
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

/// Of a call that failed this library says an error, and neither which one nor to whom. Whoever made the call says it
/// all, and how bad it is. A filter that names it has the last word.
const QUIET: &str = "kube_client=off";

fn filter(wanted: &str) -> std::result::Result<EnvFilter, tracing_subscriber::filter::ParseError> {
    EnvFilter::try_new(format!("{QUIET},{wanted}"))
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is logged of an error of ours and one of the library's.
    fn logged(wanted: &str) -> usize {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter(filter(wanted).unwrap())
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::error!(target: "gridflow_executor::kubernetes", "ours");
            tracing::error!(target: "kube_client::client::builder", "failed with error");
        });
        let text = lines.0.lock().unwrap().clone();
        text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count()
    }

    #[test]
    fn a_library_that_names_no_cluster_is_heard_only_by_who_asks_for_it() {
        assert_eq!(logged("info,sqlx=warn"), 1);
        assert_eq!(logged("info"), 1);
        assert_eq!(logged("info,kube_client=error"), 2);
    }
}
