//! `validate_file`: checks a file of rows against a schema and a checksum.

use gridflow_core::TaskKind;
use serde_json::{Map, Value, json};

use super::{LOCAL, Launch, OperatorSpec, Outputs, Rendered};
use crate::{
    code::Code,
    dag::Literal,
    read::{Cx, Definitions, OneOrMany, Pattern, Prose, Read, Shape, Spanned, named, read_map, spec},
    source::{Source, Span},
    template::{RenderError, Template},
    yaml::{self, Node, NodeKind},
};

spec! {
    /// The file to check, and what it must be like.
    pub struct ValidateFileKeys "validate_file" {
        /// The file: a path or a `file://` URI.
        pub path: Option<Template>,
        /// The same as `path`.
        pub uri: Option<Template>,
        /// The schema: a file beside the DAG, or written in place. Without one only the form is checked.
        pub schema: Option<FileSchema>,
        /// `csv` or `jsonl`; from the ending of the file's name unless given.
        pub format: Option<DataFormat>,
        /// The character between the fields of a CSV file; a comma unless given, a tab for `.tsv`.
        pub delimiter: Option<Spanned<String>>,
        /// Whether the first row of a CSV file names its columns.
        pub header: bool = "true",
        /// `sha256` compares with `FILE.sha256` where there is one; the long form insists.
        pub checksum: Option<Checksum>,
        /// How many errors are listed; all are counted.
        pub max_errors: u32 = "20",
        /// Where to write the reason, as JSON, when the file is refused.
        pub reason_file: Option<Template>,
    }
}

spec! {
    /// A checksum that must be there.
    pub struct ChecksumKeys "validate_file.checksum" {
        /// How it is made: `sha256`.
        pub algorithm: Algorithm = "sha256",
        /// The checksum itself, in hex.
        pub expected: Option<Template>,
        /// The file that holds it, in the form of `sha256sum`.
        pub sidecar: Option<Template>,
    }
}

spec! {
    /// The schema of a file of rows.
    pub struct SchemaKeys "file-schema" {
        /// A line for people.
        pub description: Option<Prose>,
        /// The columns, in order.
        pub columns: Vec<Column>,
        /// What becomes of columns that the schema does not name: `error` or `ignore`.
        pub unknown_columns: UnknownColumns = "error",
        /// Texts that mean null in a CSV file; the empty text unless given.
        pub null_values: Option<Vec<String>>,
        /// Columns that no two rows may have the same values in.
        pub unique: OneOrMany<Spanned<String>>,
        /// The fewest rows.
        pub min_rows: Option<u64>,
        /// The most rows.
        pub max_rows: Option<u64>,
    }
}

spec! {
    /// One column of a file.
    pub struct Column "file-schema-column" {
        /// Its name.
        pub name: Spanned<String>,
        /// `integer`, `number`, `string`, `boolean`, `date` or `timestamp`.
        pub r#type: ColumnType,
        /// A line for people.
        pub description: Option<Prose>,
        /// Whether the column must be there.
        pub required: bool = "true",
        /// Whether a value may be null.
        pub nullable: bool = "false",
        /// Whether each value comes once.
        pub unique: bool = "false",
        /// The least value.
        pub min: Option<Literal>,
        /// The greatest value.
        pub max: Option<Literal>,
        /// The fewest characters.
        pub min_length: Option<u32>,
        /// The most characters.
        pub max_length: Option<u32>,
        /// The only values allowed.
        pub r#enum: Option<Vec<Literal>>,
        /// A regular expression that the whole value must match.
        pub pattern: Option<Pattern>,
        /// How a date or timestamp is written, as `strftime` has it.
        pub format: Option<String>,
    }
}

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColumnType(pub &'static str);

/// What becomes of columns that a schema does not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownColumns(pub &'static str);

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataFormat(pub &'static str);

/// How a checksum is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Algorithm(pub &'static str);

macro_rules! one_of {
    ($type:ident, $what:literal, [$($name:literal),*]) => {
        impl Read for $type {
            fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
                named(node, $what, &[$(($name, Self($name))),*], cx)
            }

            fn shape(_: &mut Definitions) -> Shape {
                Shape::new([$(concat!("`", $name, "`")),*].join(", "), json!({ "enum": [$($name),*] }))
            }
        }
    };
}

one_of!(ColumnType, "type of column", ["integer", "number", "string", "boolean", "date", "timestamp"]);
one_of!(UnknownColumns, "kind of `unknown_columns`", ["error", "ignore"]);
one_of!(DataFormat, "format of files", ["csv", "jsonl"]);
one_of!(Algorithm, "algorithm of checksums", ["sha256"]);

/// A checked schema, as the operator's process reads it.
#[derive(Debug, Clone, PartialEq)]
pub struct FileSchema(pub Value);

/// How the content is compared.
#[derive(Debug, Clone)]
pub enum Checksum {
    Short(Algorithm),
    Long(ChecksumKeys),
}

/// The file to check, and what it must be like.
#[derive(Debug, Clone)]
pub struct ValidateFile {
    path: Template,
    keys: ValidateFileKeys,
}

impl Read for Checksum {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        if node.map().is_none() {
            return Algorithm::read(node, cx).map(Self::Short);
        }
        let keys = ChecksumKeys::read(node, cx)?;
        if keys.expected.is_some() && keys.sidecar.is_some() {
            cx.report(Code::KeyConflict, cx.head(node), "a checksum has `expected` or `sidecar`, not both");
        }
        Some(Self::Long(keys))
    }

    fn shape(definitions: &mut Definitions) -> Shape {
        Algorithm::shape(definitions).or(ChecksumKeys::shape(definitions))
    }
}

impl Read for FileSchema {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        match &node.kind {
            NodeKind::Map(_) => schema(node, cx),
            NodeKind::Scalar(_) => {
                let path = Spanned::<String>::read(node, cx)?;
                let bytes = cx.file(&path.value, path.span)?;
                schema_file(&path, &bytes, cx)
            }
            NodeKind::List(_) | NodeKind::Poisoned => {
                cx.wrong_type(node, "a schema file, or a schema");
                None
            }
        }
    }

    fn shape(definitions: &mut Definitions) -> Shape {
        Shape::new("file", json!({ "type": "string" })).or(SchemaKeys::shape(definitions))
    }
}

/// A schema in a file of its own: its problems are reported there.
fn schema_file(path: &Spanned<String>, bytes: &[u8], cx: &mut Cx<'_>) -> Option<FileSchema> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        cx.report(Code::BadSchemaFile, path.span, format!("`{}` is not UTF-8", path.value));
        return None;
    };
    let source = Source::new(&cx.beside(&path.value), text);
    let mut inner = Cx::new(&source, &crate::files::NoFiles);
    let node = yaml::parse(&source, &mut inner.diagnostics);
    let read = node.as_ref().and_then(|node| schema(node, &mut inner));
    let is_broken = inner.diagnostics.iter().any(|diagnostic| diagnostic.is_error());
    cx.diagnostics.append(&mut inner.diagnostics);
    if node.is_none() && !is_broken {
        cx.report(Code::BadSchemaFile, path.span, format!("`{}` is empty", path.value));
    }
    read
}

fn schema(node: &Node, cx: &mut Cx<'_>) -> Option<FileSchema> {
    let keys: SchemaKeys = read_map(node, "a schema", cx)?;
    let mut names: Vec<&str> = Vec::new();
    for column in &keys.columns {
        if names.contains(&column.name.value.as_str()) {
            cx.report(Code::BadSchemaFile, column.name.span, format!("column `{}` is named twice", column.name.value));
        }
        names.push(&column.name.value);
        check_column(column, cx);
    }
    if keys.columns.is_empty() {
        cx.report(Code::BadSchemaFile, cx.head(node), "a schema needs columns");
    }
    for unique in keys.unique.0.iter().filter(|unique| !names.contains(&unique.value.as_str())) {
        cx.report(Code::BadSchemaFile, unique.span, format!("`unique` names `{}`, which is no column", unique.value))
            .help = crate::suggest::did_you_mean(&unique.value, names.iter().copied());
    }
    Some(FileSchema(json(&keys)))
}

fn check_column(column: &Column, cx: &mut Cx<'_>) {
    let numeric = matches!(column.r#type.0, "integer" | "number");
    let bounds = [("min", &column.min), ("max", &column.max)];
    for (key, bound) in bounds {
        let wrong = bound.as_ref().is_some_and(|bound| numeric && !bound.0.is_number());
        if wrong {
            let message = format!("`{key}` of column `{}` must be a number", column.name.value);
            cx.report(Code::BadSchemaFile, column.name.span, message);
        }
    }
}

fn json(keys: &SchemaKeys) -> Value {
    let mut out = Map::new();
    set(&mut out, "description", keys.description.as_ref().map(|text| text.0.as_str().into()));
    out.insert("columns".into(), keys.columns.iter().map(column_json).collect());
    out.insert("unknown_columns".into(), keys.unknown_columns.0.into());
    if let Some(null_values) = &keys.null_values {
        out.insert("null_values".into(), json!(null_values));
    }
    if !keys.unique.0.is_empty() {
        out.insert("unique".into(), keys.unique.0.iter().map(|name| name.value.as_str()).collect());
    }
    set(&mut out, "min_rows", keys.min_rows.map(Value::from));
    set(&mut out, "max_rows", keys.max_rows.map(Value::from));
    Value::Object(out)
}

fn column_json(column: &Column) -> Value {
    let literal = |literal: &Option<Literal>| literal.as_ref().map(|literal| literal.0.clone());
    let mut out = Map::new();
    out.insert("name".into(), column.name.value.as_str().into());
    out.insert("type".into(), column.r#type.0.into());
    set(&mut out, "description", column.description.as_ref().map(|text| text.0.as_str().into()));
    out.insert("required".into(), column.required.into());
    out.insert("nullable".into(), column.nullable.into());
    out.insert("unique".into(), column.unique.into());
    set(&mut out, "min", literal(&column.min));
    set(&mut out, "max", literal(&column.max));
    set(&mut out, "min_length", column.min_length.map(Value::from));
    set(&mut out, "max_length", column.max_length.map(Value::from));
    set(&mut out, "enum", column.r#enum.as_ref().map(|values| values.iter().map(|value| value.0.clone()).collect()));
    set(&mut out, "pattern", column.pattern.as_ref().map(|pattern| pattern.0.as_str().into()));
    set(&mut out, "format", column.format.as_deref().map(Value::from));
    Value::Object(out)
}

fn set(map: &mut Map<String, Value>, key: &str, value: Option<Value>) {
    if let Some(value) = value {
        map.insert(key.into(), value);
    }
}

const OUTPUTS: &[(&str, &str)] = &[
    ("path", "the file"),
    ("uri", "the same as a URI"),
    ("name", "its name"),
    ("rows", "how many rows it has"),
    ("bytes", "its size"),
    ("sha256", "the hash of its content"),
    ("valid", "whether it was accepted"),
    ("error_count", "how many errors it has"),
    ("errors", "the first of them"),
    ("summary", "the errors in one line, if there are any"),
];

impl Read for ValidateFile {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let keys = ValidateFileKeys::read(node, cx)?;
        if let Some(delimiter) =
            keys.delimiter.as_ref().filter(|delimiter| delimiter.value.len() != 1 || !delimiter.value.is_ascii())
        {
            cx.report(Code::WrongType, delimiter.span, "a delimiter is one ASCII character");
        }
        let path = one_path(&keys, cx.head(node), cx)?;
        Some(Self { path, keys })
    }

    fn shape(definitions: &mut Definitions) -> Shape {
        ValidateFileKeys::shape(definitions)
    }
}

fn one_path(keys: &ValidateFileKeys, span: Span, cx: &mut Cx<'_>) -> Option<Template> {
    match (&keys.path, &keys.uri) {
        (Some(path), None) | (None, Some(path)) => return Some(path.clone()),
        (Some(_), Some(_)) => cx.report(Code::KeyConflict, span, "`path` and `uri` are the same; write one of them"),
        (None, None) => cx.report(Code::MissingKey, span, "`validate_file` needs `path`"),
    };
    None
}

impl OperatorSpec for ValidateFile {
    fn summary() -> &'static str {
        "Checks a file of rows (CSV or JSON lines) against a schema and a checksum."
    }

    fn kind(&self) -> TaskKind {
        LOCAL
    }

    fn outputs() -> Outputs {
        Outputs::Declared(OUTPUTS)
    }

    fn render(&self, launch: &Launch<'_>) -> Result<Rendered, RenderError> {
        let keys = &self.keys;
        let text =
            |template: &Option<Template>| template.as_ref().map(|template| launch.renderer.text(template)).transpose();
        let mut spec = Map::new();
        spec.insert("path".into(), launch.renderer.text(&self.path)?.into());
        set(&mut spec, "schema", keys.schema.as_ref().map(|schema| schema.0.clone()));
        set(&mut spec, "format", keys.format.map(|format| format.0.into()));
        set(&mut spec, "delimiter", keys.delimiter.as_ref().map(|delimiter| delimiter.value.as_str().into()));
        spec.insert("header".into(), keys.header.into());
        let checksum = match &keys.checksum {
            None => None,
            Some(Checksum::Short(algorithm)) => Some(algorithm.0.into()),
            Some(Checksum::Long(long)) => {
                let mut checksum = Map::new();
                checksum.insert("algorithm".into(), long.algorithm.0.into());
                set(&mut checksum, "expected", text(&long.expected)?.map(Value::from));
                set(&mut checksum, "sidecar", text(&long.sidecar)?.map(Value::from));
                Some(Value::Object(checksum))
            }
        };
        set(&mut spec, "checksum", checksum);
        spec.insert("max_errors".into(), keys.max_errors.into());
        set(&mut spec, "reason_file", text(&keys.reason_file)?.map(Value::from));
        Ok(Rendered::Operator { name: "validate_file", spec: Value::Object(spec), env: launch.env.clone() })
    }
}
