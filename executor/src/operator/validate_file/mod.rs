//! `validate_file`: is this file what its schema and its checksum say?
//!
//! One pass, constant memory: rows are read one by one while the checksum runs along, findings are
//! counted all and kept up to a limit, and values that must be unique are sorted on disk when they are
//! many.

mod checksum;
mod csv;
mod finding;
mod jsonl;
mod rows;
mod schema;
mod source;
mod unique;
mod value;

use std::{io::Write, path::Path};

use serde_json::{Value, json};

pub use schema::Schema;

use super::{
    Done, Verdict,
    digest::Content,
    error::Error,
    location, reason, say,
    spec::{FileFormat, SchemaSource, ValidateFile},
};
use finding::Findings;

/// However many errors a spec asks for, an output stays an output.
const ERRORS_LISTED_MAX: usize = 1_000;

pub(super) fn run(spec: &ValidateFile, log: &mut dyn Write) -> Result<Done, Error> {
    let path = location::parse("path", &spec.path)?;
    let path = std::path::absolute(&path).map_err(Error::io("look at", &path))?;
    if location::regular_file(&path)?.is_none() {
        return Err(Error::Missing { path });
    }
    let schema = match &spec.schema {
        None => Schema::default(),
        Some(SchemaSource::File(name)) => Schema::read(&location::parse("schema", name)?)?,
        Some(SchemaSource::Inline(map)) => Schema::from_value("in place", Value::Object(map.clone()))?,
    };
    let format = format_of(spec, &path)?;
    let mut findings = Findings::new(spec.max_errors.min(ERRORS_LISTED_MAX));

    let expected = spec.checksum.as_ref().map(|checksum| checksum::expected(checksum, &path)).transpose()?.flatten();
    let (content, rows) = match format {
        FileFormat::Csv => csv::check(spec, &path, &schema, &mut findings)?,
        FileFormat::Jsonl => jsonl::check(&path, &schema, &mut findings)?,
    };
    if let Some(expected) = &expected {
        checksum::compare(expected, &content, &mut findings);
    }
    schema.check_row_count(rows, &mut findings);

    let outcome = Outcome { path: &path, content, rows, findings };
    outcome.tell(spec.checksum.is_some() && expected.is_none(), log);
    if outcome.findings.is_empty() {
        return Ok(Done { verdict: Verdict::Good, output: outcome.output() });
    }
    if let Some(text) = &spec.reason_file {
        let place = reason::parse_place(text, &path)?;
        reason::write(&place, &outcome.output())?;
        say(log, &format!("the reason is in `{}`", place.display()));
    }
    Ok(Done { verdict: Verdict::Refused, output: outcome.output() })
}

fn format_of(spec: &ValidateFile, path: &Path) -> Result<FileFormat, Error> {
    if let Some(format) = spec.format {
        return Ok(format);
    }
    match path.extension().and_then(|it| it.to_str()).map(str::to_ascii_lowercase).as_deref() {
        Some("csv" | "tsv" | "txt") => Ok(FileFormat::Csv),
        Some("jsonl" | "ndjson") => Ok(FileFormat::Jsonl),
        Some(_) | None => Err(Error::Field {
            field: "format",
            message: format!("`{}` does not tell its format by its ending; say `csv` or `jsonl`", location::name(path)),
        }),
    }
}

struct Outcome<'a> {
    path: &'a Path,
    content: Content,
    rows: u64,
    findings: Findings,
}

impl Outcome<'_> {
    fn tell(&self, is_unchecked: bool, log: &mut dyn Write) {
        let (path, rows, content) = (self.path.display(), self.rows, &self.content);
        if is_unchecked {
            say(log, &format!("no checksum file beside `{path}`: the checksum is computed, not compared"));
        }
        let noun = if rows == 1 { "row" } else { "rows" };
        let facts = format!("{rows} {noun}, {} bytes, sha256 {}", content.bytes, content.sha256);
        if self.findings.is_empty() {
            return say(log, &format!("`{path}` is valid: {facts}"));
        }
        say(log, &format!("error: `{path}` is refused: {}", self.findings.summary()));
        for finding in self.findings.kept() {
            say(log, &format!("  {finding}"));
        }
        match self.findings.more() {
            0 => {}
            more => say(log, &format!("  and {more} more")),
        }
        say(log, &format!("it has {facts}"));
    }

    fn output(&self) -> Value {
        let mut output = json!({
            "path": self.path.to_string_lossy(),
            "uri": location::uri(self.path),
            "name": location::name(self.path),
            "rows": self.rows,
            "bytes": self.content.bytes,
            "sha256": self.content.sha256,
            "valid": self.findings.is_empty(),
            "error_count": self.findings.total(),
            "errors": self.findings.kept(),
        });
        if !self.findings.is_empty() {
            output["summary"] = Value::from(self.findings.summary());
        }
        output
    }
}
