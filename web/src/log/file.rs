//! The file of a log, read in bounded parts.

use std::{
    io::{ErrorKind, SeekFrom},
    path::Path,
};

use nix::fcntl::OFlag;
use tokio::{
    fs::{File, OpenOptions},
    io::{AsyncReadExt, AsyncSeekExt},
};

use crate::error::{Error, Result};

/// How far back the end of the last whole line is looked for; a longer line is cut.
const LINE_BYTES_MAX: u64 = 256 << 10;

/// Bytes `[start, end)` of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub start: u64,
    pub end: u64,
}

#[derive(Debug)]
pub struct LogFile {
    file: File,
    len: u64,
}

impl LogFile {
    /// Opens a log; none where nothing was written yet.
    ///
    /// A task can write into the folder of logs: a link or a pipe in place of the file is not followed.
    pub async fn open(path: &Path) -> Result<Option<Self>> {
        let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
        let file = match OpenOptions::new().read(true).custom_flags(flags.bits()).open(path).await {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unreadable(&error)),
        };
        let metadata = file.metadata().await.map_err(|error| unreadable(&error))?;
        if !metadata.is_file() {
            return Err(Error::Internal("the log is no file".into()));
        }
        Ok(Some(Self { file, len: metadata.len() }))
    }

    /// How long it was when it was opened.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whole lines from a place on, at most so many bytes. The last line of a log that is still written may be half
    /// there: it waits for its end, unless it is too long to wait for.
    pub async fn lines_from(&self, start: u64, bytes_max: u64, is_complete: bool) -> Result<Span> {
        let end = start.saturating_add(bytes_max).min(self.len);
        if is_complete && end == self.len {
            return Ok(Span { start, end });
        }
        let looked_at = Span { start: end.saturating_sub(LINE_BYTES_MAX).max(start), end };
        let tail = self.reopened().await?.read(looked_at).await?;
        let end = match tail.iter().rposition(|byte| *byte == b'\n') {
            Some(place) => looked_at.start + place as u64 + 1,
            None if looked_at.start == start && end == self.len && end - start < LINE_BYTES_MAX => start,
            None => end - cut_character(&tail),
        };
        Ok(Span { start, end })
    }

    /// Reads a span, or what there is of it.
    pub async fn read(&mut self, span: Span) -> Result<Vec<u8>> {
        self.file.seek(SeekFrom::Start(span.start)).await.map_err(|error| unreadable(&error))?;
        let mut bytes = Vec::with_capacity(usize::try_from(span.end - span.start).unwrap_or(0));
        let mut reader = (&mut self.file).take(span.end - span.start);
        reader.read_to_end(&mut bytes).await.map_err(|error| unreadable(&error))?;
        Ok(bytes)
    }

    async fn reopened(&self) -> Result<Self> {
        let file = self.file.try_clone().await.map_err(|error| unreadable(&error))?;
        Ok(Self { file, len: self.len })
    }
}

/// How many bytes of an unfinished UTF-8 character stand at the end.
fn cut_character(bytes: &[u8]) -> u64 {
    match std::str::from_utf8(&bytes[bytes.len().saturating_sub(4)..]) {
        Err(error) if error.error_len().is_none() => (bytes.len().min(4) - error.valid_up_to()) as u64,
        Ok(_) | Err(_) => 0,
    }
}

fn unreadable(error: &std::io::Error) -> Error {
    Error::Internal(format!("can't read a log: {error}"))
}
