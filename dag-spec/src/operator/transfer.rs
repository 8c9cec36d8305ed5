//! What `copy_file` and `move_file` share.

use serde_json::{Map, Value};

use super::Launch;
use crate::template::{RenderError, Template};

pub const OUTPUTS: &[(&str, &str)] = &[
    ("path", "where the file is now"),
    ("uri", "the same as a URI"),
    ("name", "its name"),
    ("bytes", "its size"),
    ("sha256", "the hash of its content"),
    ("reason_file", "where the reason is, if one was given"),
];

/// The spec that the operator's process reads.
pub fn spec(
    from: &Template,
    to: &Template,
    overwrite: bool,
    sha256: Option<&Template>,
    launch: &Launch<'_>,
) -> Result<Map<String, Value>, RenderError> {
    let mut spec = Map::new();
    spec.insert("from".into(), launch.renderer.text(from)?.into());
    spec.insert("to".into(), launch.renderer.text(to)?.into());
    spec.insert("overwrite".into(), overwrite.into());
    if let Some(sha256) = sha256 {
        spec.insert("sha256".into(), launch.renderer.text(sha256)?.into());
    }
    Ok(spec)
}
