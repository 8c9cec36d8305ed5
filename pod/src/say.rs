//! Words for people, in the task's own log.

use std::io::{self, Write};

/// A line on stderr. Where nobody can be told, nothing else can be done.
pub fn problem(text: &str) {
    let _ = writeln!(io::stderr(), "gridflow: {text}");
}

/// A line on stdout.
pub fn answer(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}
