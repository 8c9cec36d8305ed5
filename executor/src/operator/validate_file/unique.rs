//! Values that no two rows may share, in memory that does not grow with the file.
//!
//! Each row's key becomes 16 bytes of hash. They are collected, and when there are many, sorted and
//! written to a file that has no name; at the end all runs are merged, and equal neighbours are rows
//! with equal keys.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    fs::File,
    io::{self, BufReader, BufWriter, Read, Seek, Write},
};

/// Entries held before they go to disk: 32 bytes each, so 32 MiB.
const ENTRIES_IN_MEMORY: usize = 1 << 20;

/// A key's hash and where its row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    hash: u128,
    row: u64,
    line: u64,
}

const ENTRY_BYTES: usize = 32;

/// The keys of one set of columns.
pub(super) struct Keys {
    entries: Vec<Entry>,
    runs: Vec<File>,
    in_memory_max: usize,
}

/// Two rows with one key: the later one, and the first one that had it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Repeat {
    pub row: u64,
    pub line: u64,
    pub first_row: u64,
}

impl Default for Keys {
    fn default() -> Self {
        Self::with_limit(ENTRIES_IN_MEMORY)
    }
}

impl Keys {
    fn with_limit(in_memory_max: usize) -> Self {
        Self { entries: Vec::new(), runs: Vec::new(), in_memory_max }
    }

    /// Takes the key of a row: the hash of its values.
    pub fn add(&mut self, key: &blake3::Hash, row: u64, line: u64) -> io::Result<()> {
        let hash = u128::from_le_bytes(key.as_bytes()[..16].try_into().expect("a hash has 32 bytes"));
        self.entries.push(Entry { hash, row, line });
        if self.entries.len() < self.in_memory_max { Ok(()) } else { self.spill() }
    }

    /// Calls `found` for every row whose key an earlier row has.
    pub fn repeats(mut self, mut found: impl FnMut(Repeat)) -> io::Result<()> {
        let mut first: Option<Entry> = None;
        let mut see = |entry: Entry| match first {
            Some(first) if first.hash == entry.hash => {
                found(Repeat { row: entry.row, line: entry.line, first_row: first.row });
            }
            Some(_) | None => first = Some(entry),
        };
        if self.runs.is_empty() {
            self.entries.sort_unstable();
            self.entries.into_iter().for_each(see);
            return Ok(());
        }
        self.spill()?;
        let mut runs: Vec<_> = self.runs.into_iter().map(BufReader::new).collect();
        let mut heads = BinaryHeap::with_capacity(runs.len());
        for (index, run) in runs.iter_mut().enumerate() {
            heads.extend(next_of(run)?.map(|entry| Reverse((entry, index))));
        }
        while let Some(Reverse((entry, index))) = heads.pop() {
            see(entry);
            heads.extend(next_of(&mut runs[index])?.map(|entry| Reverse((entry, index))));
        }
        Ok(())
    }

    fn spill(&mut self) -> io::Result<()> {
        self.entries.sort_unstable();
        let mut run = BufWriter::new(tempfile::tempfile()?);
        for entry in self.entries.drain(..) {
            run.write_all(&entry.hash.to_le_bytes())?;
            run.write_all(&entry.row.to_le_bytes())?;
            run.write_all(&entry.line.to_le_bytes())?;
        }
        let mut file = run.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        self.runs.push(file);
        Ok(())
    }
}

fn next_of(run: &mut impl Read) -> io::Result<Option<Entry>> {
    let mut bytes = [0; ENTRY_BYTES];
    match run.read_exact(&mut bytes) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let part = |range: std::ops::Range<usize>| u64::from_le_bytes(bytes[range].try_into().expect("eight bytes"));
    let hash = u128::from_le_bytes(bytes[..16].try_into().expect("sixteen bytes"));
    Ok(Some(Entry { hash, row: part(16..24), line: part(24..32) }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn repeats_of(values: &[u8], in_memory_max: usize) -> Vec<(u64, u64)> {
        let mut keys = Keys::with_limit(in_memory_max);
        for (row, value) in (1..).zip(values) {
            keys.add(&blake3::hash(&[*value]), row, row + 1).expect("a temporary file");
        }
        let mut rows = Vec::new();
        keys.repeats(|repeat| rows.push((repeat.row, repeat.first_row))).expect("a temporary file");
        rows.sort_unstable();
        rows
    }

    proptest! {
        #[test]
        fn every_repeat_is_found_whatever_part_of_it_is_on_disk(
            values in proptest::collection::vec(0u8..20, 0..60), in_memory_max in 1usize..70,
        ) {
            let expected: Vec<_> = (1u64..).zip(&values).filter_map(|(row, value)| {
                let first = values.iter().position(|it| it == value).expect("it is there itself") as u64 + 1;
                (first < row).then_some((row, first))
            }).collect();
            prop_assert_eq!(repeats_of(&values, in_memory_max), expected);
        }
    }
}
