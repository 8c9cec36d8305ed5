//! A large output at the end of a container's log.
//!
//! ```text
//! \n
//! \x1egridflow.io/output ATTEMPT 0 {"rows": [1, 2, …\n
//! \x1egridflow.io/output ATTEMPT 1 …, 9]}\n
//! ```
//! Each line is short enough to be one write that nothing else can come into, and one entry of the container's log.
//! It begins with a control character that JSON cannot contain, so it is found also where the runtime laid it into the
//! middle of somebody else's long line. The JSON is on one line: line breaks between its parts become spaces.

use std::io::{self, Write};

/// Begins each line; the attempt and a space follow, so that a log that quotes another one is not taken for it.
pub const MARK: &str = "\x1egridflow.io/output ";

/// Below `PIPE_BUF` (4,096) with everything around it.
const CHUNK_BYTES_MAX: usize = 3_800;

/// The JSON as it travels: one line, the same value, the same length.
pub fn on_one_line(json: &str) -> String {
    // In valid JSON a line break can only stand between its parts.
    json.replace(['\n', '\r'], " ")
}

/// Writes the frame of a text that has no line breaks. The first line break ends what the command left unfinished.
pub fn write(out: &mut impl Write, attempt: &str, line: &str) -> io::Result<()> {
    out.write_all(b"\n")?;
    let mut rest = line;
    let mut no = 0;
    while !rest.is_empty() {
        let (chunk, behind) = rest.split_at(rest.floor_char_boundary(CHUNK_BYTES_MAX));
        // One write each.
        out.write_all(format!("{MARK}{attempt} {no} {chunk}\n").as_bytes())?;
        out.flush()?;
        rest = behind;
        no += 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_into_short_lines_between_characters() {
        let text = "ü".repeat(4_000);
        let mut out = Vec::new();
        write(&mut out, "a", &text).unwrap();
        let out = String::from_utf8(out).unwrap();
        assert!(out.lines().all(|line| line.len() < 4_000));
        let chunks = out
            .lines()
            .skip(1)
            .enumerate()
            .map(|(no, line)| line.strip_prefix(&format!("{MARK}a {no} ")).unwrap().to_owned());
        assert_eq!(chunks.collect::<String>(), text);
    }

    #[test]
    fn line_breaks_between_parts_become_spaces() {
        assert_eq!(on_one_line("{\n\"a\":\r\n\"\\n\"}"), "{ \"a\":  \"\\n\"}");
    }
}
