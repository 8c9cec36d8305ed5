//! `gridflow down`: ends everything that works in a state directory.

use std::{process::ExitCode, time::Duration};

use gridflow_executor::local::{self, Stopping};

use crate::{
    failure::{Failure, Result, say},
    postgres, progress, role,
    state_dir::{StateDir, StateDirArgs},
    worker,
};

const EXAMPLES: &str = "\
Examples:
  gridflow down
  gridflow down --state-dir ~/gridflow --grace 5s

Stops `standalone` or the schedulers of the state directory, then the tasks that run there
(SIGTERM, and SIGKILL after the grace of each task), their host, and a private PostgreSQL.
No run is cancelled: after the next start, tasks that were cut off are tried again, from
LOSSES_MAX and not from their own retries.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Kill what is left of tasks after that long, even if a task's own grace is longer
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    grace: Option<Duration>,

    #[command(flatten)]
    state_dir: StateDirArgs,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let state_dir = args.state_dir.locate()?;
    let mut stopped = Vec::new();
    if state_dir.path().is_dir() {
        for worker in worker::all(&state_dir)? {
            progress::step(&format!("stopping {worker}"), || worker.stop())?;
            stopped.push(worker.to_string());
        }
        // Nobody starts in between.
        let _lock = state_dir.lock()?;
        stopped.extend(stop_host(&state_dir, args.grace)?);
        if progress::step("stopping PostgreSQL", || postgres::stop_left_behind(&state_dir))? {
            stopped.push("the private PostgreSQL".to_owned());
        }
    }
    if stopped.is_empty() {
        say(format!("nothing runs in `{}`", state_dir.path().display()));
    }
    stopped.iter().for_each(|what| say(format!("stopped {what}")));
    Ok(ExitCode::SUCCESS)
}

/// Ends the tasks and their host, and says what there was to end.
fn stop_host(state_dir: &StateDir, grace: Option<Duration>) -> Result<Vec<String>> {
    let failed = |error: local::Error| Failure::ours("cannot stop the host of local commands").because(&error);
    let command = role::host_command()?;
    let runtime = role::runtime()?;
    let Some(stopping) = runtime.block_on(local::stop_host(state_dir.path(), &command, grace)).map_err(failed)? else {
        return Ok(Vec::new());
    };
    let commands = stopping.commands;
    progress::step(&format!("ending {}", tasks(commands)), || runtime.block_on(Stopping::wait(stopping)));
    let again = "cut off; the next start tries again";
    let ended = (0 < commands).then(|| format!("{} ({again})", tasks(commands)));
    Ok(ended.into_iter().chain(["the host of tasks".to_owned()]).collect())
}

fn tasks(count: usize) -> String {
    if count == 1 { "1 task".to_owned() } else { format!("{count} tasks") }
}
