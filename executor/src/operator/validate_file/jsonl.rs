//! JSON lines: one object a line.

use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
};

use serde_json::{Map, Value};

use super::{
    finding::{Finding, Findings, Place, Rule, cut},
    rows::Rows,
    schema::{Schema, UnknownColumns},
    source::{Head, ROW_BYTES_MAX, Source, is_row_too_long},
    value,
};
use crate::operator::{digest::Content, error::Error};

/// Checks a file of JSON lines; returns its content and the number of its rows. Blank lines are none.
pub(super) fn check(path: &Path, schema: &Schema, findings: &mut Findings) -> Result<(Content, u64), Error> {
    let (source, head) = Source::open(path)?;
    if let Head::Other(what) = head {
        findings.add(Rule::Form, || Finding::file(Rule::Form, format!("the file is {what}")));
        return Ok((source.finish()?, 0));
    }
    let feed = source.feed();
    let mut reader = BufReader::with_capacity(1 << 16, source);
    let mut rows = Rows::new(path, schema);
    let mut line = Vec::new();
    let mut place = Place { row: 0, line: 0 };
    loop {
        line.clear();
        feed.begin_row();
        place.line += 1;
        match reader.by_ref().read_until(b'\n', &mut line) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if is_row_too_long(&error) => {
                let message = format!("the line is longer than {} MiB", ROW_BYTES_MAX >> 20);
                let place = Place { row: place.row + 1, ..place };
                findings.add(Rule::Form, || Finding::row(Rule::Form, place, message));
                break;
            }
            Err(error) => return Err(Error::io("read", path)(error)),
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        place.row += 1;
        match serde_json::from_slice::<Map<String, Value>>(&line) {
            Ok(object) => {
                check_row(&object, schema, place, findings);
                let columns = schema.columns.as_deref().unwrap_or_default();
                rows.remember(place, |column| {
                    object.get(&columns[column].name).filter(|it| !it.is_null()).map(value::text_of)
                })?;
            }
            Err(error) => findings.add(Rule::Form, || Finding::row(Rule::Form, place, why_no_object(&line, &error))),
        }
    }
    rows.finish(findings)?;
    Ok((reader.into_inner().finish()?, place.row))
}

/// A value as a message shows it: where its type is wrong, quotes matter.
fn quoted(rule: Rule, value: &Value) -> String {
    if rule == Rule::Type { value.to_string() } else { value::text_of(value).into_owned() }
}

fn why_no_object(line: &[u8], error: &serde_json::Error) -> String {
    if std::str::from_utf8(line).is_err() {
        return "the line is not UTF-8".to_owned();
    }
    let text = error.to_string();
    // The parser counts lines within this line, which would only confuse.
    let text = text.split(" at line ").next().unwrap_or_default();
    format!("the line is no JSON object: {text} at column {}", error.column())
}

fn check_row(object: &Map<String, Value>, schema: &Schema, place: Place, findings: &mut Findings) {
    let Some(columns) = schema.columns.as_deref() else { return };
    for column in columns {
        match object.get(&column.name) {
            None if column.is_required => findings.add(Rule::Required, || {
                let absent = Finding::value(Rule::Required, place, column, "");
                Finding { value: None, message: "is not there".to_owned(), ..absent }
            }),
            None => {}
            Some(Value::Null) if column.is_nullable => {}
            Some(Value::Null) => {
                findings.add(Rule::Required, || Finding::value(Rule::Required, place, column, "null"));
            }
            Some(value) => {
                if let Some(rule) = value::check_json(column, value) {
                    findings.add(rule, || Finding::value(rule, place, column, &quoted(rule, value)));
                }
            }
        }
    }
    if schema.unknown_columns == UnknownColumns::Ignore {
        return;
    }
    for name in object.keys().filter(|name| !columns.iter().any(|column| column.name == **name)) {
        findings.add(Rule::Columns, || {
            Finding::row(Rule::Columns, place, format!("the schema has no column `{}`", cut(name)))
        });
    }
}
