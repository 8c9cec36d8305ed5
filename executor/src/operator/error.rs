//! What can keep an operator from doing its work.

use std::{
    error::Error as _,
    io::{self, Write},
    path::{Path, PathBuf},
};

use super::say;

/// Whose failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The spec or the files it names: another try with the same input ends the same.
    Task,
    /// The machine: another try may well succeed.
    Machine,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no operator `{name}`")]
    UnknownOperator { name: String },
    #[error("the spec of `{operator}` is wrong")]
    Spec { operator: String, source: serde_json::Error },
    #[error("`{field}`: {message}")]
    Field { field: &'static str, message: String },
    #[error("schema `{name}`: {message}")]
    Schema { name: String, message: String },
    #[error("`{}` does not exist", path.display())]
    Missing { path: PathBuf },
    #[error("`{}` is {kind}, not a regular file", path.display())]
    NotAFile { path: PathBuf, kind: &'static str },
    #[error("`{}` exists with other content", path.display())]
    TargetExists { path: PathBuf },
    #[error(
        "`{}` is gone, and nothing shows that `{}` is the file that was moved", from.display(), to.display()
    )]
    MovedUnproven { from: PathBuf, to: PathBuf },
    #[error("`{}` has sha256 {found}, expected {expected}", path.display())]
    ContentDiffers { path: PathBuf, expected: String, found: String },
    #[error("`{}` changed while it was read", path.display())]
    Changed { path: PathBuf },
    #[error("the copy in `{}` does not read back as it was written", path.display())]
    ReadBack { path: PathBuf },
    #[error("cannot {doing} `{}`", path.display())]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
}

impl Error {
    /// For `map_err`: what was being done to which path.
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }

    pub fn fault(&self) -> Fault {
        match self {
            Self::UnknownOperator { .. }
            | Self::Spec { .. }
            | Self::Field { .. }
            | Self::Schema { .. }
            | Self::Missing { .. }
            | Self::NotAFile { .. }
            | Self::TargetExists { .. }
            | Self::MovedUnproven { .. }
            | Self::ContentDiffers { .. } => Fault::Task,
            // A file that still grows is whole on the next try.
            Self::Changed { .. } | Self::ReadBack { .. } | Self::Io { .. } => Fault::Machine,
        }
    }

    fn help(&self) -> Option<&'static str> {
        match self {
            Self::TargetExists { .. } => Some("choose another `to`, or say `overwrite: true`"),
            Self::MovedUnproven { .. } => Some("give `sha256`, so that a repeated move knows its file"),
            Self::Changed { .. } => Some("let its writer finish first: write under another name, then rename"),
            Self::Missing { .. }
            | Self::UnknownOperator { .. }
            | Self::Spec { .. }
            | Self::Field { .. }
            | Self::Schema { .. }
            | Self::NotAFile { .. }
            | Self::ContentDiffers { .. }
            | Self::ReadBack { .. }
            | Self::Io { .. } => None,
        }
    }

    /// The error, its causes and the next step, as lines of the task's log.
    pub(super) fn report(&self, log: &mut dyn Write) {
        say(log, &format!("error: {self}"));
        let mut cause = self.source();
        while let Some(error) = cause {
            say(log, &format!("  because: {error}"));
            cause = error.source();
        }
        if let Some(help) = self.help() {
            say(log, &format!("help: {help}"));
        }
    }
}
