//! Templates: Jinja in values, checked when the file is loaded, rendered when a task is launched.

mod analyse;
mod context;
mod date;
mod environment;
mod filter;
mod growth;
mod locate;
mod method;
mod names;
mod shell;
mod value;

use std::ops::Range;

use minijinja::machinery::{self, ast};

pub use context::{Context, RunContext, TaskInstanceContext};
pub(crate) use context::{Scope, Variables};
pub use date::LocalTime;
pub use environment::{RenderError, Renderer};
pub(crate) use names::{Attributes, DATE_ATTRIBUTES, DATE_METHODS, FILTERS, FUNCTIONS, TESTS, VARIABLES};
pub use value::Tree;

use crate::{
    code::Code,
    limit::{TEMPLATE_BLOCKS_MAX, TEMPLATE_TAG_TOKENS_MAX},
    read::{Cx, Definitions, Read, Shape},
    source::Span,
    yaml::{Node, Style},
};

/// A text that may hold templates.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    pub text: String,
    pub span: Span,
    pub kind: Kind,
    /// What it refers to, with places in the file.
    pub uses: Vec<Use>,
}

/// What rendering makes of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Nothing: it has no template.
    Literal,
    /// A text.
    Text,
    /// Exactly one expression: a value that keeps its type.
    Expression,
}

/// A variable that a template refers to, with the attributes it asks for: `tasks.load.rows`.
#[derive(Debug, Clone, PartialEq)]
pub struct Use {
    pub root: String,
    pub root_span: Span,
    pub path: Vec<(String, Span)>,
    /// The whole reference.
    pub span: Span,
    /// An item behind `path` is computed: `params[name]`.
    pub dynamic: Option<Span>,
    /// Whether `default` or `is defined` takes care of its absence.
    pub guarded: bool,
    /// The name behind the last dot is called: `logical_date.strftime(…)`.
    pub called: bool,
}

/// How a text is used, which decides what is safe in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    Value,
    /// A command line that a shell reads.
    Shell,
}

impl Template {
    pub fn literal(text: &str) -> Self {
        Self { text: text.to_owned(), span: Span::default(), kind: Kind::Literal, uses: Vec::new() }
    }

    /// Reads a scalar, checks its syntax and notes it for the checks that need the whole DAG.
    pub fn read_as(node: &Node, usage: Usage, cx: &mut Cx<'_>) -> Option<Self> {
        let Some(scalar) = node.scalar() else {
            cx.wrong_type(node, "a text");
            return None;
        };
        let mut template = Self { text: scalar.text.clone(), span: node.span, kind: Kind::Literal, uses: Vec::new() };
        if !["{{", "{%", "{#"].iter().any(|open| scalar.text.contains(open)) {
            return Some(template);
        }
        let place = locate::Locator::new(cx.source, node.span, &scalar.text, scalar.style);
        if let Some((range, message)) = too_long(&scalar.text) {
            cx.report(Code::TemplateSyntax, place.span(range), message).help =
                Some("do the work in the task itself".into());
            return None;
        }
        let tree = match machinery::parse(&scalar.text, "template", Default::default()) {
            Ok(tree) => tree,
            Err(error) => {
                let span = error.range().map_or(node.span, |range| place.span(range));
                cx.report(Code::TemplateSyntax, span, syntax_message(error.detail().unwrap_or("it cannot be read")));
                return None;
            }
        };
        template.kind = kind(&tree, &scalar.text);
        template.uses = analyse::uses(&tree, &place, cx);
        growth::check(&tree, &place, cx);
        if usage == Usage::Shell {
            shell::check(&tree, &scalar.text, &place, cx);
        }
        cx.templates.push(template.clone());
        Some(template)
    }

    /// The template of a file whose spans begin elsewhere.
    pub fn moved(mut self, by: usize) -> Self {
        let shift = |span: &mut Span| *span = Span::new(span.start + by, span.end + by);
        shift(&mut self.span);
        for used in &mut self.uses {
            shift(&mut used.root_span);
            shift(&mut used.span);
            used.dynamic.iter_mut().for_each(shift);
            used.path.iter_mut().for_each(|(_, span)| shift(span));
        }
        self
    }

    /// The expression of a [`Kind::Expression`].
    pub fn expression(&self) -> &str {
        let text = self.text.trim();
        let text = text.strip_prefix("{{").and_then(|text| text.strip_suffix("}}")).unwrap_or(text);
        let text = text.strip_prefix(['-', '+']).unwrap_or(text);
        text.strip_suffix(['-', '+']).unwrap_or(text).trim()
    }
}

/// The place of a template that is too long to be walked, and what to say about it.
fn too_long(text: &str) -> Option<(Range<usize>, String)> {
    use machinery::Token;

    let (mut blocks, mut tokens) = (0, 0);
    for token in machinery::tokenize(text, false, Default::default()) {
        // What the tokenizer cannot read, the parser reports.
        let Ok((token, span)) = token else { return None };
        let place = span.start_offset as usize..span.end_offset as usize;
        match token {
            Token::TemplateData(_) | Token::VariableStart => tokens = 0,
            Token::BlockStart => {
                blocks += 1;
                tokens = 0;
                if TEMPLATE_BLOCKS_MAX < blocks {
                    return Some((place, format!("a value has at most {TEMPLATE_BLOCKS_MAX} blocks (`{{% … %}}`)")));
                }
            }
            _ => tokens += 1,
        }
        if TEMPLATE_TAG_TOKENS_MAX < tokens {
            return Some((place, format!("an expression has at most {TEMPLATE_TAG_TOKENS_MAX} words")));
        }
    }
    None
}

fn syntax_message(detail: &str) -> String {
    match detail {
        "unexpected end of input, expected end of variable block" => "`{{` is not closed with `}}`".into(),
        "unexpected end of input, expected end of block" => "a `{% … %}` block is not closed, or not ended".into(),
        "unexpected `}`, expected end of variable block" => "`{{` is closed with `}}`, this is one `}`".into(),
        other => format!("template: {other}"),
    }
}

fn kind(tree: &ast::Stmt<'_>, text: &str) -> Kind {
    let ast::Stmt::Template(template) = tree else { return Kind::Text };
    match template.children.as_slice() {
        [ast::Stmt::EmitExpr(_)] if text.starts_with("{{") && text.ends_with("}}") => Kind::Expression,
        _ => Kind::Text,
    }
}

impl Read for Template {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        if node.scalar().is_some_and(|scalar| scalar.style == Style::Plain && scalar.text.is_empty()) {
            cx.wrong_type(node, "a text");
            return None;
        }
        Self::read_as(node, Usage::Value, cx)
    }

    fn shape(_: &mut Definitions) -> Shape {
        Shape::new("template", serde_json::json!({ "type": ["string", "number", "boolean"] }))
    }
}

/// A text that a shell reads: values from outside must be quoted with `sh`.
#[derive(Debug, Clone, PartialEq)]
pub struct ShellTemplate(pub Template);

impl Read for ShellTemplate {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        if node.is_null() {
            cx.wrong_type(node, "a shell command");
            return None;
        }
        shell::check_comment(node, cx);
        Template::read_as(node, Usage::Shell, cx).map(Self)
    }

    fn shape(_: &mut Definitions) -> Shape {
        Shape::new("shell command", serde_json::json!({ "type": "string" }))
    }
}
