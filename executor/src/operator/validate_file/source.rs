//! Reading a file row by row while its checksum runs along, with a bound on the length of a row.

use std::{
    cell::{Cell, RefCell},
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
    feed: Rc<Feed>,
    /// What was read ahead to know the encoding.
    head: Vec<u8>,
}

/// What a reader was fed; shared with whoever knows where rows begin.
#[derive(Default)]
pub(super) struct Feed {
    /// Bytes since the last row began.
    row_bytes: Cell<u64>,
    /// What was handed out last, and where in the text it begins.
    chunk: RefCell<Vec<u8>>,
    chunk_begin: Cell<u64>,
}

impl Feed {
    pub fn begin_row(&self) {
        self.row_bytes.set(0);
    }

    /// The byte before a place in the text, if the place is in what was handed out last.
    pub fn byte_before(&self, place: u64) -> Option<u8> {
        let index = place.checked_sub(self.chunk_begin.get())?.checked_sub(1)?;
        self.chunk.borrow().get(usize::try_from(index).ok()?).copied()
    }

    fn hand_out(&self, bytes: &[u8]) {
        let mut chunk = self.chunk.borrow_mut();
        self.chunk_begin.set(self.chunk_begin.get() + chunk.len() as u64);
        chunk.clear();
        chunk.extend_from_slice(bytes);
        self.row_bytes.set(self.row_bytes.get() + bytes.len() as u64);
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
            feed: Rc::default(),
            head: Vec::new(),
        };
        source.hasher.update(&head);
        let kind = kind_of(&head);
        if let Head::Text { mark_bytes } = kind {
            source.head = head.split_off(usize::try_from(mark_bytes).expect("at most three bytes"));
        }
        Ok((source, kind))
    }

    pub fn feed(&self) -> Rc<Feed> {
        Rc::clone(&self.feed)
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
            self.feed.hand_out(&buffer[..length]);
            self.head.drain(..length);
            return Ok(length);
        }
        if ROW_BYTES_MAX < self.feed.row_bytes.get() {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "the row is too long"));
        }
        let length = self.file.read(buffer)?;
        self.hasher.update(&buffer[..length]);
        self.feed.hand_out(&buffer[..length]);
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
