//! What an event says of its file, and what makes two sightings one event.

use std::{
    fmt::Write,
    path::{Path, PathBuf},
};

use chrono::{DateTime, SecondsFormat};
use serde_json::{Value, json};

use crate::folder::Stamp;

/// `{{ trigger }}` of a run that a file started. None for a path that is no text.
pub(crate) fn payload(folder: &Path, path: &Path, stamp: Stamp, sha256: Option<&str>) -> Option<Value> {
    let text = path.to_str()?;
    let part = |part: Option<&std::ffi::OsStr>| part.and_then(|part| part.to_str()).unwrap_or_default().to_owned();
    let suffix = path.extension().and_then(|extension| extension.to_str()).map(|extension| format!(".{extension}"));
    let mut payload = json!({
        "kind": "file",
        "path": text,
        "uri": uri(text),
        "name": part(path.file_name()),
        "stem": part(path.file_stem()),
        "suffix": suffix.unwrap_or_default(),
        "folder": path.parent().unwrap_or(folder).to_str(),
        "relative": path.strip_prefix(folder).unwrap_or(path).to_str(),
        "size": stamp.size,
        "mtime": modified(stamp),
    });
    if let Some(sha256) = sha256 {
        payload["sha256"] = sha256.into();
    }
    Some(payload)
}

fn modified(stamp: Stamp) -> Option<String> {
    let ns = i64::try_from(stamp.modified_ns).ok()?;
    Some(DateTime::from_timestamp_nanos(ns).to_rfc3339_opts(SecondsFormat::AutoSi, false))
}

/// The path as `file://…`: everything but letters, digits and `-._~/` is escaped.
fn uri(path: &str) -> String {
    let mut uri = "file://".to_owned();
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            uri.push(byte.into());
        } else {
            write!(uri, "%{byte:02X}").expect("a String takes everything");
        }
    }
    uri
}

/// The key of a sighting: same path, size, modification time and inode.
pub(crate) fn stamp_key(path: &Path, stamp: Stamp) -> String {
    format!("stamp:{}", blake3::Hash::from(sighting(path, stamp)).to_hex())
}

pub(crate) fn content_key(sha256: &str) -> String {
    format!("sha256:{sha256}")
}

/// 32 bytes that stand for a path and what the file system says of the file's content.
pub(crate) fn sighting(path: &Path, stamp: Stamp) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for number in [stamp.size.into(), stamp.inode.into(), stamp.modified_ns] {
        hasher.update(&i128::to_le_bytes(number));
    }
    hasher.update(path.as_os_str().as_encoded_bytes());
    hasher.finalize().into()
}

/// The name of the file that says that another one is complete.
pub(crate) fn marker_of(path: &Path, marker: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(marker);
    name.into()
}

/// The file that a marker speaks of.
pub(crate) fn marked_by(path: &Path, marker: &str) -> Option<PathBuf> {
    Some(path.to_str()?.strip_suffix(marker)?.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_says_everything_about_the_file() {
        let payload = payload(Path::new("/in"), Path::new("/in/t 1/ä.csv.gz"), Stamp::fake(7), Some("ab")).unwrap();
        insta::assert_snapshot!(serde_json::to_string_pretty(&payload).unwrap(), @r#"
        {
          "kind": "file",
          "path": "/in/t 1/ä.csv.gz",
          "uri": "file:///in/t%201/%C3%A4.csv.gz",
          "name": "ä.csv.gz",
          "stem": "ä.csv",
          "suffix": ".gz",
          "folder": "/in/t 1",
          "relative": "t 1/ä.csv.gz",
          "size": 7,
          "mtime": "1970-01-01T00:00:00+00:00",
          "sha256": "ab"
        }
        "#);
    }

    #[test]
    fn a_key_changes_with_path_and_content() {
        let key = |path: &str, size| stamp_key(Path::new(path), Stamp::fake(size));
        assert_eq!(key("/a", 1), key("/a", 1));
        assert_ne!(key("/a", 1), key("/b", 1));
        assert_ne!(key("/a", 1), key("/a", 2));
    }
}
