//! `gridflow web`: the API alone.

use std::process::ExitCode;

use gridflow_executor::local::log_path;
use gridflow_web::{LogPlace, Wake};

use crate::{
    config::{DatabaseArgs, settings_of_environment},
    failure::Result,
    role::{self, ListenArgs},
    state_dir::StateDirArgs,
    telemetry::{self, LogArgs},
};

const EXAMPLES: &str = "\
Example:
  export GRIDFLOW__DATABASE__URL=postgres://gridflow:…@db.example.com/gridflow
  gridflow web --port 8080

Start as many as you like, beside any number of `gridflow scheduler`. While no scheduler lives, reads
are answered and runs are created all the same; other changes are kept, and answered with 503 and
their id. Logs are read from the state directory: give it that of the scheduler whose node it is on.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    listen: ListenArgs,
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    state_dir: StateDirArgs,
    #[command(flatten)]
    log: LogArgs,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    telemetry::start(&args.log)?;
    let settings = settings_of_environment()?;
    let url = args.database.url()?;
    // Not locked: others of this node use it, too.
    let state_dir = args.state_dir.locate()?;
    state_dir.create()?;
    let token = role::token(&state_dir)?;
    role::runtime()?.block_on(async {
        let shutdown = role::shutdown_on_signals()?;
        let Some(database) = role::unless_stopped(&shutdown, role::database(url, &settings)).await? else {
            return Ok(ExitCode::SUCCESS);
        };
        let config = gridflow_web::Config {
            address: args.listen.address(),
            token,
            database,
            logs: LogPlace { root: state_dir.path().to_owned(), path: log_path },
            wake: Wake::default(),
            command_timeout: gridflow_web::Config::COMMAND_TIMEOUT,
        };
        let server = role::bind(config).await?;
        role::announce(server.address(), &state_dir)?;
        server.run(shutdown).await;
        Ok(ExitCode::SUCCESS)
    })
}
