//! `gridflow host`: parent of this node's local processes. Started by the scheduler, not by people.

use std::{path::PathBuf, process::ExitCode};

use gridflow_executor::local::host::{self, Error, HostConfig};

use crate::{
    failure::{Failure, Result},
    output,
};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The node's state directory
    #[arg(long, value_name = "DIR", required_unless_present = "handover_versions")]
    state_dir: Option<PathBuf>,

    /// What the program that ran in this process before passes on
    #[arg(long, value_name = "FD", hide = true)]
    handover: Option<i32>,

    /// Say what this program can take over from the one before, and do nothing else
    #[arg(long, hide = true)]
    handover_versions: bool,
}

/// stderr is the host's log. No thread may be there before it: it forks.
pub fn run(args: &Args) -> Result<ExitCode> {
    if args.handover_versions {
        output::print(&format!("{}\n", host::handover_versions()))?;
        return Ok(ExitCode::SUCCESS);
    }
    let state_dir = args.state_dir.clone().expect("clap asks for it");
    let config = HostConfig { state_dir, handover: args.handover };
    match host::run(&config) {
        // Whoever started us uses the one that was faster.
        Ok(()) | Err(Error::AlreadyRuns { .. }) => Ok(ExitCode::SUCCESS),
        Err(error @ (Error::StateDir { .. } | Error::System { .. })) => {
            Err(Failure::ours("the host of local commands ended").because(&error))
        }
    }
}
