//! A log that is read again after a broken stream, without a line missing or there twice.
//!
//! ```text
//! 2026-03-01T14:00:01.120000000Z first line
//! 2026-03-01T14:00:01.730000000Z second l┄┄ the stream breaks: 1 line and 8 bytes of this second are there
//! ```
//! A log can only be asked for from a second on, so what was taken since the start of a second is counted, and as
//! much of the next stream is passed over. That is the second before the newest: lines of stdout and stderr are written
//! side by side, and one may stand behind another that is a little younger. Every line begins with its time, which is taken away; one without a time is
//! no log but the kubelet's own words, as those of a container that is not there any more. Lines are never held in
//! memory: only their beginnings matter.

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};

/// A log is asked for again from so long before its newest second.
const OVERLAP: TimeDelta = TimeDelta::seconds(1);

/// Longer than any time.
const STAMP_BYTES_MAX: usize = 40;
/// Of the kubelet's words.
const WORDS_BYTES_MAX: usize = 500;

/// What was taken so far, over all streams.
#[derive(Debug, Default)]
pub(super) struct Position {
    /// The newest second of any line.
    second: Option<DateTime<Utc>>,
    /// The latest time of any line.
    newest: Option<DateTime<Utc>>,
    /// Finished lines of that second.
    lines: u64,
    /// Finished lines of the second before.
    lines_before: u64,
    /// Text of the line that is not finished, and its time.
    partial: Option<(DateTime<Utc>, u64)>,
}

/// One stream, from [`Position::since`] on.
#[derive(Debug)]
pub(super) struct Stream {
    lines_to_skip: u64,
    partial_to_skip: Option<(DateTime<Utc>, u64)>,
    newest: Option<DateTime<Utc>>,
    at: At,
    words: Vec<u8>,
}

#[derive(Debug)]
enum At {
    Stamp(Vec<u8>),
    Text {
        /// Whether the line counts: a later stream will show it again.
        counts: Option<DateTime<Utc>>,
        /// How many bytes of it are there already.
        skip: u64,
        taken: u64,
    },
    /// In a line that is there already.
    Known,
    /// In a line that the kubelet says.
    Words,
}

impl Position {
    /// From where to ask for the log; `None` is from its beginning.
    pub fn since(&self) -> Option<DateTime<Utc>> {
        self.second.map(|second| second - OVERLAP)
    }

    pub fn stream(&self) -> Stream {
        Stream {
            lines_to_skip: self.lines_before + self.lines,
            partial_to_skip: self.partial,
            newest: self.newest,
            at: At::Stamp(Vec::new()),
            words: Vec::new(),
        }
    }

    /// Appends what is new in a piece of a stream to `text`.
    pub fn take(&mut self, stream: &mut Stream, mut bytes: &[u8], text: &mut Vec<u8>) {
        while !bytes.is_empty() {
            bytes = match &mut stream.at {
                At::Stamp(stamp) => {
                    let end = bytes.iter().position(|byte| matches!(byte, b' ' | b'\n'));
                    let (part, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
                    stamp.extend_from_slice(part);
                    if end.is_none() && stamp.len() <= STAMP_BYTES_MAX {
                        return;
                    }
                    let stamp = std::mem::take(stamp);
                    self.begin_line(stream, &stamp, rest)
                }
                At::Words => {
                    let end = bytes.iter().position(|byte| *byte == b'\n').map(|end| end + 1);
                    let (part, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
                    stream.say(part);
                    if end.is_some() {
                        stream.at = At::Stamp(Vec::new());
                    }
                    rest
                }
                At::Known => match bytes.iter().position(|byte| *byte == b'\n') {
                    Some(end) => {
                        stream.at = At::Stamp(Vec::new());
                        &bytes[end + 1..]
                    }
                    None => return,
                },
                At::Text { counts, skip, taken } => {
                    let end = bytes.iter().position(|byte| *byte == b'\n').map(|end| end + 1);
                    let (part, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
                    let known = usize::try_from(*skip).unwrap_or(usize::MAX).min(part.len());
                    *skip -= known as u64;
                    *taken += part.len() as u64;
                    text.extend_from_slice(&part[known..]);
                    if let Some(at) = *counts {
                        if end.is_some() {
                            self.count(at);
                            self.partial = None;
                        } else if *skip == 0 {
                            self.partial = Some((at, *taken));
                        }
                    }
                    if end.is_some() {
                        stream.at = At::Stamp(Vec::new());
                    }
                    rest
                }
            };
        }
    }

    /// A line of the last two seconds is finished.
    fn count(&mut self, at: DateTime<Utc>) {
        if self.second == Some(at.trunc_subsecs(0)) {
            self.lines += 1;
        } else {
            self.lines_before += 1;
        }
    }

    /// `rest` begins with what stands behind the time.
    fn begin_line<'b>(&mut self, stream: &mut Stream, stamp: &[u8], rest: &'b [u8]) -> &'b [u8] {
        let Some(at) = parse(stamp) else {
            stream.say(stamp);
            stream.at = At::Words;
            return rest;
        };
        let rest = rest.strip_prefix(b" ").unwrap_or(rest);
        // Newer than anything that was taken, and lines to pass over are left: the node has thrown them away.
        if stream.newest.is_some_and(|newest| newest < at) {
            stream.lines_to_skip = 0;
        }
        if 0 < stream.lines_to_skip {
            stream.lines_to_skip -= 1;
            stream.at = At::Known;
            return rest;
        }
        let skip = match stream.partial_to_skip.take() {
            Some((begun, taken)) if begun == at => taken,
            Some(_) | None => 0,
        };
        let second = at.trunc_subsecs(0);
        if self.second.is_none_or(|known| known < second) {
            let is_next = self.second.is_some_and(|known| known + OVERLAP == second);
            self.lines_before = if is_next { self.lines } else { 0 };
            (self.second, self.lines) = (Some(second), 0);
        }
        self.newest = self.newest.max(Some(at));
        // A line from before, after the node's clock was set back: a later stream will not show it.
        let counts = (self.since() <= Some(second)).then_some(at);
        if 0 == skip {
            self.partial = counts.map(|at| (at, 0));
        }
        stream.at = At::Text { counts, skip, taken: 0 };
        rest
    }
}

impl Stream {
    /// What the kubelet said instead of a log. Asked for once the stream has ended.
    pub fn words(&self) -> Option<String> {
        let unfinished = if let At::Stamp(stamp) = &self.at { stamp.as_slice() } else { &[] };
        let words = [&self.words, unfinished].concat();
        let words = String::from_utf8_lossy(&words).trim().to_owned();
        (!words.is_empty()).then_some(words)
    }

    fn say(&mut self, words: &[u8]) {
        let room = WORDS_BYTES_MAX.saturating_sub(self.words.len());
        self.words.extend_from_slice(&words[..room.min(words.len())]);
    }
}

fn parse(stamp: &[u8]) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(std::str::from_utf8(stamp).ok()?).ok().map(|at| at.to_utc())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Lines with their times in milliseconds, as the kubelet shows them from a time on.
    fn shown(lines: &[(i64, String)], since: Option<DateTime<Utc>>) -> Vec<u8> {
        let shown = lines.iter().map(|(ms, line)| (DateTime::from_timestamp_millis(*ms).unwrap(), line));
        let shown = shown.filter(|(at, _)| since.is_none_or(|since| since <= *at));
        shown.map(|(at, line)| format!("{} {line}\n", at.format("%Y-%m-%dT%H:%M:%S%.9fZ"))).collect::<String>().into()
    }

    fn text(lines: &[(i64, String)]) -> String {
        lines.iter().map(|(_, line)| format!("{line}\n")).collect()
    }

    proptest! {
        #[test]
        fn however_often_a_stream_breaks_every_line_is_there_once(
            steps in proptest::collection::vec((0..700_i64, 0..1_000_i64, "[a-z ]{0,6}"), 1..30),
            breaks in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..6),
            piece in 1..50_usize,
        ) {
            let mut ms = 0;
            // What stands later may be a little older.
            let lines = steps.into_iter().map(|(step, older, line)| { ms += step; (ms - older, line) });
            let lines: Vec<_> = lines.collect();
            let mut position = Position::default();
            let mut taken = Vec::new();
            // Each stream shows what was written by then, and breaks anywhere in it.
            let mut written = 0;
            for (more, cut) in breaks {
                written = written.max(more.index(lines.len() + 1));
                let bytes = shown(&lines[..written], position.since());
                let mut stream = position.stream();
                for bytes in bytes[..cut.index(bytes.len() + 1)].chunks(piece) {
                    position.take(&mut stream, bytes, &mut taken);
                }
            }
            let mut stream = position.stream();
            for bytes in shown(&lines, position.since()).chunks(piece) {
                position.take(&mut stream, bytes, &mut taken);
            }
            prop_assert_eq!(String::from_utf8(taken).unwrap(), text(&lines));
        }
    }

    #[test]
    fn lines_that_the_node_has_thrown_away_do_not_hide_new_ones() {
        let lines: Vec<_> = (0..6).map(|no| (no * 100, format!("line {no}"))).collect();
        let mut position = Position::default();
        let mut taken = Vec::new();
        position.take(&mut position.stream(), &shown(&lines[..4], None), &mut taken);
        position.take(&mut position.stream(), &shown(&lines[4..], position.since()), &mut taken);
        assert_eq!(String::from_utf8(taken).unwrap(), text(&lines));
    }

    #[test]
    fn what_the_kubelet_says_is_no_log() {
        for piece in [1, 7, 100] {
            let mut position = Position::default();
            let mut taken = Vec::new();
            let mut stream = position.stream();
            let said = b"unable to retrieve container logs for containerd://0";
            for bytes in [&shown(&[(0, "line".into())], None)[..], said].concat().chunks(piece) {
                position.take(&mut stream, bytes, &mut taken);
            }
            assert_eq!((taken, stream.words()), (b"line\n".to_vec(), Some(String::from_utf8_lossy(said).into_owned())));
        }
    }

    #[test]
    fn the_kubelet_says_nothing_in_a_log() {
        let mut position = Position::default();
        let mut stream = position.stream();
        position.take(&mut stream, &shown(&[(0, "line".into()), (1, String::new())], None), &mut Vec::new());
        assert_eq!(stream.words(), None);
    }
}
