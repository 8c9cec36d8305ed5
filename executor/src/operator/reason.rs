//! Reason files: why a file was refused, as JSON that people and programs read.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::{
    error::Error,
    location,
    publish::{self, Existing},
};

/// Where the reason of a file goes unless the spec says otherwise.
pub(super) fn beside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".reason.json");
    PathBuf::from(name)
}

/// Writes a reason, in place of an older one. The same reason always makes the same bytes.
pub(super) fn write(path: &Path, reason: &Value) -> Result<(), Error> {
    let mut part = publish::stage(path, "reason")?;
    let text = format!("{reason:#}\n");
    if let Err(error) = part.file().write_all(text.as_bytes()) {
        let error = Error::io("write", part.path())(error);
        part.discard();
        return Err(error);
    }
    part.publish(Existing::Replace).map(drop)
}

/// Parses the place of a reason file.
pub(super) fn parse_place(text: &str, file: &Path) -> Result<PathBuf, Error> {
    location::parse_target("reason_file", text, &beside(file))
}
