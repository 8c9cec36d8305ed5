//! What client and host say to each other: frames of a length (u32, little endian) and JSON.
//!
//! ```text
//! client → host   Hello, then Launch*, Cancel*, Acknowledge* in any order, many to a write
//! host → client   Welcome, Record* (all that nobody acknowledged), Synced, then Record whenever one changes
//! ```
//! Nothing is answered one to one: the client keeps what it wants done until a record shows it, and says it again
//! after a reconnect.
//!
//! **Versions.** Both sides name the oldest and the newest protocol they speak, and use the newest that both do; where
//! there is none, the host refuses. `Hello`, `Welcome`, `Refused`, `Upgrade`, `Stop` and `Stopping` are the same in
//! every version, so any client can have any host replaced or stopped. Within a version, fields may be added if they have a default; whoever does not
//! know one passes over it. A new message, or a field that must not be passed over, needs a new version, and is sent
//! only where that was agreed upon.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use uuid::Uuid;

use super::program::ProgramFile;

/// The newest that this build speaks, and the oldest.
pub(super) const PROTOCOL: u32 = 1;
pub(super) const PROTOCOL_OLDEST: u32 = 1;

/// Longer frames are a bug or an attack; the kernel takes some 2 MiB of arguments and environment anyway.
pub(super) const FRAME_BYTES_MAX: usize = 16 << 20;

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum ToHost {
    Hello(Hello),
    Launch(Box<Command>),
    Cancel {
        attempts: Vec<CancelOrder>,
    },
    /// The ends are committed.
    Acknowledge {
        attempts: Vec<Uuid>,
    },
    /// Instead of `Hello`: the host replaces its own program and keeps its children. The connection ends either way,
    /// after `Refused` if the old program goes on.
    Upgrade(Upgrade),
    /// With or without `Hello`: commands are ended and end lost, and then the host leaves.
    Stop {
        /// At most that long between SIGTERM and SIGKILL; without it, as long as each command may take.
        grace_ms: Option<u64>,
    },
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Hello {
    /// The newest that the client speaks.
    pub protocol: u32,
    /// The oldest; without it, the same.
    #[serde(default)]
    pub protocol_oldest: Option<u32>,
    pub installation: Uuid,
    pub node: Uuid,
    /// How long the host stays with neither clients nor commands.
    pub linger_ms: u64,
}

impl Hello {
    /// The newest protocol that both sides speak.
    pub(super) fn common_protocol(&self) -> Option<u32> {
        let common = self.protocol.min(PROTOCOL);
        let oldest = self.protocol_oldest.unwrap_or(self.protocol).max(PROTOCOL_OLDEST);
        (oldest <= common).then_some(common)
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Upgrade {
    /// Program and arguments of the new host, without the state directory.
    pub command: Vec<String>,
    /// The versions of [what is handed over](super::host) that it has said it understands.
    pub handover_oldest: u32,
    pub handover_newest: u32,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Command {
    pub attempt: Uuid,
    pub run: Uuid,
    pub turn: i64,
    pub spec_hash: [u8; 32],
    pub stage: u32,
    pub argv: Vec<String>,
    /// `NAME=value`, exactly these.
    pub env: Vec<String>,
    pub cwd: String,
    pub log: String,
    pub user: Option<User>,
    pub timeout_ms: Option<u64>,
    pub grace_ms: u64,
    /// It could not be prepared, for a reason that will not pass: take the claim and start nothing.
    pub unfit: Option<String>,
}

/// Whom a command runs as, looked up by the client: name services may block, the host must not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct User {
    pub uid: u32,
    pub gid: u32,
    pub groups: Vec<u32>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct CancelOrder {
    pub attempt: Uuid,
    pub run: Uuid,
    /// Take the claim if it is free; leave alone what has one, and say what became of it.
    #[serde(default)]
    pub unclaimed_only: bool,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum FromHost {
    Welcome {
        /// The one to be used from now on.
        protocol: u32,
        boot: String,
        /// What the host runs.
        #[serde(default)]
        program: Option<ProgramFile>,
    },
    /// The host does not work for this client; the connection ends.
    Refused {
        reason: String,
        #[serde(default)]
        program: Option<ProgramFile>,
        /// Not a matter of versions: what runs here belongs to somebody else.
        #[serde(default)]
        is_foreign: bool,
    },
    /// What `Stop` ends. The connection ends with the host.
    Stopping {
        commands: usize,
    },
    Record(Record),
    /// Everything unacknowledged was sent.
    Synced {
        turn_max: i64,
    },
    /// Nothing was claimed or started; ask again in a moment.
    Postponed {
        attempt: Uuid,
        reason: String,
    },
}

/// What the host knows about an attempt.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Record {
    pub attempt: Uuid,
    pub run: Uuid,
    pub stage: u32,
    /// An end that somebody has committed already.
    pub acknowledged: bool,
    pub state: State,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum State {
    Started {
        pid: u32,
        at_us: i64,
    },
    Gone {
        at_us: i64,
        end: End,
        usage: Usage,
        /// For those who have not heard of it; none if it never started.
        #[serde(default)]
        start: Option<Start>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Start {
    pub pid: u32,
    pub at_us: i64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum End {
    Exited {
        code: i32,
    },
    Signaled {
        signal: i32,
    },
    /// By the kernel, with SIGKILL.
    OutOfMemory,
    TimedOut,
    Canceled,
    NeverStarted,
    SpawnFailed {
        message: String,
    },
    Lost {
        reason: String,
    },
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Usage {
    pub cpu_user_us: u64,
    pub cpu_system_us: u64,
    pub rss_peak_bytes: u64,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum FrameError {
    #[error("a frame of {bytes} bytes exceeds the limit of {FRAME_BYTES_MAX}")]
    TooLong { bytes: usize },
    #[error("a frame is not understood")]
    Malformed(#[from] serde_json::Error),
}

/// Appends one message.
pub(super) fn encode(out: &mut Vec<u8>, message: &impl Serialize) -> Result<(), FrameError> {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    serde_json::to_writer(&mut *out, message)?;
    let bytes = out.len() - start - 4;
    if FRAME_BYTES_MAX < bytes {
        out.truncate(start);
        return Err(FrameError::TooLong { bytes });
    }
    out[start..start + 4].copy_from_slice(&(bytes as u32).to_le_bytes());
    Ok(())
}

/// The first message of a buffer and how many bytes it took; `None` while it is incomplete.
pub(super) fn decode<T: DeserializeOwned>(buffer: &[u8]) -> Result<Option<(T, usize)>, FrameError> {
    let Some((head, rest)) = buffer.split_first_chunk::<4>() else { return Ok(None) };
    let bytes = u32::from_le_bytes(*head) as usize;
    if FRAME_BYTES_MAX < bytes {
        return Err(FrameError::TooLong { bytes });
    }
    match rest.get(..bytes) {
        Some(body) => Ok(Some((serde_json::from_slice(body)?, 4 + bytes))),
        None => Ok(None),
    }
}

/// Would [`decode`] say something other than `None`?
pub(super) fn is_whole(buffer: &[u8]) -> bool {
    let Some((head, rest)) = buffer.split_first_chunk::<4>() else { return false };
    let bytes = u32::from_le_bytes(*head) as usize;
    FRAME_BYTES_MAX < bytes || bytes <= rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_read_only_when_it_is_whole() {
        let mut buffer = Vec::new();
        encode(&mut buffer, &ToHost::Acknowledge { attempts: vec![Uuid::nil()] }).unwrap();
        let whole = buffer.len();
        assert!(decode::<ToHost>(&buffer[..whole - 1]).unwrap().is_none());
        buffer.push(9);
        let (message, taken) = decode::<ToHost>(&buffer).unwrap().unwrap();
        assert!(matches!(message, ToHost::Acknowledge { .. }));
        assert_eq!(taken, whole);
    }

    #[test]
    fn both_sides_use_the_newest_protocol_that_they_have_in_common() {
        let common = |newest: u32, oldest: Option<u32>| {
            let hello = Hello {
                protocol: newest,
                protocol_oldest: oldest,
                installation: Uuid::nil(),
                node: Uuid::nil(),
                linger_ms: 0,
            };
            hello.common_protocol()
        };
        assert_eq!(common(PROTOCOL, Some(PROTOCOL_OLDEST)), Some(PROTOCOL));
        assert_eq!(common(PROTOCOL, None), Some(PROTOCOL));
        assert_eq!(common(PROTOCOL + 5, Some(PROTOCOL)), Some(PROTOCOL), "a newer client that still speaks ours");
        assert_eq!(common(PROTOCOL + 5, None), None, "a newer client that does not");
        assert_eq!(common(PROTOCOL_OLDEST - 1, Some(0)), None, "a client older than anything we speak");
    }

    #[test]
    fn a_hello_and_a_welcome_of_before_ranges_and_programs_are_understood() {
        let nil = Uuid::nil();
        let hello =
            format!(r#"{{"Hello":{{"protocol":1,"installation":"{nil}","node":"{nil}","linger_ms":5,"more":1}}}}"#);
        let ToHost::Hello(hello) = serde_json::from_str(&hello).unwrap() else { panic!("a hello") };
        assert_eq!(hello.common_protocol(), Some(1));
        let welcome = serde_json::from_str(r#"{"Welcome":{"protocol":1,"boot":"b"}}"#).unwrap();
        assert!(matches!(welcome, FromHost::Welcome { protocol: 1, program: None, .. }));
    }

    #[test]
    fn a_frame_that_claims_to_be_huge_is_refused_before_it_is_read() {
        assert!(matches!(decode::<ToHost>(&[255; 8]), Err(FrameError::TooLong { .. })));
    }
}
