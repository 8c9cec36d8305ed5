//! The schema of a file: its columns, their types and rules.
//!
//! Strict unless told otherwise: a column is required, its values may not be null, and a column that
//! the schema does not name is an error.

use std::{fs, path::Path};

use regex::Regex;
use serde::Deserialize;
use serde_json::Value;

use super::{
    finding::{Finding, Findings, Rule},
    value::{self, Cell, Kind},
};
use crate::operator::{error::Error, location};

/// A schema beyond this is a mistake.
const SCHEMA_BYTES_MAX: u64 = 4 << 20;

/// A compiled schema.
#[derive(Debug)]
pub struct Schema {
    /// `None`: there is no schema, any columns will do.
    pub(super) columns: Option<Vec<Column>>,
    pub(super) unknown_columns: UnknownColumns,
    /// Texts that mean null in a CSV file.
    null_values: Vec<String>,
    /// Columns, by index, that no two rows may have the same values in.
    pub(super) unique: Vec<Vec<usize>>,
    min_rows: Option<u64>,
    max_rows: Option<u64>,
}

/// What happens to a column that the schema does not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum UnknownColumns {
    #[default]
    Error,
    Ignore,
}

#[derive(Debug)]
pub(super) struct Column {
    pub name: String,
    pub kind: Kind,
    /// Whether the column must be there.
    pub is_required: bool,
    /// Whether a value may be null.
    pub is_nullable: bool,
    pub min: Option<Cell<'static>>,
    pub max: Option<Cell<'static>>,
    pub min_length: Option<usize>,
    pub max_length: Option<usize>,
    pub allowed: Option<Vec<Cell<'static>>>,
    /// Must match the whole value.
    pub pattern: Option<Regex>,
}

impl Default for Schema {
    fn default() -> Self {
        Self {
            columns: None,
            unknown_columns: UnknownColumns::Ignore,
            null_values: vec![String::new()],
            unique: Vec::new(),
            min_rows: None,
            max_rows: None,
        }
    }
}

impl Schema {
    /// Reads a schema from a JSON file. (DAGs may name YAML files: those arrive here as values.)
    pub fn read(path: &Path) -> Result<Self, Error> {
        let name = path.display().to_string();
        let wrong = |message: String| Error::Schema { name: name.clone(), message };
        let metadata = location::regular_file(path)?.ok_or_else(|| Error::Missing { path: path.to_owned() })?;
        if SCHEMA_BYTES_MAX < metadata.len() {
            return Err(wrong(format!("is larger than {} MiB", SCHEMA_BYTES_MAX >> 20)));
        }
        let text = fs::read_to_string(path).map_err(Error::io("read the schema", path))?;
        let value = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        Self::from_value(&name, value)
    }

    /// Compiles a schema. `name` is for the message if it is wrong.
    pub fn from_value(name: &str, value: Value) -> Result<Self, Error> {
        let wrong = |message: String| Error::Schema { name: name.to_owned(), message };
        let raw: RawSchema = serde_json::from_value(value).map_err(|error| wrong(error.to_string()))?;
        raw.compile().map_err(wrong)
    }

    /// Whether a text of a CSV file means that there is no value. There are one to three such texts.
    pub(super) fn is_null(&self, text: &str) -> bool {
        self.null_values.iter().any(|it| it == text)
    }

    pub(super) fn check_row_count(&self, rows: u64, findings: &mut Findings) {
        if let Some(min) = self.min_rows.filter(|min| rows < *min) {
            findings.add(Rule::Rows, || Finding::file(Rule::Rows, format!("{rows} rows are fewer than {min}")));
        }
        if let Some(max) = self.max_rows.filter(|max| *max < rows) {
            findings.add(Rule::Rows, || Finding::file(Rule::Rows, format!("{rows} rows are more than {max}")));
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSchema {
    #[serde(default)]
    #[expect(dead_code, reason = "for people; named here so that it is allowed")]
    description: Option<String>,
    columns: Vec<Value>,
    #[serde(default)]
    unknown_columns: UnknownColumns,
    #[serde(default)]
    null_values: Option<Vec<String>>,
    #[serde(default)]
    unique: Vec<String>,
    #[serde(default)]
    min_rows: Option<u64>,
    #[serde(default)]
    max_rows: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawColumn {
    name: String,
    #[serde(rename = "type")]
    kind: RawKind,
    #[serde(default)]
    #[expect(dead_code, reason = "for people; named here so that it is allowed")]
    description: Option<String>,
    #[serde(default = "yes")]
    required: bool,
    #[serde(default)]
    nullable: bool,
    #[serde(default)]
    unique: bool,
    #[serde(default)]
    min: Option<Value>,
    #[serde(default)]
    max: Option<Value>,
    #[serde(default)]
    min_length: Option<usize>,
    #[serde(default)]
    max_length: Option<usize>,
    #[serde(default, rename = "enum")]
    allowed: Option<Vec<Value>>,
    #[serde(default)]
    pattern: Option<String>,
    /// Of a date or timestamp, as `strftime` writes it.
    #[serde(default)]
    format: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawKind {
    Integer,
    Number,
    String,
    Boolean,
    Date,
    Timestamp,
}

fn yes() -> bool {
    true
}

impl RawSchema {
    fn compile(self) -> Result<Schema, String> {
        let mut unique = Vec::new();
        let mut columns: Vec<Column> = Vec::with_capacity(self.columns.len());
        for (index, value) in self.columns.into_iter().enumerate() {
            let which = match value.get("name") {
                Some(Value::String(name)) => format!("column `{name}`"),
                Some(_) | None => format!("column {}", index + 1),
            };
            let raw: RawColumn = serde_json::from_value(value).map_err(|error| format!("{which}: {error}"))?;
            if columns.iter().any(|column| column.name == raw.name) {
                return Err(format!("column `{}` is named twice", raw.name));
            }
            if raw.unique {
                unique.push(vec![columns.len()]);
            }
            columns.push(raw.compile().map_err(|message| format!("{which}: {message}"))?);
        }
        if columns.is_empty() {
            return Err("`columns` is empty".to_owned());
        }
        if !self.unique.is_empty() {
            let index = |name: &String| columns.iter().position(|column| column.name == *name);
            let key = self
                .unique
                .iter()
                .map(|name| index(name).ok_or(format!("`unique` names `{name}`, which is no column")));
            unique.push(key.collect::<Result<_, _>>()?);
        }
        Ok(Schema {
            columns: Some(columns),
            unknown_columns: self.unknown_columns,
            null_values: self.null_values.unwrap_or_else(|| vec![String::new()]),
            unique,
            min_rows: self.min_rows,
            max_rows: self.max_rows,
        })
    }
}

/// A pattern that must match the whole value.
fn whole_value(pattern: &str) -> Result<Regex, String> {
    Regex::new(&format!("^(?:{pattern})$")).map_err(|error| {
        // The parser draws a picture; its last line says it.
        let text = error.to_string();
        let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
        format!("`pattern`: `{pattern}` is no regular expression: {reason}")
    })
}

impl RawColumn {
    fn compile(self) -> Result<Column, String> {
        let kind = self.kind()?;
        let only = |is_set: bool, key: &str, of: &str| match is_set {
            true => Err(format!("`{key}` is for {of}, not for `{}`", kind.as_str())),
            false => Ok(()),
        };
        let is_text = matches!(kind, Kind::String);
        only(
            !is_text && (self.min_length.is_some() || self.max_length.is_some()),
            "min_length/max_length",
            "`string`",
        )?;
        only(is_text && (self.min.is_some() || self.max.is_some()), "min/max", "numbers, dates and timestamps")?;
        only(
            matches!(kind, Kind::Boolean) && (self.min.is_some() || self.max.is_some()),
            "min/max",
            "numbers and dates",
        )?;

        let bound = |key: &str, value: &Option<Value>| match value {
            None => Ok(None),
            Some(value) => value::bound(&kind, value).map(Some).map_err(|message| format!("`{key}`: {message}")),
        };
        let (min, max) = (bound("min", &self.min)?, bound("max", &self.max)?);
        if let (Some(min), Some(max)) = (&min, &max)
            && max < min
        {
            return Err("`max` is below `min`".to_owned());
        }
        let allowed = self.allowed.as_ref().map(|values| {
            let cells =
                values.iter().map(|value| value::bound(&kind, value).map_err(|message| format!("`enum`: {message}")));
            cells.collect::<Result<Vec<_>, _>>()
        });
        let pattern = self.pattern.as_deref().map(whole_value).transpose()?;
        Ok(Column {
            is_required: self.required,
            is_nullable: self.nullable,
            min,
            max,
            min_length: self.min_length,
            max_length: self.max_length,
            allowed: allowed.transpose()?,
            pattern,
            name: self.name,
            kind,
        })
    }

    fn kind(&self) -> Result<Kind, String> {
        let kind = match (self.kind, self.format.clone()) {
            (RawKind::Date, format) => return Kind::date(format),
            (RawKind::Timestamp, format) => return Kind::timestamp(format),
            (_, Some(_)) => return Err("`format` is for `date` and `timestamp`".to_owned()),
            (RawKind::Integer, None) => Kind::Integer,
            (RawKind::Number, None) => Kind::Number,
            (RawKind::String, None) => Kind::String,
            (RawKind::Boolean, None) => Kind::Boolean,
        };
        Ok(kind)
    }
}
