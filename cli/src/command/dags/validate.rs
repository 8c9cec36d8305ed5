//! `gridflow dags validate`: everything that is wrong with DAG files, all at once. Needs no server.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use gridflow_dag_spec::{Diagnostic, render_json, render_text};
use gridflow_scheduler::bundle::{compile_file, scan_once};

use crate::{
    failure::{EXIT_NO, Result, say},
    output::{self, Format, OutputArgs},
};

pub const EXAMPLES: &str = "\
Examples:
  gridflow dags validate dags/                every DAG of a folder
  gridflow dags validate hello.yaml           one file, whatever its name
  gridflow dags validate dags/ -o json        for editors and CI:
      [{\"code\", \"severity\", \"message\", \"file\", \"line\", \"column\", \"help\"}, …]

Exit code 0 if there are no errors, 1 if there are. `gridflow explain CODE` tells more about a code.";

#[derive(Debug, clap::Args)]
pub struct Args {
    /// DAG files, or folders with DAG files
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,

    #[command(flatten)]
    output: OutputArgs,
}

/// What was looked at.
#[derive(Debug, Default)]
struct Checked {
    dags: usize,
    diagnostics: Vec<Diagnostic>,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let mut checked = Checked::default();
    for path in &args.paths {
        checked.add(path);
    }
    let Checked { dags, diagnostics } = &checked;
    let errors = diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count();
    output::answer(args.output.output, &render_json(diagnostics), || render_text(diagnostics))?;
    if args.output.output == Format::Table {
        say(summary(*dags, errors));
    }
    Ok(if errors == 0 { ExitCode::SUCCESS } else { ExitCode::from(EXIT_NO) })
}

impl Checked {
    fn add(&mut self, path: &Path) {
        if path.is_dir() {
            let listing = scan_once(path);
            self.dags += listing.dags.len();
            self.diagnostics.extend(listing.diagnostics);
            return;
        }
        match compile_file(path) {
            Ok(loaded) => {
                self.dags += 1;
                self.diagnostics.extend(loaded.compiled.warnings.iter().cloned());
            }
            Err(diagnostics) => self.diagnostics.extend(diagnostics),
        }
    }
}

fn summary(dags: usize, errors: usize) -> String {
    match (dags, errors) {
        (0, 0) => "no DAGs found: a DAG is a `*.yaml` file with a top-level `tasks:`".to_owned(),
        (1, 0) => "1 DAG is fine".to_owned(),
        (dags, 0) => format!("{dags} DAGs are fine"),
        (dags, 1) => format!("1 error; DAGs without errors: {dags}"),
        (dags, errors) => format!("{errors} errors; DAGs without errors: {dags}"),
    }
}
