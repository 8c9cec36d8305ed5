//! `gridflow doctor`: what is wrong with a live installation, what it means, and what to do.

mod machine;

use std::process::ExitCode;

use chrono::Utc;
use gridflow_executor::local::living_attempts;
use gridflow_store::doctor::{Extent, Finding, Severity, examine};
use serde_json::{Value, json};

use crate::{
    config::{DATABASE_URL, DatabaseArgs, settings_of_environment},
    failure::{EXIT_NO, Failure, Result, say},
    output::{self, OutputArgs},
    postgres, role,
    state_dir::{StateDir, StateDirArgs},
};

const EXAMPLES: &str = "\
Examples:
  gridflow doctor                                    the private database of `standalone`
  GRIDFLOW__DATABASE__URL=postgres://… gridflow doctor
  gridflow doctor -o json | jq '.findings[] | select(.severity == \"broken\")'

It reads the database in one read-only transaction and changes nothing, there and on this machine.
Run it as the user of the scheduler: others see less of its processes.
Exit codes: 0 nothing, or notes alone; 1 findings; 2 it could not look.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    database: DatabaseArgs,

    /// How many of the newest runs are compared with their log
    #[arg(long, default_value_t = 200, value_name = "N", value_parser = clap::value_parser!(u32).range(..=100_000))]
    runs: u32,

    #[command(flatten)]
    state_dir: StateDirArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// A finding, from wherever.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Diagnosis {
    name: &'static str,
    severity: Severity,
    what: &'static str,
    means: &'static str,
    advice: &'static str,
    subjects: Vec<String>,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let _ = settings_of_environment()?;
    let state_dir = args.state_dir.locate()?;
    let url = url(args, &state_dir)?;
    let extent = Extent { runs: args.runs, ..Extent::default() };
    let alive: Vec<_> = living_attempts().into_iter().map(|(_, attempt)| attempt).collect();
    let before = Utc::now();
    let report = role::runtime()?.block_on(examine(&url, extent, &alive)).map_err(|error| {
        Failure::ours("could not examine the database")
            .because(&error)
            .help(format!("check that it runs and that `{DATABASE_URL}` names it, with user and password"))
    })?;
    let mut diagnoses: Vec<Diagnosis> = report.findings.into_iter().map(Diagnosis::from).collect();
    diagnoses.extend(machine::judge(&machine::look(&state_dir, (before, report.now, Utc::now()))));
    diagnoses.sort_by_key(|diagnosis| diagnosis.severity);
    answer(&diagnoses, args.output)
}

/// As named, else the private one of the state directory.
fn url(args: &Args, state_dir: &StateDir) -> Result<String> {
    if let Ok(url) = args.database.url() {
        return Ok(url.to_owned());
    }
    postgres::running_url(state_dir).ok_or_else(|| {
        Failure::ours(format!("no database runs for `{}`", state_dir.path().display())).help(format!(
            "start `gridflow standalone`, name its folder with `--state-dir DIR`, or set `{DATABASE_URL}`"
        ))
    })
}

fn answer(diagnoses: &[Diagnosis], args: OutputArgs) -> Result<ExitCode> {
    let value = json!({ "findings": diagnoses.iter().map(Diagnosis::to_json).collect::<Vec<_>>() });
    output::answer(args.output, &value, || diagnoses.iter().map(Diagnosis::text).collect::<Vec<_>>().join("\n"))?;
    let is_ill = diagnoses.iter().any(|diagnosis| diagnosis.severity != Severity::Note);
    if !is_ill {
        say("nothing is wrong");
    }
    Ok(ExitCode::from(if is_ill { EXIT_NO } else { 0 }))
}

impl From<Finding> for Diagnosis {
    fn from(finding: Finding) -> Self {
        Self {
            name: finding.name(),
            severity: finding.severity(),
            what: finding.what(),
            means: finding.means(),
            advice: finding.advice(),
            subjects: finding.subjects,
        }
    }
}

impl Diagnosis {
    fn to_json(&self) -> Value {
        json!({
            "check": self.name,
            "severity": self.severity.as_str(),
            "what": self.what,
            "means": self.means,
            "advice": self.advice,
            "subjects": self.subjects,
        })
    }

    fn text(&self) -> String {
        let mut text = format!("{}: {} ({})\n", self.severity.as_str(), self.what, self.name);
        for subject in &self.subjects {
            text += &format!("    {}\n", subject.trim_end().replace('\n', "\n    "));
        }
        text + &format!("  means: {}\n  do:    {}\n", self.means, self.advice)
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    #[test]
    fn a_person_reads_what_is_wrong_what_it_means_and_what_to_do() {
        let diagnosis = Diagnosis {
            name: "pool-missing",
            severity: Severity::Risk,
            what: "tasks want a pool that does not exist",
            means: "they wait until it does",
            advice: "make the pool",
            subjects: vec!["warehouse, wanted by sales".to_owned()],
        };
        assert_snapshot!(diagnosis.text(), @r"
        risk: tasks want a pool that does not exist (pool-missing)
            warehouse, wanted by sales
          means: they wait until it does
          do:    make the pool
        ");
    }
}
