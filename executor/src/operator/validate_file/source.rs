//! Reading a file row by row while its checksum runs along, with a bound on the length of a row.

use std::{
    cell::Cell,
    fs::{File, Metadata},
    io::{self, Read},
    path::{Path, PathBuf},
    rc::Rc,
};

use crate::operator::{
    digest::{self, Content, Hasher},
    error::Error,
};

/// A row beyond this is no row but a quote that was never closed, or a file that is something else.
pub(super) const ROW_BYTES_MAX: u64 = 16 << 20;

/// A file that hashes what it hands out.
pub(super) struct Source {
    file: File,
    path: PathBuf,
    before: Metadata,
    hasher: Hasher,
    row: RowBudget,
    /// What was read ahead to know the encoding.
    head: Vec<u8>,
}

/// How much a reader took since the last row began; shared with whoever knows where rows begin.
#[derive(Clone, Default)]
pub(super) struct RowBudget(Rc<Cell<u64>>);

impl RowBudget {
    pub fn begin_row(&self) {
        self.0.set(0);
    }
}

/// What the first bytes say about a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Head {
    /// UTF-8 as far as can be seen; so many bytes of byte order mark are skipped.
    Text { mark_bytes: u64 },
    /// Something else, and what.
    Other(&'static str),
}

impl Source {
    pub fn open(path: &Path) -> Result<(Self, Head), Error> {
        let mut file = File::open(path).map_err(Error::io("open", path))?;
        let before = file.metadata().map_err(Error::io("look at", path))?;
        let mut head = Vec::new();
        (&mut file).take(4).read_to_end(&mut head).map_err(Error::io("read", path))?;
        let mut source = Self {
            file,
            path: path.to_owned(),
            before,
            hasher: Hasher::default(),
            row: RowBudget::default(),
            head: Vec::new(),
        };
        source.hasher.update(&head);
        let kind = kind_of(&head);
        if let Head::Text { mark_bytes } = kind {
            source.head = head.split_off(usize::try_from(mark_bytes).expect("at most three bytes"));
        }
        Ok((source, kind))
    }

    pub fn row_budget(&self) -> RowBudget {
        self.row.clone()
    }

    /// Reads what is left and tells the content of the whole file.
    pub fn finish(mut self) -> Result<Content, Error> {
        let mut buffer = vec![0; 1 << 20];
        loop {
            let length = self.file.read(&mut buffer).map_err(Error::io("read", &self.path))?;
            if length == 0 {
                break;
            }
            self.hasher.update(&buffer[..length]);
        }
        digest::unchanged(&self.path, &self.file, &self.before)?;
        Ok(self.hasher.finish())
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.head.is_empty() {
            let length = self.head.len().min(buffer.len());
            buffer[..length].copy_from_slice(&self.head[..length]);
            self.head.drain(..length);
            return Ok(length);
        }
        if ROW_BYTES_MAX < self.row.0.get() {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "the row is too long"));
        }
        let length = self.file.read(buffer)?;
        self.hasher.update(&buffer[..length]);
        self.row.0.set(self.row.0.get() + length as u64);
        Ok(length)
    }
}

/// Whether an error is the one of a row that is too long.
pub(super) fn is_row_too_long(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::FileTooLarge
}

fn kind_of(head: &[u8]) -> Head {
    match head {
        [0xEF, 0xBB, 0xBF, ..] => Head::Text { mark_bytes: 3 },
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => Head::Other("UTF-16; convert it to UTF-8 first"),
        [0x1F, 0x8B, ..] => Head::Other("compressed with gzip; decompress it first"),
        [0x28, 0xB5, 0x2F, 0xFD] => Head::Other("compressed with zstd; decompress it first"),
        [b'P', b'K', 3, 4] => Head::Other("a ZIP archive or an office document; export it as text first"),
        [b'P', b'A', b'R', b'1'] => Head::Other("a Parquet file"),
        _ => Head::Text { mark_bytes: 0 },
    }
}
