//! The invariants, checked on what a history left behind. Shares no code with the program.

mod launch;
mod legal;
mod limits;
mod log;
mod loss;

use std::{collections::HashMap, fmt};

use anyhow::{Result, bail};

use crate::evidence::Evidence;

pub use launch::Interval;

/// What the DAGs and settings of a history promise, told by whoever wrote them.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    pub parallelism: usize,
    /// Slots of each pool.
    pub pools: HashMap<String, usize>,
    /// By DAG and task: which pool its commands are in, and how many slots each takes.
    pub slots: HashMap<(String, String), (String, usize)>,
    /// By DAG: commands of one run at once.
    pub max_active_tasks: HashMap<String, usize>,
    /// By DAG: runs at once.
    pub max_active_runs: HashMap<String, usize>,
    pub losses: Losses,
    pub outputs: Outputs,
}

/// What commands give back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Outputs {
    /// Each its attempt's id, or nothing.
    #[default]
    AttemptId,
    Any,
}

/// Whether anything was done that may cost an attempt its outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Losses {
    /// None may be given up: attempts are the task instances' own.
    #[default]
    None,
    /// The host was killed, or everything.
    Expected,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Invariant {
    OneLaunch,
    NoLoss,
    NoStuck,
    OneRun,
    Limits,
    Fenced,
    Legal,
    /// The log replays to the present states.
    Replay,
    /// What the tables say is what the commands saw.
    Truth,
}

/// Something that must not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub invariant: Invariant,
    pub text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.invariant, self.text)
    }
}

/// Everything that is wrong.
pub fn findings(evidence: &Evidence, rules: &Rules) -> Vec<Finding> {
    let mut findings = Vec::new();
    let intervals = launch::intervals(evidence, &mut findings);
    launch::check(evidence, &intervals, &mut findings);
    loss::check(evidence, rules, &mut findings);
    limits::check(evidence, &intervals, rules, &mut findings);
    log::check(evidence, &mut findings);
    findings
}

/// Fails with everything that is wrong.
pub fn check(evidence: &Evidence, rules: &Rules) -> Result<()> {
    let findings = findings(evidence, rules);
    if findings.is_empty() {
        return Ok(());
    }
    const SHOWN: usize = 40;
    let shown: Vec<String> = findings.iter().take(SHOWN).map(Finding::to_string).collect();
    bail!("{} findings:\n{}", findings.len(), shown.join("\n"));
}

fn find(findings: &mut Vec<Finding>, invariant: Invariant, text: String) {
    findings.push(Finding { invariant, text });
}
