//! Places in a scalar's text → places in the file.

use std::ops::Range;

use crate::{
    source::{Source, Span},
    yaml::Style,
};

/// Knows where each byte of a scalar's text stands in the file.
pub struct Locator {
    node: Span,
    /// For each byte of the text its byte in the file; `None` where escapes make that unknowable.
    at: Option<Vec<usize>>,
}

impl Locator {
    pub fn new(source: &Source, node: Span, text: &str, style: Style) -> Self {
        let raw = source.slice(node);
        let skip = match style {
            Style::Quoted if raw.starts_with(['"', '\'']) => 1,
            Style::Quoted | Style::Plain | Style::Block => 0,
        };
        Self { node, at: align(text, raw, skip, node.start) }
    }

    /// The place of a range of the text; the whole scalar where that is unknown.
    pub fn span(&self, range: Range<usize>) -> Span {
        let Some(at) = &self.at else { return self.node };
        let Some(&start) = at.get(range.start) else { return self.node };
        let end = range.end.checked_sub(1).and_then(|last| at.get(last)).map_or(start, |last| last + 1);
        Span::new(start, end.max(start + 1))
    }
}

/// Walks both texts side by side. YAML only adds and folds white space, quotes and backslashes.
fn align(text: &str, raw: &str, skip: usize, offset: usize) -> Option<Vec<usize>> {
    let mut at = Vec::with_capacity(text.len());
    let mut rest = raw.char_indices().skip(skip).peekable();
    for c in text.chars() {
        let found = if c.is_whitespace() {
            let here = rest.peek().map_or(raw.len().saturating_sub(1), |(at, _)| *at);
            if rest.peek().is_some_and(|(_, raw)| raw.is_whitespace() && (*raw == '\n') == (c == '\n')) {
                rest.next();
            }
            here
        } else {
            loop {
                match rest.next()? {
                    (at, found) if found == c => break at,
                    (_, found) if found.is_whitespace() || found == '\\' || found == '\'' => {}
                    _ => return None,
                }
            }
        };
        // A doubled quote in a single-quoted scalar is one in the text.
        if c == '\'' && raw.starts_with('\'') && rest.peek().is_some_and(|(_, next)| *next == '\'') {
            rest.next();
        }
        at.extend((0..c.len_utf8()).map(|byte| offset + found + byte));
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::{self, Node};

    fn places(yaml: &str, needle: &str) -> String {
        let source = Source::new("a.yaml", yaml);
        let root: Node = yaml::parse(&source, &mut Vec::new()).unwrap();
        let node = &root.map().unwrap().entries[0].value;
        let scalar = node.scalar().unwrap();
        let start = scalar.text.find(needle).unwrap();
        let span = Locator::new(&source, node.span, &scalar.text, scalar.style).span(start..start + needle.len());
        source.slice(span).to_owned()
    }

    #[test]
    fn a_place_in_a_scalar_is_found_in_the_file() {
        assert_eq!(places("a: echo ü {{ x }}", "{{ x }}"), "{{ x }}");
        assert_eq!(places("a: 'it''s {{ x }}'", "{{ x }}"), "{{ x }}");
        assert_eq!(places("a: \"b \\\"c\\\" {{ x }}\"", "{{ x }}"), "{{ x }}");
        assert_eq!(places("a: |\n  one\n    two\n\n  {{ x }}\n", "{{ x }}"), "{{ x }}");
        assert_eq!(places("a: >-\n  one\n  {{ x }}\n  {{ y }}\n", "{{ y }}"), "{{ y }}");
        assert_eq!(places("a: one\n  two {{ x }}\n", "{{ x }}"), "{{ x }}");
    }
}
