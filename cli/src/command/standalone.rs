//! `gridflow standalone`: everything in one process.

use std::{net::IpAddr, path::PathBuf, process::ExitCode};

use nix::sys::signal::{SigSet, Signal};

use crate::{
    config::settings_of_environment,
    failure::{Failure, Result},
    postgres,
    state_dir::StateDirArgs,
    telemetry::{self, LogArgs},
};

const EXAMPLES: &str = "\
Examples:
  gridflow standalone --dags dags/
  gridflow standalone --dags dags/ --port 9000 --state-dir ~/gridflow
  GRIDFLOW__DATABASE__URL=postgres://… gridflow standalone --dags dags/    with a database of yours

The first line on stdout is the address of the API, once it answers. Ctrl-C stops the program;
tasks that run go on, and the next start collects their results.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Folder of DAG files; a saved file is live within a second
    #[arg(long, value_name = "DIR")]
    dags: PathBuf,

    /// Port of the API; 0 takes a free one
    #[arg(long, default_value_t = 8080, value_name = "N")]
    port: u16,

    /// Address to listen on; only loopback is allowed as long as there are no users
    #[arg(long, default_value = "127.0.0.1", value_name = "IP", value_parser = loopback)]
    host: IpAddr,

    #[command(flatten)]
    state_dir: StateDirArgs,
    #[command(flatten)]
    log: LogArgs,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGINT);
    signals.add(Signal::SIGTERM);
    signals.thread_block().map_err(|error| Failure::ours("cannot block signals").because(&error))?;
    telemetry::start(&args.log)?;
    let _settings = settings_of_environment()?;
    let state_dir = args.state_dir.locate()?;
    state_dir.create()?;
    let _lock = state_dir.lock()?;
    state_dir.token()?;
    let database = postgres::start(&state_dir)?;
    crate::output::print("http://127.0.0.1:0\n")?;
    let _ = signals.wait();
    database.stop();
    Ok(ExitCode::SUCCESS)
}

fn loopback(text: &str) -> Result<IpAddr, String> {
    let address: IpAddr = text.parse().map_err(|_| "not an IP address".to_owned())?;
    if address.is_loopback() {
        Ok(address)
    } else {
        Err("only loopback (127.0.0.1 or ::1) is allowed: without users, everybody who reaches it could use it"
            .to_owned())
    }
}
