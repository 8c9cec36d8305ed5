//! What is wrong with a DAG file, where, and what to do about it.

use std::sync::Arc;

use crate::{
    code::Code,
    limit::EXCERPT_CHARS_MAX,
    source::{Source, Span},
};

/// How bad it is. A DAG with an error does not become active.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    Error,
    Warning,
}

impl Severity {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One problem of a DAG file. It carries the line it speaks of, so it renders without the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    pub code: Code,
    pub severity: Severity,
    pub message: String,
    pub file: Arc<str>,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// In bytes of the file.
    pub span: Span,
    /// The source line, or the part of a long one that matters.
    pub excerpt: Option<Excerpt>,
    /// What to do, or the corrected line. May have several lines.
    pub help: Option<String>,
}

/// The part of a source line that a diagnostic shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    pub text: String,
    /// Where the carets begin, in characters of `text`, from 0.
    pub start: usize,
    /// How many carets.
    pub width: usize,
}

impl Diagnostic {
    pub fn new(source: &Source, code: Code, span: Span, message: impl Into<String>) -> Self {
        let span = source.whole(span);
        let position = source.position(span.start);
        Self {
            code,
            severity: Severity::Error,
            message: message.into(),
            file: source.file.clone(),
            line: position.line,
            column: position.column,
            span,
            excerpt: excerpt(source, span),
            help: None,
        }
    }

    /// A problem of the whole file, before there is text to show.
    pub fn of_file(file: &str, code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            message: message.into(),
            file: file.into(),
            line: 1,
            column: 1,
            span: Span::default(),
            excerpt: None,
            help: None,
        }
    }

    #[must_use]
    pub fn warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    #[must_use]
    pub fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help = help.or(self.help);
        self
    }

    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

fn excerpt(source: &Source, span: Span) -> Option<Excerpt> {
    let line = source.line_of(span.start);
    let text = source.slice(line);
    if text.is_empty() {
        return None;
    }
    let start = source.position(span.start).column - 1;
    let end = span.end.min(line.end).max(span.start);
    let width = source.text[span.start.min(end)..end].chars().count().max(1);
    // A line of a megabyte is shown as a window around the place.
    let skip = if text.chars().count() <= EXCERPT_CHARS_MAX { 0 } else { start.saturating_sub(EXCERPT_CHARS_MAX / 4) };
    let text: String =
        text.chars().skip(skip).take(EXCERPT_CHARS_MAX).map(|c| if c == '\t' { ' ' } else { c }).collect();
    let width = width.min(text.chars().count().saturating_sub(start - skip)).max(1);
    Some(Excerpt { text, start: start - skip, width })
}

/// Diagnostics for people. Reads the same without colour.
pub fn render_text(diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().map(text).collect::<Vec<_>>().join("\n")
}

fn text(diagnostic: &Diagnostic) -> String {
    use std::fmt::Write;

    let Diagnostic { code, severity, message, file, line, column, .. } = diagnostic;
    let mut out = format!("{}[{}]: {message}\n", severity.as_str(), code.as_str());
    let gutter = line.to_string().len();
    let _ = writeln!(out, "{:gutter$}--> {file}:{line}:{column}", "");
    if let Some(Excerpt { text, start, width }) = &diagnostic.excerpt {
        let _ = writeln!(out, "{:gutter$} |", "");
        let _ = writeln!(out, "{line} | {text}");
        let _ = writeln!(out, "{:gutter$} | {:start$}{}", "", "", "^".repeat(*width));
    }
    for (i, help) in diagnostic.help.iter().flat_map(|help| help.lines()).enumerate() {
        let label = if i == 0 { "= help:" } else { "       " };
        let _ = writeln!(out, "{:gutter$} {label} {help}", "");
    }
    out
}

/// Diagnostics for programs: an array of
/// `{"code","severity","message","file","line","column","help"}`.
pub fn render_json(diagnostics: &[Diagnostic]) -> serde_json::Value {
    diagnostics
        .iter()
        .map(|d| {
            serde_json::json!({
                "code": d.code.as_str(),
                "severity": d.severity.as_str(),
                "message": d.message,
                "file": &*d.file,
                "line": d.line,
                "column": d.column,
                "help": d.help,
            })
        })
        .collect()
}
