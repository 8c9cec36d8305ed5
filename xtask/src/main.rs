//! The project's own chores: `cargo xtask COMMAND`. One module per command.

mod sqlx_prepare;
mod tidy;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

const USAGE: &str = "\
usage: cargo xtask COMMAND

  sqlx-prepare [--check]
          write (or only check) .sqlx, what the checked queries know of the schema
  tidy    check what the compiler does not: layers, homes of dependencies, SQL only in store,
          sizes of files, a page for every error code, words that must not stay";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        ["sqlx-prepare"] => sqlx_prepare::write(&root()),
        ["sqlx-prepare", "--check"] => sqlx_prepare::check(&root()),
        ["tidy"] => tidy::run(&root()),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::FAILURE;
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The folder of the workspace.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace").to_owned()
}
