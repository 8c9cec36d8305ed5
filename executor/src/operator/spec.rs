//! The rendered specs, as they arrive in a process. `dag-spec` owns their YAML side.

use serde::Deserialize;

/// Checks one file against a schema and a checksum.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValidateFile {
    /// The file: an absolute path, a path in the task's folder, or a `file://` URI.
    #[serde(alias = "uri")]
    pub path: String,
    /// Without a schema only the form is checked: every row reads and has as many fields as the first.
    #[serde(default)]
    pub schema: Option<SchemaSource>,
    /// By default from the file's extension.
    #[serde(default)]
    pub format: Option<FileFormat>,
    /// One ASCII character between the fields of a CSV file. By default a comma, a tab for `.tsv`.
    #[serde(default)]
    pub delimiter: Option<String>,
    /// Whether the first row of a CSV file names its columns; else they are those of the schema, in order.
    #[serde(default = "yes")]
    pub header: bool,
    #[serde(default)]
    pub checksum: Option<Checksum>,
    /// How many errors are listed. All are counted.
    #[serde(default = "errors_listed")]
    pub max_errors: usize,
    /// Where to write the reason, as JSON, when the file is refused.
    #[serde(default)]
    pub reason_file: Option<String>,
}

/// Copies or moves one file: atomic, synced, the same after any number of tries.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transfer {
    /// An absolute path, a path in the task's folder, or a `file://` URI.
    pub from: String,
    /// An absolute path or a `file://` URI. One that ends with `/` is a folder: the file keeps its name.
    pub to: String,
    /// Whether a target with other content is replaced.
    #[serde(default)]
    pub overwrite: bool,
    /// What the content must be, in hex.
    #[serde(default)]
    pub sha256: Option<String>,
    /// Any value; written as JSON beside the file, before the file appears there.
    #[serde(default)]
    pub reason: Option<serde_json::Value>,
    /// Where the reason goes. By default the target's name with `.reason.json` behind it.
    #[serde(default)]
    pub reason_file: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileFormat {
    Csv,
    /// One JSON object a line.
    Jsonl,
}

/// A schema: in place, as `dag-spec` hands over what it read and checked, or a JSON file.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum SchemaSource {
    File(String),
    Inline(serde_json::Map<String, serde_json::Value>),
}

/// `sha256` alone compares with `FILE.sha256` where there is one; the long form insists.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Checksum {
    Short(ChecksumAlgorithm),
    Long {
        algorithm: ChecksumAlgorithm,
        /// The checksum, in hex.
        #[serde(default)]
        expected: Option<String>,
        /// A file in the form of `sha256sum`; it must exist.
        #[serde(default)]
        sidecar: Option<String>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChecksumAlgorithm {
    Sha256,
}

fn yes() -> bool {
    true
}

fn errors_listed() -> usize {
    20
}
