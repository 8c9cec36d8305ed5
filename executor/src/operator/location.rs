//! Where a file is: a path or a `file://` URI.

use std::{
    fs::{self, Metadata},
    io,
    path::{Component, Path, PathBuf},
};

use super::error::Error;

/// Parses a path or a `file://` URI. Relative paths are relative to the task's scratch folder.
pub(super) fn parse(field: &'static str, text: &str) -> Result<PathBuf, Error> {
    let wrong = |message: String| Error::Field { field, message };
    if text.is_empty() {
        return Err(wrong("is empty".to_owned()));
    }
    let Some((scheme, rest)) = text.split_once("://") else { return Ok(without_parents(Path::new(text))) };
    if scheme != "file" {
        return Err(wrong(format!("`{scheme}://` is not a place this operator reaches; give a path or `file://`")));
    }
    let path = rest.strip_prefix("localhost").unwrap_or(rest);
    if !path.starts_with('/') {
        return Err(wrong(format!("`{text}` names another host; a local file is `file:///…`")));
    }
    decode(path)
        .map(|path| without_parents(Path::new(&path)))
        .ok_or_else(|| wrong(format!("`{text}` has a broken `%` escape")))
}

/// Takes `..` out of a path, as the system would: a folder that is a symbolic link is left by its target.
/// Folders that do not exist yet are taken as written.
fn without_parents(path: &Path) -> PathBuf {
    if !path.components().any(|part| part == Component::ParentDir) {
        return path.to_owned();
    }
    let mut clean = PathBuf::new();
    for part in path.components() {
        if part == Component::ParentDir && clean.file_name().is_some() {
            clean = fs::canonicalize(&clean).unwrap_or(clean);
            clean.pop();
        } else {
            clean.push(part);
        }
    }
    clean
}

/// Parses a place to write to. It must be absolute: a task's folder is gone when its attempt is over,
/// and what was "published" there with it.
pub(super) fn parse_target(field: &'static str, text: &str, name_of: &Path) -> Result<PathBuf, Error> {
    let path = parse(field, text)?;
    if path.is_relative() {
        let message = format!("`{text}` is relative, and a task's folder is gone after it; give an absolute path");
        return Err(Error::Field { field, message });
    }
    if text.ends_with('/') {
        let name = name_of.file_name().ok_or_else(|| Error::Missing { path: name_of.to_owned() })?;
        return Ok(path.join(name));
    }
    Ok(path)
}

/// The `file://` URI of a path.
pub(super) fn uri(path: &Path) -> String {
    let mut uri = String::from("file://");
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' => uri.push(char::from(*byte)),
            other => uri.push_str(&format!("%{other:02X}")),
        }
    }
    uri
}

/// The last part of a path, as text.
pub(super) fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The metadata of a regular file, or `None` if there is nothing. Symbolic links are followed.
pub(super) fn regular_file(path: &Path) -> Result<Option<Metadata>, Error> {
    check_regular(path, fs::metadata(path))
}

/// The same without following a symbolic link: what a move or a replacement would take away.
pub(super) fn regular_file_itself(path: &Path) -> Result<Option<Metadata>, Error> {
    check_regular(path, fs::symlink_metadata(path))
}

fn check_regular(path: &Path, found: io::Result<Metadata>) -> Result<Option<Metadata>, Error> {
    let metadata = match found {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("look at", path)(error)),
    };
    let kind = metadata.file_type();
    let kind = if kind.is_file() {
        return Ok(Some(metadata));
    } else if kind.is_dir() {
        "a folder"
    } else if kind.is_symlink() {
        "a symbolic link"
    } else {
        "a pipe, socket or device"
    };
    Err(Error::NotAFile { path: path.to_owned(), kind })
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let value = digit(rest.next())? * 16 + digit(rest.next())?;
        bytes.push(u8::try_from(value).ok()?);
    }
    String::from_utf8(bytes).ok()
}
