//! The files that a DAG refers to: asked of the shell, which knows where they are.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    code::Code,
    limit::{FILE_BYTES_MAX, FILES_BYTES_MAX},
};

/// Where the files beside a DAG file come from: its folder, a stored version, a map in a test.
///
/// Paths are relative to the DAG file and already normal: no `.`, no empty part, `..` only at the
/// start. What they point at through links is the implementation's to judge. A path that begins with
/// `/` is one from the root of the bundle, and [`crate::SERVER_FILE`] is what the server says.
pub trait Files {
    /// The bytes of a file.
    fn read(&self, relative: &str) -> Result<Arc<[u8]>, FileError>;

    /// The files that a pattern (`*`, `?`, `[…]`, `**`) names, sorted.
    fn matching(&self, pattern: &str) -> Result<Vec<String>, FileError> {
        Err(FileError::Unreadable(format!("`{pattern}` is a pattern, and there is no folder to look in")))
    }
}

/// Why a file was not given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    #[error("it does not exist")]
    NotFound,
    #[error("it lies outside the bundle")]
    Outside,
    #[error("it is too large")]
    TooLarge,
    #[error("{0}")]
    Unreadable(String),
}

/// A DAG file that stands alone.
pub struct NoFiles;

impl Files for NoFiles {
    fn read(&self, _: &str) -> Result<Arc<[u8]>, FileError> {
        Err(FileError::NotFound)
    }
}

/// Files in memory: a stored DAG version, or a test.
impl Files for BTreeMap<String, Arc<[u8]>> {
    fn read(&self, relative: &str) -> Result<Arc<[u8]>, FileError> {
        self.get(relative).cloned().ok_or(FileError::NotFound)
    }
}

type Problem = (Code, String, Option<String>);

pub fn read(access: &dyn Files, path: &str, so_far: &BTreeMap<String, Arc<[u8]>>) -> Result<Arc<[u8]>, Problem> {
    let path = normal(path)?;
    let bytes = access.read(&path).map_err(|error| match error {
        FileError::NotFound => (
            Code::MissingFile,
            format!("there is no file `{path}`"),
            Some("paths are relative to the DAG file".to_owned()),
        ),
        FileError::Outside => outside(&path),
        FileError::TooLarge => too_large(&path),
        FileError::Unreadable(reason) => (Code::FileUnreadable, format!("cannot read `{path}`: {reason}"), None),
    })?;
    if FILE_BYTES_MAX < bytes.len() {
        return Err(too_large(&path));
    }
    let total = so_far.values().map(|bytes| bytes.len()).sum::<usize>() + bytes.len();
    if FILES_BYTES_MAX < total {
        let message = format!("with `{path}` the files of this DAG have more than {} MiB", FILES_BYTES_MAX >> 20);
        return Err((
            Code::FileTooLarge,
            message,
            Some("large data belongs into object storage, not beside a DAG".into()),
        ));
    }
    Ok(bytes)
}

pub fn matching(access: &dyn Files, pattern: &str) -> Result<Vec<String>, Problem> {
    match access.matching(pattern) {
        Ok(paths) if paths.is_empty() => Err((Code::MissingFile, format!("no file matches `{pattern}`"), None)),
        Ok(paths) => Ok(paths),
        Err(FileError::Outside) => Err(outside(pattern)),
        Err(error @ (FileError::NotFound | FileError::TooLarge | FileError::Unreadable(_))) => {
            Err((Code::FileUnreadable, format!("cannot look for `{pattern}`: {error}"), None))
        }
    }
}

/// The path without `.` and inner `..`.
pub fn normal(path: &str) -> Result<String, Problem> {
    if path.starts_with(['/', '\\', '~']) || path.contains('\0') || path.get(1..3) == Some(":\\") {
        return Err(outside(path));
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    if parts.is_empty() {
        return Err((Code::MissingFile, "a path must not be empty".into(), None));
    }
    Ok(parts.join("/"))
}

fn outside(path: &str) -> Problem {
    let help = "move the file into the bundle and name it by a path relative to the DAG file";
    (Code::FileOutside, format!("`{path}` lies outside the bundle"), Some(help.into()))
}

fn too_large(path: &str) -> Problem {
    (
        Code::FileTooLarge,
        format!("`{path}` has more than {} MiB", FILE_BYTES_MAX >> 20),
        Some("large data belongs into object storage, not beside a DAG".into()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_made_normal_and_absolute_ones_refused() {
        assert_eq!(normal("./a//b/../c.py").unwrap(), "a/c.py");
        assert_eq!(normal("../shared/x.sql").unwrap(), "../shared/x.sql");
        assert_eq!(normal("/etc/passwd").unwrap_err().0, Code::FileOutside);
        assert_eq!(normal("~/x").unwrap_err().0, Code::FileOutside);
    }
}
