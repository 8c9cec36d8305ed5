//! What reading collects on its way: diagnostics, templates, files.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    Files,
    code::Code,
    diagnostic::Diagnostic,
    files,
    source::{Source, Span},
    template::Template,
    yaml::Node,
};

/// The context of one compilation.
pub struct Cx<'a> {
    pub source: &'a Source,
    pub diagnostics: Vec<Diagnostic>,
    /// Templates read so far; whoever owns a part of the file drains those of his part.
    pub templates: Vec<Template>,
    /// Files referred to so far, by their path relative to the DAG file.
    pub files: BTreeMap<String, Arc<[u8]>>,
    access: &'a dyn Files,
    /// Files that templates stand in besides the DAG file, each with the place where its spans begin:
    /// they lie behind those of the DAG file and of each other.
    others: Vec<(usize, Source)>,
}

/// What a [`Cx`] has collected.
pub struct Parts {
    pub diagnostics: Vec<Diagnostic>,
    pub templates: Vec<Template>,
    pub files: BTreeMap<String, Arc<[u8]>>,
    others: Vec<(usize, Source)>,
}

impl<'a> Cx<'a> {
    pub fn new(source: &'a Source, access: &'a dyn Files) -> Self {
        Self {
            source,
            diagnostics: Vec::new(),
            templates: Vec::new(),
            files: BTreeMap::new(),
            access,
            others: Vec::new(),
        }
    }

    pub fn report(&mut self, code: Code, span: Span, message: impl Into<String>) -> &mut Diagnostic {
        let (source, span) = self.place(span);
        let diagnostic = Diagnostic::new(source, code, span, message);
        self.diagnostics.push(diagnostic);
        self.diagnostics.last_mut().expect("one was pushed")
    }

    /// Takes over what was read of another file: its diagnostics and its templates, whose places are
    /// known from now on. They begin at the place that is returned.
    pub fn adopt(&mut self, source: Source, read: Parts) -> usize {
        let Parts { diagnostics, templates, others, files: _ } = read;
        self.diagnostics.extend(diagnostics);
        let last = self.others.last().map_or(self.source.text.len(), |(start, source)| start + source.text.len());
        let start = last + 1;
        self.templates.extend(templates.into_iter().map(|template| template.moved(start)));
        self.others.push((start, source));
        self.others.extend(others.into_iter().map(|(place, source)| (start + place, source)));
        start
    }

    /// What was read of a file, for the context of the file that it belongs to.
    pub fn into_parts(self) -> Parts {
        let Self { diagnostics, templates, files, others, .. } = self;
        Parts { diagnostics, templates, files, others }
    }

    /// Where files come from.
    pub fn access(&self) -> &'a dyn Files {
        self.access
    }

    /// The file that a span is of, and the span in it.
    fn place(&self, span: Span) -> (&Source, Span) {
        match self.others.iter().rfind(|(start, _)| *start <= span.start) {
            Some((start, source)) => (source, Span::new(span.start - start, span.end - start)),
            None => (self.source, span),
        }
    }

    /// What is written at a span.
    pub fn slice(&self, span: Span) -> &str {
        let (source, span) = self.place(span);
        source.slice(span)
    }

    /// Says that a value is not what belongs here; says nothing where something was said before.
    pub fn wrong_type(&mut self, node: &Node, expected: &str) {
        if !node.is_poisoned() {
            let message = format!("expected {expected}, found {}", node.describe());
            self.report(Code::WrongType, self.head(node), message);
        }
    }

    /// The part of a node worth underlining: a list or map over several lines is its first line.
    pub fn head(&self, node: &Node) -> Span {
        let end = node.span.end.min(self.source.line_of(node.span.start).end);
        Span::new(node.span.start, end.max(node.span.start))
    }

    /// Takes every file into the DAG version that a path or pattern names.
    pub fn matching(&mut self, pattern: &str, span: Span) {
        if !pattern.contains(['*', '?', '[']) {
            self.file(pattern, span);
            return;
        }
        let found = files::normal(pattern).and_then(|pattern| files::matching(self.access, &pattern));
        match found {
            Ok(paths) => paths.iter().for_each(|path| drop(self.file(path, span))),
            Err((code, message, help)) => self.report(code, span, message).help = help,
        }
    }

    /// How a file beside the DAG file is named in messages.
    pub fn beside(&self, path: &str) -> String {
        match self.source.file.rsplit_once('/') {
            Some((folder, _)) => format!("{folder}/{path}"),
            None => path.to_owned(),
        }
    }

    /// Takes a file into the DAG version. The path is relative to the DAG file.
    pub fn file(&mut self, path: &str, span: Span) -> Option<Arc<[u8]>> {
        let known = files::normal(path).and_then(|path| match self.files.get(&path) {
            Some(bytes) => Ok((path, bytes.clone())),
            None => files::read(self.access, &path, &self.files).map(|bytes| (path, bytes)),
        });
        match known {
            Ok((path, bytes)) => {
                self.files.insert(path, bytes.clone());
                Some(bytes)
            }
            Err((code, message, help)) => {
                self.report(code, span, message).help = help;
                None
            }
        }
    }
}
