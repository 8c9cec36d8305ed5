//! The file that a log goes into.
//!
//! An earlier term of leadership may have written it already, with the beginning of a log that its node has thrown
//! away since (kubelets keep the last 10 MiB or so). It is written anew if the pod's log still begins in the same way,
//! and is continued otherwise.

use std::{borrow::Cow, io, mem, path::PathBuf};

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
    /// Lines for people that wait until a line of the log has ended.
    notes: Vec<String>,
    is_line_start: bool,
}

/// What lines for people begin with.
const NOTE: &str = "gridflow: ";

enum State {
    Closed,
    /// What the file began with, as far as the new log has to match it.
    Undecided(Vec<u8>),
    Open(File),
}

impl LogFile {
    pub fn new(path: PathBuf) -> Self {
        Self { path, state: State::Closed, pending: Vec::new(), notes: Vec::new(), is_line_start: true }
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
        if let Some(last) = text.last() {
            self.is_line_start = *last == b'\n';
            self.pending.extend_from_slice(text);
        }
    }

    /// A line for people, as soon as it can stand for itself.
    pub fn note(&mut self, line: String) {
        self.notes.push(line);
    }

    /// Writes what was taken. Dropped in between, it goes on where it was.
    pub async fn flush(&mut self) -> io::Result<()> {
        if let State::Undecided(head) = &self.state
            && head.len() <= without_notes(&self.pending).len()
        {
            self.decide().await?;
        }
        if let State::Open(_) = self.state
            && self.is_line_start
        {
            let notes = mem::take(&mut self.notes);
            self.write_notes(&notes);
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
        self.notes.extend_from_slice(notes);
        if !self.is_line_start && !self.notes.is_empty() {
            self.push(b"\n");
        }
        self.flush().await
    }

    fn write_notes(&mut self, notes: &[String]) {
        for line in notes.iter().flat_map(|note| note.lines()) {
            self.pending.extend_from_slice(format!("{NOTE}{line}\n").as_bytes());
        }
    }

    async fn decide(&mut self) -> io::Result<()> {
        let State::Undecided(head) = &self.state else { return Ok(()) };
        if without_notes(&self.pending).starts_with(head) {
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
        Ok(without_notes(&head).into_owned())
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

/// What the container itself has written, as far as that can be told: the log that is read anew has the lines for
/// people elsewhere, or not yet.
fn without_notes(text: &[u8]) -> Cow<'_, [u8]> {
    let is_note =
        |line: &[u8]| line.starts_with(NOTE.as_bytes()) || (!line.is_empty() && NOTE.as_bytes().starts_with(line));
    if !text.split(|byte| *byte == b'\n').any(is_note) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.split_inclusive(|byte| *byte == b'\n').filter(|line| !is_note(line)).flatten().copied().collect())
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
    async fn a_line_for_people_waits_for_the_end_of_a_line_and_makes_no_other_log_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        let mut file = LogFile::new(path.clone());
        file.begin().await.unwrap();
        file.push(b"one\ntw");
        file.note("half".into());
        file.flush().await.unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntw");
        file.push(b"o\n");
        file.flush().await.unwrap();
        file.push(b"three");
        file.finish(&["over".into()]).await.unwrap();
        let log = std::fs::read_to_string(&path).unwrap();
        assert_eq!(log, "one\ntwo\ngridflow: half\nthree\ngridflow: over\n");
        assert_eq!(after(Some(&log), &["one\n", "two\nthree\nfour\n"], &[]).await, "one\ntwo\nthree\nfour\n");
    }

    #[tokio::test]
    async fn notes_alone_are_added_to_what_is_there() {
        assert_eq!(after(Some("one\n"), &[], &["gone".into()]).await, "one\ngridflow: gone\n");
    }
}
