//! What the command left in `$GRIDFLOW_OUTPUT`.

use std::{
    fs::OpenOptions,
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use gridflow_pod::{layout::OUTPUT_BYTES_MAX, report::Output};
use nix::libc;
use serde::de::IgnoredAny;

/// The file belongs to the command: a link is not followed, and a pipe does not block.
pub fn read(path: &Path) -> Output {
    let opened = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path);
    let file = match opened {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Output::Nothing,
        Err(error) => return unreadable(&error),
        Ok(file) => file,
    };
    match file.metadata() {
        Err(error) => return unreadable(&error),
        Ok(meta) if !meta.is_file() => {
            return Output::Invalid("`$GRIDFLOW_OUTPUT` is no plain file; write the JSON into that path".into());
        }
        Ok(meta) if OUTPUT_BYTES_MAX < meta.len() => return too_large(meta.len()),
        Ok(_) => {}
    }
    let mut text = Vec::new();
    match file.take(OUTPUT_BYTES_MAX + 1).read_to_end(&mut text) {
        Err(error) => unreadable(&error),
        Ok(bytes) if OUTPUT_BYTES_MAX < bytes as u64 => too_large(bytes as u64),
        Ok(_) => parse(text),
    }
}

fn parse(text: Vec<u8>) -> Output {
    if text.trim_ascii().is_empty() {
        return Output::Nothing;
    }
    let problem = match String::from_utf8(text) {
        Ok(text) => match serde_json::from_str::<IgnoredAny>(&text) {
            Ok(_) => return Output::Text(text),
            Err(error) => error.to_string(),
        },
        Err(error) => error.to_string(),
    };
    Output::Invalid(format!(
        "the output in `$GRIDFLOW_OUTPUT` is not JSON: {problem}; write one JSON value, text in quotes"
    ))
}

fn too_large(bytes: u64) -> Output {
    Output::Invalid(format!(
        "the output in `$GRIDFLOW_OUTPUT` has {bytes} bytes, the limit is {OUTPUT_BYTES_MAX}; write large results to \
         storage and return where they are"
    ))
}

fn unreadable(error: &io::Error) -> Output {
    Output::Invalid(format!("cannot read the output in `$GRIDFLOW_OUTPUT`: {error}"))
}
