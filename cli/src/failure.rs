//! Why a command failed, as people read it: what, why, what next; and the exit code that scripts read.

use std::{error::Error, fmt::Display, io::Write, process::ExitCode};

/// The exit code of a command that did its work but whose answer is "no": a failed run, a DAG with errors.
/// The same code as for a user's mistake.
pub const EXIT_NO: u8 = 1;
const EXIT_OURS: u8 = 2;

pub type Result<T, E = Failure> = std::result::Result<T, E>;

/// A failure on its way to stderr.
#[derive(Debug)]
pub struct Failure {
    fault: Fault,
    what: String,
    causes: Vec<String>,
    help: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// Wrong input, a name that does not exist, nothing listening: exit code 1.
    User,
    /// The machine, the server or a bug: exit code 2.
    Ours,
    /// Whoever read our stdout has gone (`gridflow … | head`): not worth a word.
    NoReader,
}

impl Failure {
    pub fn user(what: impl Display) -> Self {
        Self { fault: Fault::User, what: what.to_string(), causes: Vec::new(), help: None }
    }

    pub fn ours(what: impl Display) -> Self {
        Self { fault: Fault::Ours, ..Self::user(what) }
    }

    pub fn no_reader() -> Self {
        Self { fault: Fault::NoReader, ..Self::user("stdout is closed") }
    }

    /// Adds `error` and all its sources as the reason.
    #[must_use]
    pub fn because(mut self, error: &(dyn Error + 'static)) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            let text = error.to_string();
            // Libraries like to repeat their source in their own text.
            if !self.causes.last().is_some_and(|last| last.contains(&text)) {
                self.causes.push(text);
            }
            next = error.source();
        }
        self
    }

    /// Adds a reason that is only text.
    #[must_use]
    pub fn because_text(mut self, reason: impl Display) -> Self {
        self.causes.push(reason.to_string());
        self
    }

    /// The next step.
    #[must_use]
    pub fn help(mut self, help: impl Display) -> Self {
        self.help = Some(help.to_string());
        self
    }

    /// Writes the failure to stderr and says with which code to exit.
    pub fn report(&self) -> ExitCode {
        match self.fault {
            Fault::NoReader => return ExitCode::SUCCESS,
            Fault::User | Fault::Ours => say(self.text()),
        }
        ExitCode::from(if self.fault == Fault::User { EXIT_NO } else { EXIT_OURS })
    }

    /// The failure as [`Self::report`] writes it.
    pub fn text(&self) -> String {
        let mut text = format!("error: {}", self.what);
        for cause in &self.causes {
            text.push_str(&format!("\n  because: {}", indent(cause)));
        }
        if let Some(help) = &self.help {
            text.push_str(&format!("\n  help: {}", indent(help)));
        }
        text
    }
}

/// A line of what happens, on stderr. A closed stderr is nobody's problem.
pub fn say(text: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// clap's own text for `--help`, `--version` and wrong usage; wrong usage is the user's problem: 1, not clap's 2.
pub fn report_usage(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    if error.use_stderr() { ExitCode::from(EXIT_NO) } else { ExitCode::SUCCESS }
}

fn indent(text: &str) -> String {
    text.trim_end().replace('\n', "\n    ")
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    #[test]
    fn a_failure_says_what_why_and_what_next() {
        let io = std::io::Error::other("no space");
        let failure = Failure::ours("cannot write `x`").because(&io).help("free some space\nand try again");
        assert_snapshot!(failure.text(), @r"
        error: cannot write `x`
          because: no space
          help: free some space
            and try again
        ");
    }
}
