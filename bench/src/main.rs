//! `make bench`: how fast Gridflow is, and how near to what the machine can do.
//!
//! Starts a real `gridflow standalone`, drives it through its API, and reads the times that Gridflow itself has
//! recorded. Every figure stands beside the machine's own limit, measured in the same run.

mod api;
mod bare;
mod bench;
mod compare;
mod dag;
mod db;
mod item;
mod line;
mod machine;
mod page;
mod process;
mod results;
mod site;
mod stats;
mod stop;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};

use crate::{
    bench::Bench,
    item::{ITEMS, Item},
    results::Results,
};

/// Measures how fast Gridflow is, and how near to what the machine can do.
#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure
    Run {
        /// Only these: `W1 W7c core`; without names, all
        items: Vec<String>,
        /// Smaller and less often: to see that all works
        #[arg(long)]
        quick: bool,
        /// The program to measure [default: the `gridflow` beside the driver]
        #[arg(long, value_name = "FILE")]
        program: Option<PathBuf>,
        /// Where the figures go
        #[arg(long, default_value = "target/bench/results.json")]
        out: PathBuf,
    },
    /// Compare two results; exit code 1 if a ratio got worse by more than the noise
    Compare { before: PathBuf, after: PathBuf },
    /// Keep results: as the ones that later ones are compared with, and as a table in the documents
    Record {
        results: PathBuf,
        #[arg(long, default_value = "bench/recorded.json")]
        kept: PathBuf,
        #[arg(long, default_value = "docs/benchmarks.md")]
        page: PathBuf,
    },
}

fn main() -> Result<ExitCode> {
    match Cli::parse().command {
        Command::Run { items, quick, program, out } => run(&items, quick, program, &out),
        Command::Compare { before, after } => {
            let (text, worse) = compare::compare(&results::read(&before)?, &results::read(&after)?);
            print!("{text}");
            Ok(if worse == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Record { results, kept, page } => {
            let results = results::read(&results)?;
            let text = fs::read_to_string(&page).with_context(|| format!("reading {}", page.display()))?;
            fs::write(&page, page::with_figures(&text, &results)?)?;
            results::write(&kept, &results)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn run(names: &[String], quick: bool, program: Option<PathBuf>, out: &Path) -> Result<ExitCode> {
    let chosen = choose(names)?;
    let program = program.map_or_else(program_beside_us, Ok)?;
    let program =
        program.canonicalize().with_context(|| format!("no {}: `make bench` builds it", program.display()))?;
    let root = std::env::temp_dir().join(format!("gridflow-bench-{}", std::process::id()));
    fs::create_dir_all(&root).with_context(|| format!("making {}", root.display()))?;
    stop::on_signals(&root)?;
    let mut bench = Bench::new(program, root.clone(), quick);
    let mut results = Results {
        date: chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
        commit: machine::commit(),
        machine: machine::describe(&root),
        failed: Vec::new(),
        lines: Vec::new(),
    };
    for (name, measure) in chosen {
        bench.begin(name);
        let measured = measure(&mut bench);
        stop::wait_if_stopping();
        match measured {
            Ok(lines) => {
                lines.iter().for_each(|line| println!("{}", line.text()));
                bench.lines.extend(lines);
            }
            Err(error) => {
                println!("{name:<5} failed: {error:#}");
                results.failed.push(format!("{name}: {error:#}"));
                // What it left behind must not be in the way of the others.
                bench.end_site();
            }
        }
    }
    results.lines = std::mem::take(&mut bench.lines);
    results.machine.postgresql = std::mem::take(&mut bench.postgresql);
    drop(bench);
    fs::remove_dir_all(&root).with_context(|| format!("removing {}", root.display()))?;
    results::write(out, &results)?;
    print!("\n{}", summary(&results));
    eprintln!("the figures are in {}", out.display());
    Ok(if results.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The release build of `make bench` lies beside the driver.
fn program_beside_us() -> Result<PathBuf> {
    Ok(std::env::current_exe()?.with_file_name("gridflow"))
}

fn choose(names: &[String]) -> Result<Vec<Item>> {
    if let Some(unknown) = names.iter().find(|name| !ITEMS.iter().any(|(item, _)| is_named(item, name))) {
        bail!("no item `{unknown}`; there are {}", ITEMS.map(|(item, _)| item).join(" "));
    }
    let is_chosen = |item: &str| names.is_empty() || names.iter().any(|name| is_named(item, name));
    Ok(ITEMS.into_iter().filter(|(item, _)| is_chosen(item)).collect())
}

/// W7a and W7b are measured together, and all of W7 goes by that name, too.
fn is_named(item: &str, name: &str) -> bool {
    let other_names: &[&str] = match item {
        "W7ab" => &["W7", "W7a", "W7b"],
        "W7c" => &["W7"],
        _ => &[],
    };
    item == name || other_names.contains(&name)
}

/// How many targets are reached, and which are not.
fn summary(results: &Results) -> String {
    let judged: Vec<_> = results.lines.iter().filter_map(|line| Some((line, line.is_met()?))).collect();
    let missed: Vec<_> = judged.iter().filter(|(_, is_met)| !is_met).map(|(line, _)| line.key()).collect();
    let mut text = format!("{} of {} targets met\n", judged.len() - missed.len(), judged.len());
    for key in missed {
        text += &format!("missed: {key}\n");
    }
    for failed in &results.failed {
        text += &format!("failed: {failed}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_chosen_by_name_and_measured_in_their_own_order() {
        let names = |chosen: Vec<Item>| chosen.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names(choose(&["W7c".into(), "W1".into()]).expect("both exist")), ["W1", "W7c"]);
        assert_eq!(names(choose(&["W7".into()]).expect("all of W7")), ["W7ab", "W7c"]);
        assert_eq!(names(choose(&["W7b".into()]).expect("one of two")), ["W7ab"]);
        assert_eq!(choose(&[]).expect("all").len(), ITEMS.len());
        assert!(choose(&["W99".into()]).is_err());
    }
}
