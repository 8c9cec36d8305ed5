//! The text of a DAG file, and positions in it.

use std::{ops::Range, sync::Arc};

/// A range of bytes in a [`Source`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span {
    pub start: usize,
    pub end: usize,
}

impl Span {
    pub const fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }

    pub fn range(self) -> Range<usize> {
        self.start..self.end
    }
}

/// A line and a column, both from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

/// The text of one DAG file with an index of its lines.
#[derive(Debug, Clone)]
pub struct Source {
    pub file: Arc<str>,
    pub text: Arc<str>,
    /// The byte at which each line starts.
    lines: Vec<usize>,
}

impl Source {
    pub fn new(file: &str, text: &str) -> Self {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { file: file.into(), text: text.into(), lines }
    }

    /// The text of a range; empty where the range is none of this source.
    pub fn slice(&self, span: Span) -> &str {
        self.text.get(span.range()).unwrap_or("")
    }

    pub fn position(&self, at: usize) -> Position {
        let at = self.floor(at);
        let line = self.lines.partition_point(|start| *start <= at) - 1;
        let column = self.text[self.lines[line]..at].chars().count() + 1;
        Position { line: line + 1, column }
    }

    /// The bytes of the line that holds a byte, without its line break.
    pub fn line_of(&self, at: usize) -> Span {
        let line = self.lines.partition_point(|start| *start <= at) - 1;
        self.line(line + 1).expect("a byte is on a line of its source")
    }

    /// The bytes of a line (from 1), without its line break.
    pub fn line(&self, number: usize) -> Option<Span> {
        let start = *self.lines.get(number.checked_sub(1)?)?;
        let end = self.lines.get(number).map_or(self.text.len(), |next| next - 1);
        let end = if self.text[start..end].ends_with('\r') { end - 1 } else { end };
        Some(Span::new(start, end))
    }

    /// The span, widened to whole characters.
    pub fn whole(&self, span: Span) -> Span {
        let end = span.end.min(self.text.len());
        let end = (end..=self.text.len()).find(|at| self.text.is_char_boundary(*at)).unwrap_or(end);
        let start = self.floor(span.start);
        Span::new(start, end.max(start))
    }

    /// The nearest start of a character at or before a byte.
    fn floor(&self, at: usize) -> usize {
        let at = at.min(self.text.len());
        (0..=at).rev().find(|at| self.text.is_char_boundary(*at)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_from_one() {
        let source = Source::new("a.yaml", "a: ü\r\nb: c");
        assert_eq!(source.position(0), Position { line: 1, column: 1 });
        assert_eq!(source.position(5), Position { line: 1, column: 5 });
        assert_eq!(source.position(7), Position { line: 2, column: 1 });
        assert_eq!(source.slice(source.line_of(1)), "a: ü");
        assert_eq!(source.slice(source.line_of(99)), "b: c");
    }
}
