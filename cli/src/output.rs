//! What a command answers: on stdout, as a table for people or as JSON or YAML for programs.

use std::io::{ErrorKind, Write};

use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;

use crate::{
    failure::{Failure, Result},
    yaml::to_yaml,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Table,
    Json,
    Yaml,
}

#[derive(Debug, Clone, Copy, clap::Args)]
pub struct OutputArgs {
    /// How the answer is written to stdout: `table` for people, the others for programs
    #[arg(short, long, value_enum, default_value_t = Format::Table, value_name = "FORMAT")]
    pub output: Format,
}

/// Writes `value` as `format` says; `table` is asked only when a person reads.
pub fn answer(format: Format, value: &Value, table: impl FnOnce() -> String) -> Result<()> {
    match format {
        Format::Table => print(&table()),
        Format::Json => print(&format!("{value:#}\n")),
        Format::Yaml => print(&to_yaml(value)),
    }
}

/// Writes to stdout, all of it.
pub fn print(text: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => Failure::no_reader(),
        _ => Failure::ours("cannot write to stdout").because(&error),
    })
}

/// A table with a header; ends with a line break.
pub fn table<const N: usize>(header: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header);
    // Only a terminal has a width to fit; a file or pipe gets every row on one line.
    if std::io::IsTerminal::is_terminal(&std::io::stdout()) {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    }
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines: Vec<_> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n") + "\n"
}

/// `key  value` lines; values of several lines are indented.
pub fn fields(pairs: &[(&str, String)]) -> String {
    let width = pairs.iter().map(|(key, _)| key.len()).max().unwrap_or_default();
    let line = |(key, value): &(&str, String)| {
        let value = value.replace('\n', &format!("\n{:width$}  ", ""));
        format!("{key:width$}  {value}").trim_end().to_owned() + "\n"
    };
    pairs.iter().map(line).collect()
}

/// A field of an API answer as a cell: text without quotes, nothing for null.
pub fn cell(value: &Value, field: &str) -> String {
    match &value[field] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
