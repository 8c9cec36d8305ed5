//! One attempt on file: 512 bytes, of which the last 32 belong to the new process.
//!
//! ```text
//! 0        8      16                                        480                          512
//! checksum │ length │ the host's part: claim, end, marks    │ birth: pid, time, mark     │
//!          written by the host as a whole                    written once, by the child
//! ```
//! Both parts are written in place with one `pwrite` inside one page: a kill leaves the old or the new bytes. Losing
//! power may leave anything, but then the boot is another one and the checksum says what is readable.

use uuid::Uuid;

use super::{
    super::wire::{End, Usage},
    clock::BootNs,
};

pub(super) const SLOT_BYTES: usize = 512;
pub(super) const BIRTH_AT: usize = 480;
const BIRTH_MARK: u64 = 0x6269_7274_6821_0a01;
/// Keeps records readable that were written before.
const UNUSED: u8 = 0;
/// What is left of the host's part for a message.
const MESSAGE_BYTES_MAX: usize = 280;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Record {
    pub attempt: Uuid,
    pub run: Uuid,
    pub turn: i64,
    pub spec_hash: [u8; 32],
    pub stage: u32,
    /// A hash of the boot's identity.
    pub boot: u64,
    pub claimed_us: i64,
    /// Just before the clone; the process cannot be older.
    pub claimed_at: BootNs,
    pub deadline: Option<BootNs>,
    pub grace_ms: u64,
    pub asked: Option<Asked>,
    pub end: Option<Ended>,
    pub acknowledged: bool,
    /// Written by the process itself, right before its exec.
    pub birth: Option<Birth>,
}

/// Why the host is ending a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    Cancel,
    Timeout,
    /// The host itself was asked to leave.
    Stop,
}

/// The command has ended. Others of the attempt may live until `gone`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ended {
    pub at_us: i64,
    pub end: End,
    pub usage: Usage,
    pub gone: bool,
}

/// The new process and a moment at which it surely lived: with `claimed_at` this brackets its start time, so another
/// process that got the same pid later is told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Birth {
    pub pid: i32,
    pub alive_at: BootNs,
}

impl Birth {
    /// Fixed size and no allocation: this runs in the child of a vfork.
    pub(super) fn encode(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&BIRTH_MARK.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.alive_at.0.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.pid.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        if reader.u64()? != BIRTH_MARK {
            return None;
        }
        Some(Self { alive_at: BootNs(reader.u64()?), pid: reader.i32()? })
    }
}

/// A whole slot, for a new claim.
pub(super) fn encode(record: &Record) -> [u8; SLOT_BYTES] {
    let mut slot = [0; SLOT_BYTES];
    slot[..BIRTH_AT].copy_from_slice(&encode_host_part(record));
    if let Some(birth) = record.birth {
        slot[BIRTH_AT..].copy_from_slice(&birth.encode());
    }
    slot
}

/// All but the birth, for a change.
pub(super) fn encode_host_part(record: &Record) -> [u8; BIRTH_AT] {
    let mut body = Vec::with_capacity(BIRTH_AT);
    body.extend_from_slice(record.attempt.as_bytes());
    body.extend_from_slice(record.run.as_bytes());
    body.extend_from_slice(&record.turn.to_le_bytes());
    body.extend_from_slice(&record.spec_hash);
    body.extend_from_slice(&record.stage.to_le_bytes());
    body.extend_from_slice(&record.boot.to_le_bytes());
    body.extend_from_slice(&record.claimed_us.to_le_bytes());
    body.extend_from_slice(&record.claimed_at.0.to_le_bytes());
    body.extend_from_slice(&record.deadline.map_or(0, |at| at.0).to_le_bytes());
    body.extend_from_slice(&record.grace_ms.to_le_bytes());
    let asked = match record.asked {
        None => 0,
        Some(Asked::Cancel) => 1,
        Some(Asked::Timeout) => 2,
        Some(Asked::Stop) => 3,
    };
    body.extend_from_slice(&[asked, record.acknowledged.into(), UNUSED]);
    encode_end(record.end.as_ref(), &mut body);

    let mut part = [0; BIRTH_AT];
    part[8..10].copy_from_slice(&(body.len() as u16).to_le_bytes());
    part[16..16 + body.len()].copy_from_slice(&body);
    part[..8].copy_from_slice(&checksum(&body).to_le_bytes());
    part
}

fn encode_end(ended: Option<&Ended>, body: &mut Vec<u8>) {
    let Some(ended) = ended else { return body.push(0) };
    let (tag, number, message) = match &ended.end {
        End::Exited { code } => (1, *code, ""),
        End::Signaled { signal } => (2, *signal, ""),
        End::TimedOut => (3, 0, ""),
        End::Canceled => (4, 0, ""),
        End::NeverStarted => (5, 0, ""),
        End::SpawnFailed { message } => (6, 0, message.as_str()),
        End::Lost { reason } => (7, 0, reason.as_str()),
        End::OutOfMemory => (8, 0, ""),
    };
    let message = &message[..message.floor_char_boundary(MESSAGE_BYTES_MAX)];
    body.extend_from_slice(&[tag, ended.gone.into()]);
    body.extend_from_slice(&number.to_le_bytes());
    body.extend_from_slice(&ended.at_us.to_le_bytes());
    body.extend_from_slice(&ended.usage.cpu_user_us.to_le_bytes());
    body.extend_from_slice(&ended.usage.cpu_system_us.to_le_bytes());
    body.extend_from_slice(&ended.usage.rss_peak_bytes.to_le_bytes());
    body.extend_from_slice(&(message.len() as u16).to_le_bytes());
    body.extend_from_slice(message.as_bytes());
}

/// `None` for a free slot and for one that power loss left unreadable.
pub(super) fn decode(slot: &[u8]) -> Option<Record> {
    let mut head = Reader(slot);
    let sum = head.u64()?;
    let length = usize::from(u16::from_le_bytes(head.take()?));
    let body = slot.get(16..16 + length)?;
    if length == 0 || checksum(body) != sum {
        return None;
    }
    let mut body = Reader(body);
    Some(Record {
        attempt: Uuid::from_bytes(body.take()?),
        run: Uuid::from_bytes(body.take()?),
        turn: body.i64()?,
        spec_hash: body.take()?,
        stage: u32::from_le_bytes(body.take()?),
        boot: body.u64()?,
        claimed_us: body.i64()?,
        claimed_at: BootNs(body.u64()?),
        deadline: Some(BootNs(body.u64()?)).filter(|at| at.0 != 0),
        grace_ms: body.u64()?,
        asked: match body.u8()? {
            1 => Some(Asked::Cancel),
            2 => Some(Asked::Timeout),
            3 => Some(Asked::Stop),
            _ => None,
        },
        acknowledged: {
            let [acknowledged, _unused] = body.take()?;
            acknowledged != 0
        },
        end: decode_end(&mut body)?,
        birth: slot.get(BIRTH_AT..).and_then(Birth::decode),
    })
}

/// The outer `None` means unreadable, the inner one that it has not ended.
#[expect(clippy::option_option, reason = "unreadable and not there are different answers here")]
fn decode_end(body: &mut Reader) -> Option<Option<Ended>> {
    let tag = body.u8()?;
    if tag == 0 {
        return Some(None);
    }
    let gone = body.u8()? != 0;
    let number = body.i32()?;
    let at_us = body.i64()?;
    let usage = Usage { cpu_user_us: body.u64()?, cpu_system_us: body.u64()?, rss_peak_bytes: body.u64()? };
    let length = usize::from(u16::from_le_bytes(body.take()?));
    let message = String::from_utf8_lossy(body.0.get(..length)?).into_owned();
    let end = match tag {
        1 => End::Exited { code: number },
        2 => End::Signaled { signal: number },
        3 => End::TimedOut,
        4 => End::Canceled,
        5 => End::NeverStarted,
        6 => End::SpawnFailed { message },
        7 => End::Lost { reason: message },
        8 => End::OutOfMemory,
        _ => return None,
    };
    Some(Some(Ended { at_us, end, usage, gone }))
}

fn checksum(body: &[u8]) -> u64 {
    let hash = blake3::hash(body);
    let (first, _) = hash.as_bytes().split_first_chunk::<8>().expect("a hash has 32 bytes");
    u64::from_le_bytes(*first)
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.take().map(i64::from_le_bytes)
    }

    fn i32(&mut self) -> Option<i32> {
        self.take().map(i32::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Record {
        Record {
            attempt: Uuid::from_u128(1),
            run: Uuid::from_u128(2),
            turn: 77,
            spec_hash: [9; 32],
            stage: 3,
            boot: 4,
            claimed_us: 5,
            claimed_at: BootNs(6),
            deadline: Some(BootNs(7)),
            grace_ms: 8,
            asked: Some(Asked::Timeout),
            end: Some(Ended {
                at_us: 10,
                end: End::SpawnFailed { message: "é".repeat(139) },
                usage: Usage { cpu_user_us: 1, cpu_system_us: 2, rss_peak_bytes: 3 },
                gone: true,
            }),
            acknowledged: true,
            birth: Some(Birth { pid: 11, alive_at: BootNs(12) }),
        }
    }

    #[test]
    fn a_record_reads_back_as_it_was_written() {
        assert_eq!(decode(&encode(&full())), Some(full()));
    }

    #[test]
    fn a_message_that_does_not_fit_is_cut_between_characters() {
        let mut record = full();
        record.end.as_mut().unwrap().end = End::Lost { reason: "é".repeat(400) };
        let read = decode(&encode(&record)).unwrap();
        assert_eq!(read.end.unwrap().end, End::Lost { reason: "é".repeat(140) });
    }

    #[test]
    fn a_free_slot_and_a_damaged_one_are_no_records() {
        assert_eq!(decode(&[0; SLOT_BYTES]), None);
        let mut slot = encode(&full());
        slot[20] ^= 1;
        assert_eq!(decode(&slot), None);
    }
}
