//! What `copy_file` and `move_file` share.

use serde_json::{Map, Value};

use super::Launch;
use crate::template::{RenderError, Template, Tree};

pub const OUTPUTS: &[(&str, &str)] = &[
    ("path", "where the file is now"),
    ("uri", "the same as a URI"),
    ("name", "its name"),
    ("bytes", "its size"),
    ("sha256", "the hash of its content"),
    ("reason_file", "where the reason is, if one was given"),
];

/// What both are told.
pub struct Transfer<'a> {
    pub from: &'a Template,
    pub to: &'a Template,
    pub overwrite: bool,
    pub sha256: &'a Option<Template>,
    pub reason: &'a Option<Tree>,
    pub reason_file: &'a Option<Template>,
}

/// The spec that the operator's process reads.
pub fn spec(parts: &Transfer<'_>, launch: &Launch<'_>) -> Result<Value, RenderError> {
    let text = |template: &Template| launch.renderer.text(template).map(Value::from);
    let mut spec = Map::new();
    spec.insert("from".into(), text(parts.from)?);
    spec.insert("to".into(), text(parts.to)?);
    spec.insert("overwrite".into(), parts.overwrite.into());
    if let Some(sha256) = parts.sha256 {
        spec.insert("sha256".into(), text(sha256)?);
    }
    if let Some(reason) = parts.reason {
        spec.insert("reason".into(), reason.render(launch.renderer)?);
    }
    if let Some(place) = parts.reason_file {
        spec.insert("reason_file".into(), text(place)?);
    }
    Ok(Value::Object(spec))
}
