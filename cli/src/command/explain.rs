//! `gridflow explain`: the pages of `docs/errors/`, packed into the program.

use std::process::ExitCode;

use crate::{
    failure::{Failure, Result},
    output,
};

const EXAMPLES: &str = "\
Examples:
  gridflow explain GF0101
  gridflow explain --list";

/// Code and page, sorted by code.
const PAGES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/error_pages.rs"));

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The code, as a message shows it in brackets
    #[arg(required_unless_present = "list")]
    code: Option<String>,

    /// List all codes with their titles
    #[arg(long)]
    list: bool,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    match &args.code {
        Some(code) => output::print(page(code)?)?,
        None => output::print(&output::table(["CODE", "TITLE"], PAGES.iter().map(title)))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn page(code: &str) -> Result<&'static str> {
    let wanted = code.to_ascii_uppercase();
    let found = PAGES.iter().find(|(known, _)| **known == wanted || known.strip_prefix("GF") == Some(&wanted));
    found.map(|(_, page)| *page).ok_or_else(|| {
        Failure::user(format!("there is no code `{code}`")).help("`gridflow explain --list` shows all of them")
    })
}

fn title((code, page): &(&str, &str)) -> [String; 2] {
    let line = page.lines().next().unwrap_or_default().trim_start_matches('#').trim();
    let title = line.strip_prefix(code).unwrap_or(line).trim_start_matches([':', ' ', '-']);
    [(*code).to_owned(), title.to_owned()]
}
