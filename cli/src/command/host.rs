//! `gridflow host`: parent of this node's local processes. Started by the scheduler, not by people.

use std::{path::PathBuf, process::ExitCode};

use gridflow_executor::local::host::{self, Error, HostConfig};

use crate::failure::{Failure, Result};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The node's state directory
    #[arg(long, value_name = "DIR")]
    state_dir: PathBuf,
}

/// stderr is the host's log. No thread may be there before it: it forks.
pub fn run(args: &Args) -> Result<ExitCode> {
    let config = HostConfig { state_dir: args.state_dir.clone() };
    match host::run(&config) {
        // Whoever started us uses the one that was faster.
        Ok(()) | Err(Error::AlreadyRuns { .. }) => Ok(ExitCode::SUCCESS),
        Err(error @ (Error::StateDir { .. } | Error::System { .. })) => {
            Err(Failure::ours("the host of local commands ended").because(&error))
        }
    }
}
