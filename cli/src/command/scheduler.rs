//! `gridflow scheduler`: the scheduler on a database of the user's.

use std::{path::PathBuf, process::ExitCode};

use crate::{
    config::{DatabaseArgs, settings_of_environment},
    failure::{Failure, Result},
    state_dir::StateDirArgs,
    telemetry::{self, LogArgs},
};

const EXAMPLES: &str = "\
Example:
  export GRIDFLOW__DATABASE__URL=postgres://gridflow:…@db.example.com/gridflow
  gridflow db migrate
  gridflow scheduler --dags dags/

Start as many as you like: one leads, the others take over within seconds when it goes.
Each runs local tasks on its own machine and needs a state directory of its own.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Folder of DAG files
    #[arg(long, value_name = "DIR")]
    dags: PathBuf,

    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    state_dir: StateDirArgs,
    #[command(flatten)]
    log: LogArgs,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    telemetry::start(&args.log)?;
    let _settings = settings_of_environment()?;
    let _ = (args.database.url()?, args.state_dir.locate()?);
    Err(Failure::ours(format!("no scheduler for `{}` yet", args.dags.display())))
}
