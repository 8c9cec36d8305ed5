//! Takes the frame of a large output out of a log: see [`gridflow_pod::frame`].
//!
//! What may be the start of a frame is held back until the next bytes decide; that is never more than a line's start.

use gridflow_pod::{frame::MARK, layout::OUTPUT_BYTES_MAX};

#[derive(Debug)]
pub(super) struct Frames {
    /// What each line of a frame of this attempt begins with.
    mark: Vec<u8>,
    state: State,
    /// Whether the log so far ends a line.
    is_line_start: bool,
    /// An empty line, which goes if a frame follows.
    holds_break: bool,
    /// How many bytes of the mark have come.
    matched: usize,
    collected: Vec<u8>,
    lines: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Log,
    /// The number of a frame's line.
    Number(u64),
    /// The rest of a frame's line.
    Chunk(Taken),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taken {
    Yes,
    /// There twice, out of order or too much: the hash will tell.
    No,
}

impl Frames {
    pub fn new(attempt: &str) -> Self {
        Self {
            mark: format!("{MARK}{attempt} ").into_bytes(),
            state: State::Log,
            is_line_start: true,
            holds_break: false,
            matched: 0,
            collected: Vec::new(),
            lines: 0,
        }
    }

    /// Appends to `log` what is no frame.
    pub fn take(&mut self, mut bytes: &[u8], log: &mut Vec<u8>) {
        loop {
            let plain = self.plain(bytes);
            if 0 < plain {
                log.extend_from_slice(&bytes[..plain]);
                self.is_line_start = false;
            }
            let Some((byte, rest)) = bytes[plain..].split_first() else { return };
            bytes = rest;
            match self.state {
                State::Log => self.log_byte(*byte, log),
                State::Number(number) if byte.is_ascii_digit() => {
                    self.state = State::Number(number.saturating_mul(10).saturating_add(u64::from(byte - b'0')));
                }
                State::Number(number) => {
                    let is_next = number == self.lines;
                    self.lines += u64::from(is_next);
                    self.state = if *byte == b'\n' {
                        State::Log
                    } else {
                        State::Chunk(if is_next { Taken::Yes } else { Taken::No })
                    };
                }
                State::Chunk(_) if *byte == b'\n' => self.state = State::Log,
                State::Chunk(Taken::Yes) if (self.collected.len() as u64) < OUTPUT_BYTES_MAX => {
                    self.collected.push(*byte);
                }
                State::Chunk(_) => {}
            }
        }
    }

    /// The log is complete: what was held back belongs to it.
    pub fn finish(&mut self, log: &mut Vec<u8>) {
        self.release(log);
    }

    /// What the frames so far hold.
    pub fn collected(&self) -> &[u8] {
        &self.collected
    }

    /// How many bytes are text, beyond doubt.
    fn plain(&self, bytes: &[u8]) -> usize {
        if self.state != State::Log || 0 < self.matched || self.holds_break {
            return 0;
        }
        bytes.iter().position(|byte| *byte == b'\n' || *byte == self.mark[0]).unwrap_or(bytes.len())
    }

    fn log_byte(&mut self, byte: u8, log: &mut Vec<u8>) {
        if self.mark[self.matched] == byte {
            self.matched += 1;
            if self.matched == self.mark.len() {
                (self.matched, self.holds_break) = (0, false);
                self.state = State::Number(0);
            }
            return;
        }
        self.release(log);
        // The mark's first byte is nowhere else in it, so what did not match cannot begin a mark but by this byte.
        if self.mark[0] == byte {
            self.matched = 1;
        } else if byte == b'\n' && self.is_line_start {
            self.holds_break = true;
        } else {
            log.push(byte);
            self.is_line_start = byte == b'\n';
        }
    }

    fn release(&mut self, log: &mut Vec<u8>) {
        if std::mem::take(&mut self.holds_break) {
            log.push(b'\n');
        }
        let held = &self.mark[..std::mem::take(&mut self.matched)];
        if !held.is_empty() {
            log.extend_from_slice(held);
            self.is_line_start = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use gridflow_pod::frame;
    use proptest::prelude::*;

    use super::*;

    fn cut(bytes: &[u8], piece: usize) -> (String, String) {
        let mut frames = Frames::new("a1");
        let mut log = Vec::new();
        for bytes in bytes.chunks(piece) {
            frames.take(bytes, &mut log);
        }
        frames.finish(&mut log);
        (String::from_utf8(log).unwrap(), String::from_utf8(frames.collected().to_vec()).unwrap())
    }

    proptest! {
        #[test]
        fn a_log_without_frames_is_as_it_was(log in "[a\n\u{1e}g]{0,40}", piece in 1..9_usize) {
            prop_assert_eq!(cut(log.as_bytes(), piece), (log, String::new()));
        }

        #[test]
        fn a_frame_is_cut_out_and_read(
            log in "[ab\n]{0,20}", value in "[ü\"x]{1,9000}", piece in 1..5000_usize,
        ) {
            let mut bytes = log.clone().into_bytes();
            frame::write(&mut bytes, "a1", &value).unwrap();
            // What the command left unfinished is finished.
            let whole = if log.is_empty() || log.ends_with('\n') { log } else { format!("{log}\n") };
            prop_assert_eq!(cut(&bytes, piece), (whole, value));
        }
    }

    #[test]
    fn a_frame_is_found_in_the_middle_of_somebody_elses_line() {
        let mut framed = Vec::new();
        frame::write(&mut framed, "a1", "[1]").unwrap();
        let bytes = [b"half a line", &framed[1..], b" and its end\n"].concat();
        assert_eq!(cut(&bytes, 3), ("half a line and its end\n".into(), "[1]".into()));
    }

    #[test]
    fn the_frame_of_another_attempt_is_text() {
        let mut bytes = Vec::new();
        frame::write(&mut bytes, "b2", "[1]").unwrap();
        assert_eq!(cut(&bytes, 7), ("\n\u{1e}gridflow.io/output b2 0 [1]\n".into(), String::new()));
    }

    #[test]
    fn a_line_that_comes_twice_is_taken_once() {
        let mut bytes = Vec::new();
        frame::write(&mut bytes, "a1", "[1]").unwrap();
        let twice = [&bytes[..], &bytes[1..]].concat();
        assert_eq!(cut(&twice, 7), (String::new(), "[1]".into()));
    }
}
