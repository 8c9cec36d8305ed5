//! `gridflow scheduler`: the scheduler on a database of the user's.

use std::{path::PathBuf, process::ExitCode};

use gridflow_executor::local::HostStart;
use gridflow_scheduler::Signals;

use crate::{
    clusters::ClustersArgs,
    config::{DatabaseArgs, settings_of_environment},
    failure::Result,
    init, role,
    state_dir::StateDirArgs,
    telemetry::{self, LogArgs},
    worker,
};

const EXAMPLES: &str = "\
Example:
  export GRIDFLOW__DATABASE__URL=postgres://gridflow:…@db.example.com/gridflow
  gridflow scheduler --dags dags/

Start as many as you like: one leads, the others take over within seconds when it goes.
SIGTERM stops it; tasks that run go on, and the next scheduler with this state directory
collects their results. `gridflow down` ends them as well, and they are tried again.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Folder of DAG files; a saved file is live within a second
    #[arg(long, value_name = "DIR")]
    dags: PathBuf,

    /// Use the host that a service runs (`gridflow host --stay`), and never start one
    #[arg(long)]
    host_service: bool,

    #[command(flatten)]
    clusters: ClustersArgs,
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    state_dir: StateDirArgs,
    #[command(flatten)]
    log: LogArgs,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let state_dir = args.state_dir.locate()?;
    state_dir.create()?;
    if !args.host_service
        && let Some(code) = init::host_of_container(&state_dir)?
    {
        return Ok(code);
    }
    telemetry::start(&args.log)?;
    let settings = settings_of_environment()?;
    let dags = role::dag_folder(&args.dags)?;
    let url = args.database.url()?;
    // Not locked: schedulers of one node may share its folder, and with it the host of its processes.
    let _presence = worker::sign_in(&state_dir)?;
    let mut config = role::scheduler_config(dags, state_dir.path(), &settings)?;
    let clusters = args.clusters.follow(&mut config)?;
    if args.host_service {
        config.host_start = HostStart::Never;
    }
    role::runtime()?.block_on(async {
        let shutdown = role::shutdown_on_signals()?;
        let Some(database) = role::unless_stopped(&shutdown, role::database(url, &settings)).await? else {
            return Ok(ExitCode::SUCCESS);
        };
        tokio::select! {
            ended = gridflow_scheduler::run(config, database, Signals::default(), shutdown) => {
                ended.map_err(|error| role::scheduler_failed(&error))?;
            }
            () = clusters.run() => {}
        }
        Ok(ExitCode::SUCCESS)
    })
}
