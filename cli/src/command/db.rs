//! `gridflow db`: the database of a scheduler.

use std::process::ExitCode;

use clap::Subcommand;

use crate::{
    config::DatabaseArgs,
    failure::{Failure, Result},
};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Bring the schema up to this program's version; safe to repeat
    #[command(after_help = "\
Example:
  GRIDFLOW__DATABASE__URL=postgres://gridflow:…@db.example.com/gridflow gridflow db migrate

`standalone` does this by itself. Migrations only go forward, and the previous version keeps working
while they run.")]
    Migrate(DatabaseArgs),
}

pub fn run(command: &Command) -> Result<ExitCode> {
    let Command::Migrate(args) = command;
    let _url = args.url()?;
    Err(Failure::ours("`db migrate` is not there yet"))
}
