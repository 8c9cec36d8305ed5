//! `gridflow host`: parent of this node's local processes. Started by the scheduler, or as a service.

use std::process::ExitCode;

use gridflow_core::{InstallationId, NodeId};
use gridflow_executor::local::{
    self,
    host::{self, Error, HostConfig},
};
use uuid::Uuid;

use crate::{
    failure::{Failure, Result},
    output, role,
    state_dir::StateDirArgs,
};

const EXAMPLES: &str = "\
Examples:
  gridflow host --stay --state-dir /var/lib/gridflow       as a service
  gridflow host --upgrade --state-dir /var/lib/gridflow    after another version was installed

A scheduler starts its host by itself. As a service of its own, the host lets tasks outlive
the scheduler's service, too: see `packaging/systemd/` and `gridflow scheduler --host-service`.

SIGTERM ends the tasks that run (SIGTERM, and SIGKILL after the grace of each) and then the
host; they are tried again after the next start. A second SIGTERM kills them at once.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    state_dir: StateDirArgs,

    /// Stay also when no scheduler and no task needs it, as a service does
    #[arg(long)]
    stay: bool,

    /// Have the host that runs become this version; its tasks go on
    #[arg(long, conflicts_with = "stay")]
    upgrade: bool,

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
    let state_dir = args.state_dir.locate()?;
    if args.upgrade {
        return upgrade(state_dir.path());
    }
    if !state_dir.path().is_dir() {
        state_dir.create()?;
    }
    let config =
        HostConfig { handover: args.handover, stays: args.stay, ..HostConfig::new(state_dir.path().to_owned()) };
    match host::run(&config) {
        // The exit code of a container's program, if this host was made for one and upgraded since.
        Ok(code) => Ok(ExitCode::from(code.unwrap_or(0))),
        // Whoever started us uses the one that was faster. A service waits until that has left.
        Err(error @ Error::AlreadyRuns { .. }) if args.stay => Err(Failure::user(error)
            .help("`gridflow down` ends it, or end the scheduler that started it; the service tries again")),
        Err(Error::AlreadyRuns { .. }) => Ok(ExitCode::SUCCESS),
        Err(error @ (Error::StateDir { .. } | Error::System { .. })) => {
            Err(Failure::ours("the host of local commands ended").because(&error))
        }
    }
}

fn upgrade(state_dir: &std::path::Path) -> Result<ExitCode> {
    // Asks for nothing else, so it needs no identity.
    let (installation, node) = (InstallationId(Uuid::nil()), NodeId(Uuid::nil()));
    let config = local::Config::new(state_dir.to_owned(), role::host_command()?, installation, node);
    role::runtime()?
        .block_on(local::upgrade_host(&config))
        .map_err(|error| Failure::ours("the host goes on as it was").because(&error))?;
    Ok(ExitCode::SUCCESS)
}
