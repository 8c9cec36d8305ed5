//! SHA-256 of what is read and written.

use std::{
    fs::{File, Metadata},
    io::{self, Read, Write},
    os::unix::fs::MetadataExt,
    path::Path,
};

use sha2::{Digest, Sha256};

use super::error::Error;

/// Big enough that system calls cost nothing beside hashing.
const BUFFER_BYTES: usize = 1 << 20;

/// The identity of a file's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Content {
    pub bytes: u64,
    /// Lower-case hex.
    pub sha256: String,
}

impl Content {
    /// Refuses a content that is not the one a spec names.
    pub fn expect(&self, path: &Path, expected: Option<&str>) -> Result<(), Error> {
        match expected {
            Some(expected) if !self.sha256.eq_ignore_ascii_case(expected) => Err(Error::ContentDiffers {
                path: path.to_owned(),
                expected: expected.to_owned(),
                found: self.sha256.clone(),
            }),
            Some(_) | None => Ok(()),
        }
    }
}

/// Parses a checksum in hex.
pub(super) fn parse_sha256(field: &'static str, text: &str) -> Result<String, Error> {
    if is_sha256(text) {
        return Ok(text.to_ascii_lowercase());
    }
    Err(Error::Field { field, message: format!("`{text}` is no sha256: 64 hexadecimal digits") })
}

pub(super) fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A running digest.
#[derive(Default)]
pub(super) struct Hasher {
    state: Sha256,
    bytes: u64,
}

impl Hasher {
    pub fn update(&mut self, bytes: &[u8]) {
        self.state.update(bytes);
        self.bytes += bytes.len() as u64;
    }

    pub fn finish(self) -> Content {
        let sha256 = self.state.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Content { bytes: self.bytes, sha256 }
    }
}

/// The content of an open file, from where it stands to its end.
pub(super) fn content(file: &mut File) -> io::Result<Content> {
    copy_content(file, &mut io::sink())
}

/// Copies what is left of `from` into `to`.
pub(super) fn copy_content(from: &mut File, to: &mut impl Write) -> io::Result<Content> {
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let length = match from.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hasher.update(&buffer[..length]);
        to.write_all(&buffer[..length])?;
    }
}

/// Opens a file and reads its content; refuses one that changes meanwhile.
pub(super) fn content_of(path: &Path) -> Result<Content, Error> {
    let mut file = File::open(path).map_err(Error::io("open", path))?;
    let before = file.metadata().map_err(Error::io("look at", path))?;
    let content = content(&mut file).map_err(Error::io("read", path))?;
    unchanged(path, &file, &before)?;
    Ok(content)
}

/// Refuses a file that is not as it was `before`: what was read of it may be half old, half new.
pub(super) fn unchanged(path: &Path, file: &File, before: &Metadata) -> Result<(), Error> {
    let stamp = |metadata: &Metadata| (metadata.len(), metadata.mtime(), metadata.mtime_nsec());
    let after = file.metadata().map_err(Error::io("look at", path))?;
    if stamp(before) == stamp(&after) { Ok(()) } else { Err(Error::Changed { path: path.to_owned() }) }
}
