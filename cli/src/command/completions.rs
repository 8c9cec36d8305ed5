//! `gridflow completions`.

use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::{command::Cli, failure::Result, output};

const EXAMPLES: &str = "\
Examples:
  gridflow completions bash > ~/.local/share/bash-completion/completions/gridflow
  gridflow completions zsh > ~/.zfunc/_gridflow
  gridflow completions fish > ~/.config/fish/completions/gridflow.fish";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The shell to write for
    shell: Shell,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "gridflow", &mut script);
    output::print(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}
