//! The file that a log goes into.
//!
//! An earlier term of leadership may have written it already, with the beginning of a log that its node has thrown
//! away since (kubelets keep the last 10 MiB or so). It is written anew if the pod's log still begins in the same way,
//! and is continued otherwise.

use std::{io, path::PathBuf};

use tokio::{
    fs::{self, File, OpenOptions},
    io::{AsyncReadExt, AsyncWriteExt},
};

/// How much of two logs has to be the same.
const HEAD_BYTES_MAX: u64 = 4096;

const SEAM: &[u8] =
    b"gridflow: the log goes on here as its node still has it; lines may be missing before this or be there twice\n";

pub(super) struct LogFile {
    path: PathBuf,
    state: State,
    /// Taken and not written yet. Kept here and not in a future that may be dropped.
    pending: Vec<u8>,
}

enum State {
    Closed,
    /// What the file began with, as far as the new log has to match it.
    Undecided(Vec<u8>),
    Open(File),
}

impl LogFile {
    pub fn new(path: PathBuf) -> Self {
        Self { path, state: State::Closed, pending: Vec::new() }
    }

    /// There is a log to be read. Until then a file that is there is left alone.
    pub async fn begin(&mut self) -> io::Result<()> {
        if let State::Closed = self.state {
            let head = self.head().await?;
            self.state =
                if head.is_empty() { State::Open(self.open(Begin::Anew).await?) } else { State::Undecided(head) };
        }
        self.flush().await
    }

    pub fn push(&mut self, text: &[u8]) {
        self.pending.extend_from_slice(text);
    }

    /// Writes what was taken. Dropped in between, it goes on where it was.
    pub async fn flush(&mut self) -> io::Result<()> {
        if let State::Undecided(head) = &self.state
            && head.len() <= self.pending.len()
        {
            self.decide().await?;
        }
        let State::Open(file) = &mut self.state else { return Ok(()) };
        while !self.pending.is_empty() {
            let count = file.write(&self.pending).await?;
            self.pending.drain(..count);
        }
        file.flush().await
    }

    /// Everything was taken; the notes stand at the end.
    pub async fn finish(&mut self, notes: &[String]) -> io::Result<()> {
        match &self.state {
            State::Closed => self.state = State::Open(self.open(Begin::AtEnd).await?),
            State::Undecided(_) => self.decide().await?,
            State::Open(_) => {}
        }
        for line in notes.iter().flat_map(|note| note.lines()) {
            self.pending.extend_from_slice(format!("gridflow: {line}\n").as_bytes());
        }
        self.flush().await
    }

    async fn decide(&mut self) -> io::Result<()> {
        let State::Undecided(head) = &self.state else { return Ok(()) };
        if self.pending.starts_with(head) {
            self.state = State::Open(self.open(Begin::Anew).await?);
        } else {
            self.state = State::Open(self.open(Begin::AtEnd).await?);
            if !self.pending.is_empty() {
                self.pending.splice(0..0, SEAM.iter().copied());
            }
        }
        Ok(())
    }

    async fn head(&self) -> io::Result<Vec<u8>> {
        let mut head = Vec::new();
        match File::open(&self.path).await {
            Ok(file) => file.take(HEAD_BYTES_MAX).read_to_end(&mut head).await?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        Ok(head)
    }

    async fn open(&self, begin: Begin) -> io::Result<File> {
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder).await?;
        }
        let mut options = OpenOptions::new();
        match begin {
            Begin::Anew => options.write(true).truncate(true),
            Begin::AtEnd => options.append(true),
        };
        options.create(true).open(&self.path).await
    }
}

#[derive(Clone, Copy)]
enum Begin {
    Anew,
    AtEnd,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the file holds after a log was read into it that held `old` before.
    async fn after(old: Option<&str>, pieces: &[&str], notes: &[String]) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("2026/a.log");
        if let Some(old) = old {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, old).unwrap();
        }
        let mut file = LogFile::new(path.clone());
        if !pieces.is_empty() {
            file.begin().await.unwrap();
        }
        for piece in pieces {
            file.push(piece.as_bytes());
            file.flush().await.unwrap();
        }
        file.finish(notes).await.unwrap();
        std::fs::read_to_string(path).unwrap()
    }

    #[tokio::test]
    async fn a_log_that_still_begins_in_the_same_way_is_written_anew() {
        assert_eq!(after(Some("one\n"), &["o", "ne\ntwo\n"], &[]).await, "one\ntwo\n");
        assert_eq!(after(None, &["one\n"], &["why".into()]).await, "one\ngridflow: why\n");
    }

    #[tokio::test]
    async fn what_the_node_has_thrown_away_is_kept() {
        let log = after(Some("one\ntwo\n"), &["two\nthree\n"], &[]).await;
        assert_eq!(log, format!("one\ntwo\n{}two\nthree\n", String::from_utf8_lossy(SEAM)));
        assert_eq!(after(Some("one\n"), &[""], &[]).await, "one\n");
    }

    #[tokio::test]
    async fn notes_alone_are_added_to_what_is_there() {
        assert_eq!(after(Some("one\n"), &[], &["gone".into()]).await, "one\ngridflow: gone\n");
    }
}
