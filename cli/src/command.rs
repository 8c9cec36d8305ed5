//! The commands: one module each, holding its arguments, its help and what it does.

mod clusters;
mod completions;
mod dags;
mod db;
mod doctor;
mod down;
mod explain;
mod host;
mod nodes;
mod operator;
mod recover;
mod run;
mod runs;
mod scheduler;
mod standalone;
mod tasks;
mod version;
mod web;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::failure::Result;

const EXAMPLES: &str = "\
Examples:
  gridflow run hello.yaml                      run a DAG here and now, no server needed
  gridflow dags validate dags/                 check every DAG of a folder
  gridflow standalone --dags dags/             everything on this machine, on http://127.0.0.1:8080
  gridflow runs trigger hello --wait           start a run on the server and wait for its end

Exit codes: 0 done, 1 your input or a failed run, 2 our fault or the machine's.
Answers go to stdout, everything else to stderr.";

/// Runs workflows written as YAML: on this machine, durably, exactly once
#[derive(Debug, Parser)]
#[command(name = "gridflow", version, after_help = EXAMPLES, max_term_width = 100, disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run everything in one process, with a private PostgreSQL
    Standalone(standalone::Args),
    /// Run the scheduler on a PostgreSQL of yours
    Scheduler(scheduler::Args),
    /// Serve the API on a PostgreSQL of yours
    Web(web::Args),
    /// Stop what runs in a state directory, and its tasks; the next start goes on
    Down(down::Args),
    /// Run one DAG file here and now, without server or database
    Run(run::Args),
    /// Check, list and show DAGs
    #[command(subcommand, arg_required_else_help = true)]
    Dags(dags::Command),
    /// Trigger, list, show, wait for and cancel DAG runs
    #[command(subcommand, arg_required_else_help = true)]
    Runs(runs::Command),
    /// List the task instances of a run and read their logs
    #[command(subcommand, arg_required_else_help = true)]
    Tasks(tasks::Command),
    /// Show the machines that run tasks
    #[command(subcommand, arg_required_else_help = true)]
    Nodes(nodes::Command),
    /// Take away what Gridflow has in Kubernetes clusters
    #[command(subcommand, arg_required_else_help = true)]
    Clusters(clusters::Command),
    /// Go on after the database was restored from an older copy
    Recover(recover::Args),
    /// Prepare the database
    #[command(subcommand, arg_required_else_help = true)]
    Db(db::Command),
    /// Look at a live database and this machine, and say what is wrong
    Doctor(doctor::Args),
    /// Explain an error code such as GF0101
    Explain(explain::Args),
    /// Print a completion script for your shell
    Completions(completions::Args),
    /// Print the version
    Version(version::Args),
    /// Run the parent of this machine's tasks, as a service of its own
    Host(host::Args),
    /// Carry out one operator (started by the scheduler)
    #[command(hide = true)]
    Operator(operator::Args),
}

pub fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Standalone(args) => standalone::run(&args),
        Command::Scheduler(args) => scheduler::run(&args),
        Command::Web(args) => web::run(&args),
        Command::Down(args) => down::run(&args),
        Command::Run(args) => run::run(&args),
        Command::Dags(command) => dags::run(&command),
        Command::Runs(command) => runs::run(&command),
        Command::Tasks(command) => tasks::run(&command),
        Command::Nodes(command) => nodes::run(&command),
        Command::Clusters(command) => clusters::run(&command),
        Command::Recover(args) => recover::run(&args),
        Command::Db(command) => db::run(&command),
        Command::Doctor(args) => doctor::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Completions(args) => completions::run(&args),
        Command::Version(args) => version::run(&args),
        Command::Host(args) => host::run(&args),
        Command::Operator(args) => operator::run(&args),
    }
}
