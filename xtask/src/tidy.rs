//! `cargo xtask tidy`: the rules of `docs/STYLE.md` that a machine can check.
//!
//! Each rule is a function from the text of a file to findings. Exceptions live in `xtask/exceptions.txt`,
//! one a line, each with its reason; one that is no longer needed is a finding too, so the list only shrinks.

mod error_pages;
mod exceptions;
mod manifest;
mod promises;
mod sources;
mod words;

use std::{fmt, path::Path, process::Command};

use anyhow::{Context, Result, bail};

/// A file of the project: its path from the root, and its text.
#[derive(Debug)]
pub struct TextFile {
    pub path: String,
    pub text: String,
}

/// What is wrong, and where.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    pub path: String,
    /// From 1; 0 for the file as a whole.
    pub line: usize,
    pub rule: &'static str,
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, rule, message } = self;
        match line {
            0 => write!(f, "{path}: {message} [{rule}]"),
            line => write!(f, "{path}:{line}: {message} [{rule}]"),
        }
    }
}

/// Checks the whole project and fails with everything found.
pub fn run(root: &Path) -> Result<()> {
    let files = files(root)?;
    let mut findings = error_pages::check(&files);
    findings.extend(promises::check(&files));
    for file in &files {
        findings.extend(manifest::check(file));
        findings.extend(sources::check(file));
        findings.extend(words::check(file));
    }
    let mut findings = exceptions::apply(&files, findings);
    if findings.is_empty() {
        return Ok(());
    }
    findings.sort();
    for finding in &findings {
        eprintln!("{finding}");
    }
    bail!("{} places to tidy", findings.len())
}

/// Every text file that is or would be committed.
fn files(root: &Path) -> Result<Vec<TextFile>> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "--deduplicate", "-z"])
        .current_dir(root)
        .output()
        .context("cannot run git")?;
    if !listed.status.success() {
        bail!("git: {}", String::from_utf8_lossy(&listed.stderr).trim());
    }
    let paths = String::from_utf8(listed.stdout).context("a file name is not UTF-8")?;
    let text_file = |path: &str| {
        // Binary files, and files that are deleted but not yet committed so, have no text.
        let text = std::fs::read_to_string(root.join(path)).ok()?;
        Some(TextFile { path: path.to_owned(), text })
    };
    Ok(paths.split('\0').filter(|path| !path.is_empty()).filter_map(text_file).collect())
}
