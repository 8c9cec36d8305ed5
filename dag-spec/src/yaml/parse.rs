//! Events of the parser → nodes, with every limit.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Tag};

use super::{
    Entry, Map, Node, NodeKind, Scalar, Style,
    trap::{self, Trap},
};
use crate::{
    code::Code,
    diagnostic::Diagnostic,
    limit::{ALIASES_MAX, DEPTH_MAX, DIAGNOSTICS_MAX, NODES_MAX},
    source::{Source, Span},
};

/// Parses a file. A known trap of YAML (an unquoted `@`, a `: ` inside a command …) is reported, its
/// value blotted out and parsing goes on; any other fault of syntax ends it with `None`.
pub fn parse(source: &Source, diagnostics: &mut Vec<Diagnostic>) -> Option<Node> {
    let mut text = source.text.to_string();
    let mut blots: Vec<Span> = Vec::new();
    loop {
        let mut builder = Builder::new(source, &blots);
        match builder.run(&text) {
            Ok(root) => {
                diagnostics.append(&mut builder.diagnostics);
                return root;
            }
            Err(Stop::Limit(diagnostic)) => {
                diagnostics.push(*diagnostic);
                return None;
            }
            Err(Stop::Scan { at, info }) => match trap::at(source, &text, at, &info) {
                Some(Trap { span, diagnostic }) if blots.len() < DIAGNOSTICS_MAX && !blots.contains(&span) => {
                    diagnostics.push(diagnostic);
                    text.replace_range(span.range(), &"x".repeat(span.end - span.start));
                    blots.push(span);
                }
                _ => {
                    diagnostics.append(&mut builder.diagnostics);
                    diagnostics.push(trap::syntax(source, at, &info, builder.open_bracket()));
                    return None;
                }
            },
        }
    }
}

/// Why parsing cannot go on.
enum Stop {
    Limit(Box<Diagnostic>),
    Scan { at: usize, info: String },
}

/// A list or map still open.
enum Open {
    List { start: usize, anchor: usize, items: Vec<Node> },
    Map { start: usize, anchor: usize, map: Map, key: Option<(Option<String>, Span)>, keys: HashMap<String, Span> },
}

/// A node that aliases may repeat.
#[derive(Clone)]
struct Anchored {
    node: Node,
    size: usize,
    depth: usize,
}

struct Builder<'a> {
    source: &'a Source,
    blots: &'a [Span],
    open: Vec<Open>,
    root: Option<Node>,
    documents: usize,
    anchors: HashMap<usize, Anchored>,
    aliases: usize,
    nodes: usize,
    diagnostics: Vec<Diagnostic>,
}

impl<'a> Builder<'a> {
    fn new(source: &'a Source, blots: &'a [Span]) -> Self {
        Self {
            source,
            blots,
            open: Vec::new(),
            root: None,
            documents: 0,
            anchors: HashMap::new(),
            aliases: 0,
            nodes: 0,
            diagnostics: Vec::new(),
        }
    }

    fn run(&mut self, text: &str) -> Result<Option<Node>, Stop> {
        let bytes = ByteIndex::new(text);
        for event in Parser::new_from_str(text) {
            let (event, span) = event.map_err(|error| scan(&error, &bytes))?;
            let span = Span::new(bytes.at(span.start.index()), bytes.at(span.end.index()));
            if let Event::DocumentStart(_) = event {
                self.documents += 1;
                if self.documents == 2 {
                    let at = self.source.text[..span.start].rfind("---").unwrap_or(span.start);
                    let span = Span::new(at, (at + 3).min(self.source.text.len()));
                    self.push(Code::SeveralDocuments, span, "a second document begins here; one file is one DAG")
                        .help = Some("put each DAG into a file of its own".into());
                    break;
                }
            }
            self.event(event, span)?;
        }
        Ok(self.root.take())
    }

    /// Where the innermost `[` or `{` is that waits to be closed.
    fn open_bracket(&self) -> Option<usize> {
        let start = match self.open.last()? {
            Open::List { start, .. } | Open::Map { start, .. } => *start,
        };
        self.source.text[start..].starts_with(['[', '{']).then_some(start)
    }

    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Stop> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                let node = self.scalar(&text, style, tag.as_deref(), span);
                self.count(1, span)?;
                self.finish(node, anchor)
            }
            Event::Alias(id) => {
                self.aliases += 1;
                if ALIASES_MAX < self.aliases {
                    return Err(self.limit(span, format!("the file has more than {ALIASES_MAX} aliases")));
                }
                // An alias inside of its own anchor has nothing to repeat yet.
                let Some(anchored) = self.anchors.get(&id) else {
                    return Err(self.limit(span, "an alias repeats the value that it is part of".into()));
                };
                let Anchored { node, size, depth } = anchored.clone();
                self.deeper(depth, span)?;
                self.count(size, span)?;
                self.add(node);
                Ok(())
            }
            Event::SequenceStart(anchor, tag) => {
                self.tagged(tag.as_deref(), span);
                self.deeper(1, span)?;
                self.open.push(Open::List { start: span.start, anchor, items: Vec::new() });
                self.count(1, span)
            }
            Event::MappingStart(anchor, tag) => {
                self.tagged(tag.as_deref(), span);
                self.deeper(1, span)?;
                self.open.push(Open::Map {
                    start: span.start,
                    anchor,
                    map: Map::default(),
                    key: None,
                    keys: HashMap::new(),
                });
                self.count(1, span)
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(open) = self.open.pop() {
                    let (node, anchor) = close(open, span);
                    let node = trap::template_map(self.source, node, &mut self.diagnostics);
                    return self.finish(node, anchor);
                }
                Ok(())
            }
        }
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, span: Span) -> Node {
        if self.blots.iter().any(|blot| blot.start < span.end && span.start < blot.end) {
            return Node { span, kind: NodeKind::Poisoned };
        }
        if style == ScalarStyle::Plain
            && let Some(diagnostic) = trap::swallowed(self.source, text, tag, span)
        {
            self.diagnostics.push(diagnostic);
            return Node { span, kind: NodeKind::Poisoned };
        }
        let forced_text = self.tagged(tag, span);
        let style = match style {
            ScalarStyle::Plain if !forced_text => Style::Plain,
            ScalarStyle::Plain | ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => Style::Quoted,
            ScalarStyle::Literal | ScalarStyle::Folded => Style::Block,
        };
        Node { span, kind: NodeKind::Scalar(Scalar { text: text.into(), style }) }
    }

    /// Whether a tag makes text of its value. Tags that are not YAML's own mean nothing here.
    fn tagged(&mut self, tag: Option<&Tag>, span: Span) -> bool {
        let Some(tag) = tag else { return false };
        if !tag.is_yaml_core_schema() {
            let span = Span::new(span.start, span.end.max(span.start + 1));
            self.push(Code::UnknownTag, span, format!("unknown tag `{tag}`")).help =
                Some("remove the tag, or quote the value if it begins with `!`".into());
        }
        tag.is_yaml_core_schema() && tag.suffix == "str"
    }

    /// Adds a node that is complete and remembers it under its anchor.
    fn finish(&mut self, node: Node, anchor: usize) -> Result<(), Stop> {
        if anchor != 0 {
            let (size, depth) = measure(&node);
            self.count(size, node.span)?;
            self.anchors.insert(anchor, Anchored { node: node.clone(), size, depth });
        }
        self.add(node);
        Ok(())
    }

    fn add(&mut self, node: Node) {
        let mut complaint = None;
        match self.open.last_mut() {
            None => self.root = self.root.take().or(Some(node)),
            Some(Open::List { items, .. }) => items.push(node),
            Some(Open::Map { start, map, key, keys, .. }) => match key.take() {
                None => {
                    let text = node.scalar().map(|scalar| scalar.text.clone());
                    // `{{ … }}` without quotes is a map with a map as its key: a trap of its own.
                    let template = self.source.text[*start..].starts_with("{{");
                    if text.is_none() && !node.is_poisoned() && !template {
                        complaint = Some((
                            Code::KeyNotText,
                            node.span,
                            format!("a key is a text, this is {}", node.describe()),
                            None,
                        ));
                    }
                    *key = Some((text, node.span));
                }
                Some((None, _)) => {}
                Some((Some(key), key_span)) => match keys.get(&key) {
                    Some(first) => {
                        let line = self.source.position(first.start).line;
                        let message = format!("duplicate key `{key}`");
                        complaint = Some((
                            Code::DuplicateKey,
                            key_span,
                            message,
                            Some(format!("the first one is on line {line}; remove one of them")),
                        ));
                    }
                    None => {
                        keys.insert(key.clone(), key_span);
                        map.entries.push(Entry { key, key_span, value: node });
                    }
                },
            },
        }
        if let Some((code, span, message, help)) = complaint {
            self.push(code, span, message).help = help;
        }
    }

    fn push(&mut self, code: Code, span: Span, message: impl Into<String>) -> &mut Diagnostic {
        self.diagnostics.push(Diagnostic::new(self.source, code, span, message));
        self.diagnostics.last_mut().expect("one was pushed")
    }

    fn count(&mut self, nodes: usize, span: Span) -> Result<(), Stop> {
        self.nodes += nodes;
        if NODES_MAX < self.nodes {
            return Err(
                self.limit(span, format!("the file has more than {NODES_MAX} values once its aliases are expanded"))
            );
        }
        Ok(())
    }

    fn deeper(&self, levels: usize, span: Span) -> Result<(), Stop> {
        if DEPTH_MAX < self.open.len() + levels {
            return Err(self.limit(span, format!("maps and lists are nested deeper than {DEPTH_MAX} levels")));
        }
        Ok(())
    }

    fn limit(&self, span: Span, message: String) -> Stop {
        Stop::Limit(Box::new(Diagnostic::new(self.source, Code::TooComplex, span, message)))
    }
}

fn close(open: Open, end: Span) -> (Node, usize) {
    // The end of a block collection is where the next thing begins; its own end does not matter.
    match open {
        Open::List { start, anchor, items } => {
            (Node { span: Span::new(start, end.end), kind: NodeKind::List(items) }, anchor)
        }
        Open::Map { start, anchor, map, .. } => {
            (Node { span: Span::new(start, end.end), kind: NodeKind::Map(map) }, anchor)
        }
    }
}

/// How many values a node holds with itself, and how deep it nests.
fn measure(node: &Node) -> (usize, usize) {
    let inner = |nodes: &mut dyn Iterator<Item = &Node>| {
        let (size, depth) = nodes.map(measure).fold((0, 0), |(size, depth), (s, d)| (size + s, depth.max(d)));
        (size + 1, depth + 1)
    };
    match &node.kind {
        NodeKind::Scalar(_) | NodeKind::Poisoned => (1, 0),
        NodeKind::List(items) => inner(&mut items.iter()),
        NodeKind::Map(map) => inner(&mut map.entries.iter().map(|entry| &entry.value)),
    }
}

fn scan(error: &ScanError, bytes: &ByteIndex) -> Stop {
    Stop::Scan { at: bytes.at(error.marker().index()), info: error.info().to_owned() }
}

/// The parser counts characters, we count bytes.
struct ByteIndex {
    /// Empty for ASCII, where both are the same.
    starts: Vec<usize>,
    len: usize,
}

impl ByteIndex {
    fn new(text: &str) -> Self {
        let starts = if text.is_ascii() { Vec::new() } else { text.char_indices().map(|(at, _)| at).collect() };
        Self { starts, len: text.len() }
    }

    fn at(&self, chars: usize) -> usize {
        let at = if self.starts.is_empty() { chars } else { self.starts.get(chars).copied().unwrap_or(self.len) };
        at.min(self.len)
    }
}
