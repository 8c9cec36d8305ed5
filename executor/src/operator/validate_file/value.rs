//! One value: does it have its column's type, and does it keep its column's rules?

use std::borrow::Cow;

use chrono::{
    DateTime, NaiveDate, NaiveDateTime, Utc,
    format::{Item, StrftimeItems},
};
use serde_json::Value;

use super::{
    finding::{Rule, cut},
    schema::Column,
};

/// The type of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Integer,
    Number,
    String,
    Boolean,
    Date {
        format: String,
    },
    /// Without a format: RFC 3339, or the same without offset, which is then UTC.
    Timestamp {
        format: Option<String>,
    },
}

/// A value of a known type. Values of one column are of one variant, so they compare.
#[derive(Debug, Clone, PartialEq, PartialOrd)]
pub(super) enum Cell<'a> {
    Integer(i64),
    Number(f64),
    Text(Cow<'a, str>),
    Boolean(bool),
    Date(NaiveDate),
    Timestamp(DateTime<Utc>),
}

impl Kind {
    pub fn date(format: Option<String>) -> Result<Self, String> {
        let format = format.unwrap_or_else(|| "%Y-%m-%d".to_owned());
        check_format(&format).map(|()| Self::Date { format })
    }

    pub fn timestamp(format: Option<String>) -> Result<Self, String> {
        format.as_deref().map_or(Ok(()), check_format).map(|()| Self::Timestamp { format })
    }

    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Integer => "integer",
            Self::Number => "number",
            Self::String => "string",
            Self::Boolean => "boolean",
            Self::Date { .. } => "date",
            Self::Timestamp { .. } => "timestamp",
        }
    }
}

/// The rule that a value of a CSV file breaks, if it breaks one.
pub(super) fn check_text(column: &Column, text: &str) -> Option<Rule> {
    match parse_text(&column.kind, text) {
        Some(cell) => broken_rule(column, &cell, text),
        None => Some(Rule::Type),
    }
}

/// The rule that a value of a JSON line breaks; the value is not null.
pub(super) fn check_json(column: &Column, value: &Value) -> Option<Rule> {
    match parse_json(&column.kind, value) {
        Some(cell) => broken_rule(column, &cell, &text_of(value)),
        None => Some(Rule::Type),
    }
}

/// Puts into words that a value breaks a rule. Apart from the check, because a file may have millions
/// of errors and a person reads twenty.
pub(super) fn message(column: &Column, rule: Rule, value: &str) -> String {
    let kind = &column.kind;
    let bound = |bound: &Option<Cell<'static>>| bound.as_ref().map(|it| show(it, kind)).unwrap_or_default();
    let what = match rule {
        Rule::Type => type_in_words(kind),
        Rule::Min => format!("below {}", bound(&column.min)),
        Rule::Max => format!("above {}", bound(&column.max)),
        Rule::Length => length_in_words(column, value),
        Rule::Enum => format!("none of {}", allowed_in_words(column)),
        Rule::Pattern => {
            let pattern = column.pattern.as_ref().map(|it| &it.as_str()[4..it.as_str().len() - 2]);
            return format!("`{}` does not match `{}`", cut(value), pattern.unwrap_or_default());
        }
        Rule::Form => return "is not UTF-8".to_owned(),
        Rule::Required => return "has no value".to_owned(),
        Rule::Checksum | Rule::Columns | Rule::Unique | Rule::Rows => rule.as_str().to_owned(),
    };
    format!("`{}` is {what}", cut(value))
}

/// A JSON value as text: strings without their quotes.
pub(super) fn text_of(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        other => Cow::Owned(other.to_string()),
    }
}

/// A limit or an allowed value of a schema. Schemas may write dates and numbers with or without quotes.
pub(super) fn bound(kind: &Kind, value: &Value) -> Result<Cell<'static>, String> {
    let text = text_of(value);
    let cell = match kind {
        Kind::Integer | Kind::Number | Kind::Boolean => parse_json(kind, value),
        Kind::String | Kind::Date { .. } | Kind::Timestamp { .. } => parse_text(kind, &text),
    };
    match cell {
        Some(Cell::Text(text)) => Ok(Cell::Text(Cow::Owned(text.into_owned()))),
        Some(Cell::Integer(it)) => Ok(Cell::Integer(it)),
        Some(Cell::Number(it)) => Ok(Cell::Number(it)),
        Some(Cell::Boolean(it)) => Ok(Cell::Boolean(it)),
        Some(Cell::Date(it)) => Ok(Cell::Date(it)),
        Some(Cell::Timestamp(it)) => Ok(Cell::Timestamp(it)),
        None => Err(format!("`{}` is {}", cut(&value.to_string()), type_in_words(kind))),
    }
}

fn parse_text<'a>(kind: &Kind, text: &'a str) -> Option<Cell<'a>> {
    match kind {
        Kind::Integer => text.parse().ok().map(Cell::Integer),
        Kind::Number => parse_number(text).map(Cell::Number),
        Kind::String => Some(Cell::Text(Cow::Borrowed(text))),
        Kind::Boolean => match text {
            "1" => Some(Cell::Boolean(true)),
            "0" => Some(Cell::Boolean(false)),
            _ if text.eq_ignore_ascii_case("true") => Some(Cell::Boolean(true)),
            _ if text.eq_ignore_ascii_case("false") => Some(Cell::Boolean(false)),
            _ => None,
        },
        Kind::Date { format } => NaiveDate::parse_from_str(text, format).ok().map(Cell::Date),
        Kind::Timestamp { format: None } => parse_timestamp(text).map(Cell::Timestamp),
        Kind::Timestamp { format: Some(format) } => DateTime::parse_from_str(text, format)
            .map(|it| it.to_utc())
            .or_else(|_| NaiveDateTime::parse_from_str(text, format).map(|it| it.and_utc()))
            .ok()
            .map(Cell::Timestamp),
    }
}

fn parse_json<'a>(kind: &Kind, value: &'a Value) -> Option<Cell<'a>> {
    match (kind, value) {
        (Kind::Integer, Value::Number(number)) => whole(number).map(Cell::Integer),
        (Kind::Number, Value::Number(number)) => number.as_f64().map(Cell::Number),
        (Kind::Boolean, Value::Bool(it)) => Some(Cell::Boolean(*it)),
        (Kind::String | Kind::Date { .. } | Kind::Timestamp { .. }, Value::String(text)) => parse_text(kind, text),
        _ => None,
    }
}

/// A number without fraction is an integer, however it is written, as in JSON Schema.
fn whole(number: &serde_json::Number) -> Option<i64> {
    /// Beyond this a double does not tell its neighbours apart.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    number.as_i64().or_else(|| {
        let float = number.as_f64().filter(|it| it.fract() == 0.0 && it.abs() <= EXACT)?;
        format!("{float:.0}").parse().ok()
    })
}

/// A finite decimal number: no `NaN`, no `inf`, no spaces, no thousands separators.
fn parse_number(text: &str) -> Option<f64> {
    let is_plain = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
    is_plain.then(|| text.parse().ok()).flatten().filter(|number: &f64| number.is_finite())
}

fn parse_timestamp(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(it) = DateTime::parse_from_rfc3339(text) {
        return Some(it.to_utc());
    }
    let naive = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"];
    if let Some(it) = naive.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok()) {
        return Some(it.and_utc());
    }
    DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f%:z").ok().map(|it| it.to_utc())
}

fn broken_rule(column: &Column, cell: &Cell<'_>, text: &str) -> Option<Rule> {
    if column.min.as_ref().is_some_and(|min| cell < min) {
        Some(Rule::Min)
    } else if column.max.as_ref().is_some_and(|max| max < cell) {
        Some(Rule::Max)
    } else if column.min_length.is_some_and(|min| !has_chars(text, min))
        || column.max_length.is_some_and(|max| has_chars(text, max + 1))
    {
        Some(Rule::Length)
    } else if column.allowed.as_ref().is_some_and(|allowed| !allowed.contains(cell)) {
        Some(Rule::Enum)
    } else if column.pattern.as_ref().is_some_and(|pattern| !pattern.is_match(text)) {
        Some(Rule::Pattern)
    } else {
        None
    }
}

/// Whether a text has at least so many characters; looks no further.
fn has_chars(text: &str, count: usize) -> bool {
    count == 0 || text.chars().nth(count - 1).is_some()
}

fn type_in_words(kind: &Kind) -> String {
    match kind {
        Kind::Integer => "no integer".to_owned(),
        Kind::Number => "no number".to_owned(),
        Kind::String => "no string".to_owned(),
        Kind::Boolean => "neither `true` nor `false`".to_owned(),
        Kind::Date { format } => format!("no date like `{format}`"),
        Kind::Timestamp { format: None } => "no timestamp like `2025-01-31T12:00:00Z`".to_owned(),
        Kind::Timestamp { format: Some(format) } => format!("no timestamp like `{format}`"),
    }
}

fn length_in_words(column: &Column, value: &str) -> String {
    match (column.min_length, column.max_length) {
        (Some(min), _) if !has_chars(value, min) => format!("shorter than {min} characters"),
        (_, max) => format!("longer than {} characters", max.unwrap_or_default()),
    }
}

fn allowed_in_words(column: &Column) -> String {
    /// More than this nobody compares by eye.
    const SHOWN_MAX: usize = 10;
    let allowed = column.allowed.as_deref().unwrap_or_default();
    let shown: Vec<_> = allowed.iter().take(SHOWN_MAX).map(|it| format!("`{}`", show(it, &column.kind))).collect();
    format!("{}{}", shown.join(", "), if SHOWN_MAX < allowed.len() { ", …" } else { "" })
}

fn show(cell: &Cell<'_>, kind: &Kind) -> String {
    match cell {
        Cell::Integer(it) => it.to_string(),
        Cell::Number(it) => it.to_string(),
        Cell::Text(it) => it.to_string(),
        Cell::Boolean(it) => it.to_string(),
        Cell::Date(it) => match kind {
            Kind::Date { format } => it.format(format).to_string(),
            _ => it.to_string(),
        },
        Cell::Timestamp(it) => it.to_rfc3339(),
    }
}

fn check_format(format: &str) -> Result<(), String> {
    match StrftimeItems::new(format).any(|item| matches!(item, Item::Error)) {
        true => Err(format!("`format`: `{format}` is not in the form of `strftime`, as `%d.%m.%Y`")),
        false => Ok(()),
    }
}
