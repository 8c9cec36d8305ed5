//! What an attempt wrote to `$GRIDFLOW_OUTPUT`.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::Arc,
};

use gridflow_core::Output;
use nix::libc;

#[derive(Debug)]
pub(super) enum Left {
    Nothing,
    Json(Output),
    Invalid(String),
}

/// `None` if the command wrote no output, which is the common case.
///
/// The file belongs to the command: a link is not followed, and a pipe does not block.
pub(super) fn open(path: &Path) -> io::Result<Option<File>> {
    match OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

pub(super) fn read(file: &File, bytes_max: u64) -> Left {
    match read_text(file, bytes_max) {
        Ok(text) if text.trim_ascii().is_empty() => Left::Nothing,
        Ok(text) => match serde_json::from_slice(&text) {
            Ok(value) => Left::Json(Output { value: Arc::new(value), bytes: text.len() as u64 }),
            Err(error) => Left::Invalid(format!(
                "the output in `$GRIDFLOW_OUTPUT` is not JSON: {error}; write one JSON value, text in quotes"
            )),
        },
        Err(message) => Left::Invalid(message),
    }
}

fn read_text(file: &File, bytes_max: u64) -> Result<Vec<u8>, String> {
    let unreadable = |error: io::Error| format!("cannot read the output in `$GRIDFLOW_OUTPUT`: {error}");
    let meta = file.metadata().map_err(unreadable)?;
    if !meta.is_file() {
        return Err("`$GRIDFLOW_OUTPUT` is no plain file; write the JSON into that path".into());
    }
    let mut text = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut text).map_err(unreadable)?;
    if bytes_max < text.len() as u64 {
        return Err(format!(
            "the output in `$GRIDFLOW_OUTPUT` has {} bytes, the limit is {bytes_max}; write large results to storage \
             and return where they are",
            meta.len()
        ));
    }
    Ok(text)
}
