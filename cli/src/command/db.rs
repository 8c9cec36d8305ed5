//! `gridflow db`: the database of a scheduler.

use std::process::ExitCode;

use clap::Subcommand;

use crate::{
    config::{DatabaseArgs, settings_of_environment},
    failure::{Result, say},
    role,
};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Bring the schema up to this program's version; safe to repeat
    #[command(after_help = "\
Example:
  GRIDFLOW__DATABASE__URL=postgres://gridflow:…@db.example.com/gridflow gridflow db migrate

`scheduler` and `standalone` do this when they start; here it is as a step of its own.
Migrations only go forward, and the previous version keeps working on the new schema.")]
    Migrate(DatabaseArgs),
}

pub fn run(command: &Command) -> Result<ExitCode> {
    let Command::Migrate(args) = command;
    let settings = settings_of_environment()?;
    role::runtime()?.block_on(role::database(args.url()?, &settings))?;
    say(format!("the schema is at version {}", gridflow_store::schema_version_needed()));
    Ok(ExitCode::SUCCESS)
}
