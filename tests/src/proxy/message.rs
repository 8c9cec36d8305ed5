//! Messages of PostgreSQL's protocol, version 3: a type, a length, a body.

use std::io::{self, Read};

/// Asks whether the server speaks TLS or GSS; the answer is a single byte.
const SSL_REQUEST: u32 = 80_877_103;
const GSS_REQUEST: u32 = 80_877_104;
const LENGTH_MAX: usize = 64 << 20;

/// A message as it travels.
#[derive(Debug)]
pub(super) struct Message {
    /// None: the first one of a client, which has no type.
    kind: Option<u8>,
    pub bytes: Vec<u8>,
}

impl Message {
    /// The first message of a client.
    pub fn read_first(from: &mut impl Read) -> io::Result<Self> {
        let mut bytes = vec![0; 4];
        from.read_exact(&mut bytes)?;
        Self::read_body(from, None, bytes)
    }

    pub fn read(from: &mut impl Read) -> io::Result<Self> {
        let mut bytes = vec![0; 5];
        from.read_exact(&mut bytes)?;
        Self::read_body(from, Some(bytes[0]), bytes)
    }

    fn read_body(from: &mut impl Read, kind: Option<u8>, mut bytes: Vec<u8>) -> io::Result<Self> {
        let head = bytes.len();
        let length = u32::from_be_bytes([bytes[head - 4], bytes[head - 3], bytes[head - 2], bytes[head - 1]]) as usize;
        if !(4..LENGTH_MAX).contains(&length) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "no message of PostgreSQL"));
        }
        bytes.resize(head + length - 4, 0);
        from.read_exact(&mut bytes[head..])?;
        Ok(Self { kind, bytes })
    }

    fn body(&self) -> &[u8] {
        &self.bytes[if self.kind.is_some() { 5 } else { 4 }..]
    }

    /// Whether it is a client's question that one byte answers, before its first message proper.
    pub fn asks_for_encryption(&self) -> bool {
        let code = self.body().first_chunk::<4>().map(|code| u32::from_be_bytes(*code));
        self.kind.is_none() && matches!(code, Some(SSL_REQUEST | GSS_REQUEST))
    }

    /// What the session calls itself.
    pub fn application_name(&self) -> Option<&str> {
        let texts: Vec<&[u8]> = self.body().get(4..)?.split(|byte| *byte == 0).collect();
        let place = texts.iter().step_by(2).position(|name| *name == b"application_name")?;
        std::str::from_utf8(texts.get(2 * place + 1)?).ok()
    }

    /// The statement of a client's simple query.
    pub fn query(&self) -> Option<&str> {
        (self.kind == Some(b'Q')).then(|| self.text(0)).flatten()
    }

    /// A statement that is prepared: its name and its text.
    pub fn parse(&self) -> Option<(&str, &str)> {
        if self.kind != Some(b'P') {
            return None;
        }
        let name = self.text(0)?;
        Some((name, self.text(name.len() + 1)?))
    }

    /// The name of the prepared statement that is to run.
    pub fn bind(&self) -> Option<&str> {
        if self.kind != Some(b'B') {
            return None;
        }
        let portal = self.text(0)?;
        self.text(portal.len() + 1)
    }

    /// The server is ready for the next query, inside (`T`) or outside (`I`) of a transaction.
    pub fn ready(&self) -> Option<u8> {
        (self.kind == Some(b'Z')).then(|| self.body().first().copied()).flatten()
    }

    /// Something that the client asked for has failed.
    pub fn is_error(&self) -> bool {
        self.kind == Some(b'E')
    }

    fn text(&self, from: usize) -> Option<&str> {
        let rest = self.body().get(from..)?;
        std::str::from_utf8(rest.split(|byte| *byte == 0).next()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, body: &[u8]) -> Message {
        let mut bytes = vec![kind];
        bytes.extend((body.len() as u32 + 4).to_be_bytes());
        bytes.extend(body);
        Message::read(&mut bytes.as_slice()).unwrap()
    }

    #[test]
    fn a_session_is_known_by_its_name() {
        let body = b"\0\x03\0\0user\0postgres\0application_name\0gridflow leader\0\0";
        let mut bytes = (body.len() as u32 + 4).to_be_bytes().to_vec();
        bytes.extend(body);
        let first = Message::read_first(&mut bytes.as_slice()).unwrap();
        assert_eq!(first.application_name(), Some("gridflow leader"));
        assert!(!first.asks_for_encryption());
        let asks = Message::read_first(&mut [0, 0, 0, 8, 4, 210, 22, 47].as_slice()).unwrap();
        assert!(asks.asks_for_encryption());
    }

    #[test]
    fn statements_and_answers_are_told_apart() {
        assert_eq!(message(b'Q', b"COMMIT\0").query(), Some("COMMIT"));
        assert_eq!(message(b'P', b"s1\0SELECT turn()\0\0\0").parse(), Some(("s1", "SELECT turn()")));
        assert_eq!(message(b'B', b"\0s1\0\0\0\0\0\0\0").bind(), Some("s1"));
        assert!(message(b'E', b"SFATAL\0\0").is_error());
        assert_eq!(message(b'Z', b"T").ready(), Some(b'T'));
        assert_eq!(message(b'Z', b"T").query(), None);
    }
}
