//! The file of records: slots written in place, no file per attempt and no fsync.
//!
//! The page cache outlives the host, so a kill loses nothing; losing power ends the boot, and with it every process
//! the records speak of.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
};

use nix::fcntl::{FallocateFlags, fallocate};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::record::{self, BIRTH_AT, Record, SLOT_BYTES};

const MAGIC: &[u8; 8] = b"gfrec001";
/// 512 KiB: a full disk is noticed a thousand claims ahead.
const GROWTH_SLOTS: u32 = 1024;

/// Slot 0 is the file's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct Slot(pub u32);

impl Slot {
    fn offset(self) -> u64 {
        u64::from(self.0) * SLOT_BYTES as u64
    }

    /// Where the new process writes its birth.
    pub(super) fn birth_offset(self) -> u64 {
        self.offset() + BIRTH_AT as u64
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub installation: Uuid,
    pub node: Uuid,
    /// Claims of attempts made up to here (ms since 1970) may have been dropped: those never start again.
    pub horizon_ms: i64,
    /// The highest turn of any claim that was dropped.
    pub turn_max: i64,
}

pub(super) struct Records {
    file: File,
    header: Header,
    slots: u32,
    free: Vec<Slot>,
}

/// Opens or makes the file.
pub(super) fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

impl Records {
    /// Hands out what is on the file, wherever its position is.
    pub(super) fn read_all(file: File) -> io::Result<(Self, Vec<(Slot, Record)>)> {
        (&file).rewind()?;
        let mut bytes = Vec::new();
        (&file).read_to_end(&mut bytes)?;
        let empty = Header { installation: Uuid::nil(), node: Uuid::nil(), horizon_ms: 0, turn_max: 0 };
        let mut records = Self { file, header: empty, slots: 0, free: Vec::new() };
        if bytes.iter().take(SLOT_BYTES).all(|byte| *byte == 0) {
            records.write_header(empty)?;
        } else {
            records.header = decode_header(&bytes)?;
        }

        let mut found = Vec::new();
        for (number, slot) in (0..).zip(bytes.chunks_exact(SLOT_BYTES)).skip(1) {
            match record::decode(slot) {
                Some(record) => found.push((Slot(number), record)),
                None => records.free.push(Slot(number)),
            }
        }
        // Taken from the end, so the file is filled from its start.
        records.free.reverse();
        records.slots = (bytes.len() / SLOT_BYTES).max(1) as u32;
        Ok((records, found))
    }

    pub(super) fn header(&self) -> Header {
        self.header
    }

    pub(super) fn write_header(&mut self, header: Header) -> io::Result<()> {
        let mut slot = [0; SLOT_BYTES];
        slot[..8].copy_from_slice(MAGIC);
        slot[8..24].copy_from_slice(header.installation.as_bytes());
        slot[24..32].copy_from_slice(&header.horizon_ms.to_le_bytes());
        slot[32..40].copy_from_slice(&header.turn_max.to_le_bytes());
        slot[40..56].copy_from_slice(header.node.as_bytes());
        self.file.write_all_at(&slot, 0)?;
        self.header = header;
        Ok(())
    }

    /// On file when this returns.
    pub(super) fn insert(&mut self, record: &Record) -> io::Result<Slot> {
        if self.free.is_empty() {
            self.grow()?;
        }
        let slot = *self.free.last().expect("it has just grown");
        self.file.write_all_at(&record::encode(record), slot.offset())?;
        self.free.pop();
        Ok(slot)
    }

    /// Everything but the birth, which only the process itself writes.
    pub(super) fn update(&self, slot: Slot, record: &Record) -> io::Result<()> {
        self.file.write_all_at(&record::encode_host_part(record), slot.offset())
    }

    pub(super) fn read(&self, slot: Slot) -> io::Result<Option<Record>> {
        let mut bytes = [0; SLOT_BYTES];
        self.file.read_exact_at(&mut bytes, slot.offset())?;
        Ok(record::decode(&bytes))
    }

    pub(super) fn remove(&mut self, slot: Slot) -> io::Result<()> {
        self.file.write_all_at(&[0; SLOT_BYTES], slot.offset())?;
        self.free.push(slot);
        Ok(())
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    fn grow(&mut self) -> io::Result<()> {
        let first = self.slots;
        let offset = Slot(first).offset() as i64;
        let bytes = i64::from(GROWTH_SLOTS) * SLOT_BYTES as i64;
        match fallocate(&self.file, FallocateFlags::empty(), offset, bytes) {
            Ok(()) => {}
            // Some file systems cannot reserve; then a full disk shows itself at the claim, which is early enough.
            Err(nix::Error::EOPNOTSUPP) => self.file.set_len((offset + bytes) as u64)?,
            Err(error) => return Err(error.into()),
        }
        self.slots += GROWTH_SLOTS;
        self.free.extend((first..self.slots).rev().map(Slot));
        Ok(())
    }
}

fn decode_header(bytes: &[u8]) -> io::Result<Header> {
    let known = bytes.get(..SLOT_BYTES).filter(|slot| slot.starts_with(MAGIC));
    let Some(slot) = known else {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the records were written by another version"));
    };
    let number = |at: usize| i64::from_le_bytes(slot[at..at + 8].try_into().expect("eight bytes"));
    let id = |at: usize| Uuid::from_bytes(slot[at..at + 16].try_into().expect("sixteen bytes"));
    Ok(Header { installation: id(8), node: id(40), horizon_ms: number(24), turn_max: number(32) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::host::{clock::BootNs, record::Record};

    fn record(n: u128) -> Record {
        Record {
            attempt: Uuid::from_u128(n),
            run: Uuid::nil(),
            turn: 0,
            spec_hash: [0; 32],
            stage: 0,
            boot: 0,
            claimed_us: 0,
            claimed_at: BootNs(0),
            deadline: None,
            grace_ms: 0,
            asked: None,
            end: None,
            acknowledged: false,
            birth: None,
        }
    }

    #[test]
    fn what_was_written_is_there_after_reopening_and_removed_slots_are_used_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("records");
        let (mut records, found) = Records::read_all(open(&path).unwrap()).unwrap();
        assert!(found.is_empty());
        let one = records.insert(&record(1)).unwrap();
        records.insert(&record(2)).unwrap();
        let header = Header { installation: Uuid::from_u128(5), node: Uuid::from_u128(4), horizon_ms: 6, turn_max: 7 };
        records.write_header(header).unwrap();
        records.remove(one).unwrap();
        drop(records);

        let (mut records, found) = Records::read_all(open(&path).unwrap()).unwrap();
        assert_eq!(found.iter().map(|(_, record)| record.attempt.as_u128()).collect::<Vec<_>>(), [2]);
        assert_eq!(records.header(), header);
        assert_eq!(records.insert(&record(3)).unwrap(), one);
    }

    #[test]
    fn a_file_of_another_version_is_not_touched() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("records");
        std::fs::write(&path, vec![b'x'; 1024]).unwrap();
        assert!(Records::read_all(open(&path).unwrap()).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), vec![b'x'; 1024]);
    }
}
