//! What is wrong with a file: all of it counted, the first of it kept.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use super::{schema::Column, value};

/// A value in a finding is for recognising it, not for reading it.
const VALUE_CHARS_MAX: usize = 80;

/// Which rule a value, a row or a file breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Rule {
    /// The file is not what the checksum says.
    Checksum,
    /// The bytes are no UTF-8, a row is endless, a line is no JSON object.
    Form,
    /// The header or a row has too few, too many or unknown columns.
    Columns,
    /// A value is missing.
    Required,
    Type,
    Min,
    Max,
    Length,
    Enum,
    Pattern,
    Unique,
    /// Too few or too many rows.
    Rows,
}

impl Rule {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Checksum => "checksum",
            Self::Form => "form",
            Self::Columns => "columns",
            Self::Required => "required",
            Self::Type => "type",
            Self::Min => "min",
            Self::Max => "max",
            Self::Length => "length",
            Self::Enum => "enum",
            Self::Pattern => "pattern",
            Self::Unique => "unique",
            Self::Rows => "rows",
        }
    }
}

/// Where a row is: counted from 1 without the header, and in lines of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub row: u64,
    pub line: u64,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub rule: Rule,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    pub message: String,
}

impl Finding {
    /// About the file as a whole.
    pub fn file(rule: Rule, message: impl Into<String>) -> Self {
        Self { rule, row: None, line: None, column: None, value: None, message: message.into() }
    }

    /// About a row as a whole.
    pub fn row(rule: Rule, place: Place, message: impl Into<String>) -> Self {
        Self { row: Some(place.row), line: Some(place.line), ..Self::file(rule, message) }
    }

    /// About one value.
    pub fn value(rule: Rule, place: Place, column: &Column, value: &str) -> Self {
        let words = value::message(column, rule, value);
        Self { column: Some(column.name.clone()), value: Some(cut(value)), ..Self::row(rule, place, words) }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(row), Some(line)) = (self.row, self.line) {
            write!(f, "row {row} (line {line})")?;
            match &self.column {
                Some(column) => write!(f, ", `{column}`: ")?,
                None => f.write_str(": ")?,
            }
        }
        f.write_str(&self.message)
    }
}

/// The findings of one file.
pub(super) struct Findings {
    kept: Vec<Finding>,
    counts: BTreeMap<Rule, u64>,
    kept_max: usize,
}

impl Findings {
    pub fn new(kept_max: usize) -> Self {
        Self { kept: Vec::new(), counts: BTreeMap::new(), kept_max }
    }

    /// Counts one; it is only put into words if it is kept.
    pub fn add(&mut self, rule: Rule, words: impl FnOnce() -> Finding) {
        *self.counts.entry(rule).or_default() += 1;
        if self.kept.len() < self.kept_max {
            self.kept.push(words());
        }
    }

    /// Counts one that the reader should see before all others.
    pub fn add_first(&mut self, finding: Finding) {
        *self.counts.entry(finding.rule).or_default() += 1;
        self.kept.insert(0, finding);
        self.kept.truncate(self.kept_max);
    }

    pub fn kept(&self) -> &[Finding] {
        &self.kept
    }

    pub fn total(&self) -> u64 {
        self.counts.values().sum()
    }

    pub fn more(&self) -> u64 {
        self.total() - self.kept.len() as u64
    }

    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// `3 errors: 2 × type, 1 × max`
    pub fn summary(&self) -> String {
        let noun = if self.total() == 1 { "error" } else { "errors" };
        let counts: Vec<_> = self.counts.iter().map(|(rule, count)| format!("{count} × {}", rule.as_str())).collect();
        format!("{} {noun}: {}", self.total(), counts.join(", "))
    }
}

/// A value as it is quoted in a message: short, on one line.
pub(super) fn cut(value: &str) -> String {
    let mut text: String = value.chars().take(VALUE_CHARS_MAX).flat_map(printable).collect();
    if value.chars().nth(VALUE_CHARS_MAX).is_some() {
        text.push('…');
    }
    text
}

fn printable(char: char) -> Vec<char> {
    if char.is_control() { char.escape_default().collect() } else { vec![char] }
}
