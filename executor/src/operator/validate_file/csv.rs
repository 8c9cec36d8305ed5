//! CSV: header or none, any delimiter, quoted fields, LF or CRLF, with or without byte order mark.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::Path,
};

use csv::{ByteRecord, ErrorKind, Position, ReaderBuilder};

use super::{
    finding::{Finding, Findings, Place, Rule},
    rows::Rows,
    schema::{Column, Schema, UnknownColumns},
    source::{Feed, Head, ROW_BYTES_MAX, Source, is_row_too_long},
    value,
};
use crate::operator::{digest::Content, error::Error, spec::ValidateFile};

type Reader = csv::Reader<Source>;

/// Where each column of the schema is in a row; `None` where the file does not have it.
struct Layout<'a> {
    columns: &'a [Column],
    places: Vec<Option<usize>>,
    /// How many fields a row must have. Known once there is a first row.
    width: Option<usize>,
}

/// Checks a CSV file; returns its content and the number of its rows.
pub(super) fn check(
    spec: &ValidateFile,
    path: &Path,
    schema: &Schema,
    findings: &mut Findings,
) -> Result<(Content, u64), Error> {
    let delimiter = delimiter_of(spec, path)?;
    let (source, head) = Source::open(path)?;
    let mark_bytes = match head {
        Head::Text { mark_bytes } => mark_bytes,
        Head::Other(what) => {
            findings.add(Rule::Form, || Finding::file(Rule::Form, format!("the file is {what}")));
            return Ok((source.finish()?, 0));
        }
    };
    let feed = source.feed();
    let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(source);
    let mut record = ByteRecord::new();
    let mut last = Position::new();
    let mut rows = Rows::new(path, schema);
    let mut layout = None;
    let mut count = 0;
    let mut last_line = 1;
    let mut is_cut_off = false;
    loop {
        feed.begin_row();
        let begin = reader.position().line();
        match next(&mut reader, &mut record, path) {
            Ok(true) => {}
            Ok(false) => break,
            Err(Stop::RowTooLong) => {
                let place = Place { row: count + 1, line: begin };
                is_cut_off = true;
                findings.add(Rule::Form, || Finding::row(Rule::Form, place, too_long()));
                break;
            }
            Err(Stop::Failed(error)) => return Err(error),
        }
        last = record.position().cloned().unwrap_or(last);
        last_line = line_of(&record, &reader, &feed);
        let layout = match &mut layout {
            Some(layout) => layout,
            empty => {
                let is_header = spec.header;
                let layout = empty.insert(Layout::new(schema, is_header.then_some(&record), &record, findings));
                if is_header {
                    continue;
                }
                layout
            }
        };
        count += 1;
        let place = Place { row: count, line: last_line };
        if layout.has_width_of(&record, place, findings) && layout.check_row(&record, schema, place, findings) {
            rows.remember(place, |column| layout.text(&record, column, schema))?;
        }
    }
    if layout.is_none() {
        findings.add(Rule::Columns, || Finding::file(Rule::Columns, "the file is empty, without even a header"));
    }
    if !is_cut_off && ends_in_quotes(path, last.byte() + mark_bytes, delimiter).map_err(Error::io("read", path))? {
        let place = Place { row: count, line: last_line };
        findings.add(Rule::Form, || Finding::row(Rule::Form, place, "a quote is opened here and never closed"));
    }
    rows.finish(findings)?;
    Ok((reader.into_inner().finish()?, count))
}

enum Stop {
    RowTooLong,
    Failed(Error),
}

fn next(reader: &mut Reader, record: &mut ByteRecord, path: &Path) -> Result<bool, Stop> {
    reader.read_byte_record(record).map_err(|error| match error.into_kind() {
        ErrorKind::Io(error) if is_row_too_long(&error) => Stop::RowTooLong,
        ErrorKind::Io(error) => Stop::Failed(Error::io("read", path)(error)),
        other => Stop::Failed(Error::io("read", path)(std::io::Error::other(format!("{other:?}")))),
    })
}

/// The line on which a record begins. The reader's own idea of it is where the last one ended: blank
/// lines, which it skips, lie between, and of CRLF it leaves the second half to the next record.
fn line_of(record: &ByteRecord, reader: &Reader, feed: &Feed) -> u64 {
    let end = reader.position();
    let inside = record.iter().map(|field| field.iter().filter(|byte| **byte == b'\n').count() as u64).sum::<u64>();
    let after = u64::from(feed.byte_before(end.byte()) == Some(b'\n'));
    end.line() - inside - after
}

fn too_long() -> String {
    format!("the row is longer than {} MiB: is there a quote that is never closed?", ROW_BYTES_MAX >> 20)
}

fn delimiter_of(spec: &ValidateFile, path: &Path) -> Result<u8, Error> {
    match spec.delimiter.as_deref().map(str::as_bytes) {
        None if path.extension().is_some_and(|it| it.eq_ignore_ascii_case("tsv")) => Ok(b'\t'),
        None => Ok(b','),
        Some([byte]) if byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r') => Ok(*byte),
        Some(br"\t") => Ok(b'\t'),
        Some(_) => Err(Error::Field { field: "delimiter", message: "must be one ASCII character".to_owned() }),
    }
}

impl<'a> Layout<'a> {
    /// Finds the columns by the header, or by their order where there is none.
    fn new(schema: &'a Schema, header: Option<&ByteRecord>, first: &ByteRecord, findings: &mut Findings) -> Self {
        let Some(columns) = schema.columns.as_deref() else {
            return Self { columns: &[], places: Vec::new(), width: Some(first.len()) };
        };
        let Some(header) = header else {
            let width = match schema.unknown_columns {
                UnknownColumns::Error => columns.len(),
                UnknownColumns::Ignore => columns.len().max(first.len()),
            };
            return Self { columns, places: (0..columns.len()).map(Some).collect(), width: Some(width) };
        };
        let names: Vec<_> = header.iter().map(String::from_utf8_lossy).collect();
        let mut wrong = |message: String| findings.add(Rule::Columns, || Finding::file(Rule::Columns, message));
        for (index, name) in names.iter().enumerate() {
            if names[..index].contains(name) {
                wrong(format!("the header names `{}` twice", super::finding::cut(name)));
            } else if schema.unknown_columns == UnknownColumns::Error && !columns.iter().any(|it| it.name == *name) {
                wrong(format!("the schema has no column `{}`", super::finding::cut(name)));
            }
        }
        let places: Vec<_> = columns.iter().map(|column| names.iter().position(|name| *name == column.name)).collect();
        for (column, place) in columns.iter().zip(&places) {
            if place.is_none() && column.is_required {
                wrong(format!("the file has no column `{}`", column.name));
            }
        }
        Self { columns, places, width: Some(header.len()) }
    }

    fn has_width_of(&self, record: &ByteRecord, place: Place, findings: &mut Findings) -> bool {
        match self.width {
            Some(width) if record.len() != width => {
                let message = || format!("the row has {} fields, not {width}", record.len());
                findings.add(Rule::Columns, || Finding::row(Rule::Columns, place, message()));
                false
            }
            Some(_) | None => true,
        }
    }

    /// Checks all values of a row; says whether every one is readable text.
    fn check_row(&self, record: &ByteRecord, schema: &Schema, place: Place, findings: &mut Findings) -> bool {
        let mut is_text = true;
        for (column, field) in self.columns.iter().zip(&self.places) {
            let Some(field) = field.and_then(|field| record.get(field)) else { continue };
            let Ok(text) = std::str::from_utf8(field) else {
                is_text = false;
                let text = String::from_utf8_lossy(field);
                findings.add(Rule::Form, || Finding::value(Rule::Form, place, column, &text));
                continue;
            };
            if schema.is_null(text) {
                if !column.is_nullable {
                    findings.add(Rule::Required, || Finding::value(Rule::Required, place, column, text));
                }
                continue;
            }
            if let Some(rule) = value::check_text(column, text) {
                findings.add(rule, || Finding::value(rule, place, column, text));
            }
        }
        is_text
    }

    fn text<'r>(&self, record: &'r ByteRecord, column: usize, schema: &Schema) -> Option<&'r str> {
        let text = std::str::from_utf8(record.get(self.places[column]?)?).ok()?;
        (!schema.is_null(text)).then_some(text)
    }
}

/// Whether the row that begins at `byte` is still inside quotes when the file ends. The reader takes
/// such a row as it is: everything after the quote in one field.
fn ends_in_quotes(path: &Path, byte: u64, delimiter: u8) -> std::io::Result<bool> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(byte))?;
    let mut bytes = Vec::new();
    file.take(ROW_BYTES_MAX).read_to_end(&mut bytes)?;
    let mut is_quoted = false;
    let mut is_field_start = true;
    for byte in bytes {
        match byte {
            b'"' if is_quoted => is_quoted = false,
            // A quote that closed and opens again was a doubled one.
            b'"' => is_quoted = is_field_start,
            _ => {}
        }
        is_field_start = !is_quoted && (byte == delimiter || byte == b'\n' || byte == b'\r' || byte == b'"');
    }
    Ok(is_quoted)
}
