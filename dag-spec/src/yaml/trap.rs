//! Where YAML reads something else than its author meant: found, explained, with the corrected line.

use saphyr_parser::Tag;

use super::{Node, NodeKind};
use crate::{
    code::Code,
    diagnostic::Diagnostic,
    limit::DEPTH_MAX,
    source::{Source, Span},
};

/// A value that YAML cannot read, and what to say about it.
pub struct Trap {
    pub span: Span,
    pub diagnostic: Diagnostic,
}

/// The trap behind a scan error, if it is one. `text` is the source with earlier traps blotted out.
pub fn at(source: &Source, text: &str, at: usize, info: &str) -> Option<Trap> {
    let line = source.line_of(at.min(source.text.len().saturating_sub(1)));
    let start = value_start(&text[line.range()]).map_or(line.start, |offset| line.start + offset);
    let here = text[at.min(text.len())..].chars().next();
    let span = |from: usize| Span::new(from, value_end(text, from, line.end, start));
    if info.starts_with("unexpected character") || info.contains("anchor") {
        if &text[start..at.max(start)] == "{" {
            return Some(template(source, Span::new(start, trimmed_end(text, start, line.end))));
        }
        return Some(unquoted(source, span(at), here?));
    }
    if info.starts_with("mapping values are not allowed") && start < at && at < line.end {
        let span = Span::new(start, value_end(text, start, line.end, start));
        let message = "`: ` inside an unquoted value begins a new key";
        return Some(quote(source, Code::ColonInText, span, message));
    }
    if info.starts_with("invalid trailing content") && start < at {
        let message = "a value that begins with a quote ends with it; something follows";
        return Some(quote(
            source,
            Code::TextAfterQuote,
            Span::new(start, value_end(text, start, line.end, start)),
            message,
        ));
    }
    if text[start..].starts_with("{{") && start < at && at <= line.end {
        return Some(template(source, Span::new(start, trimmed_end(text, start, line.end))));
    }
    None
}

/// A value that looks like a map to YAML because `{{` was not quoted.
pub fn template_map(source: &Source, node: Node, diagnostics: &mut Vec<Diagnostic>) -> Node {
    let is_map = matches!(node.kind, NodeKind::Map(_));
    if !is_map || !source.text[node.span.start..].starts_with("{{") {
        return node;
    }
    diagnostics.push(template(source, node.span).diagnostic);
    Node { span: node.span, kind: NodeKind::Poisoned }
}

/// A plain value that YAML took for a tag: `!important` or `! grep …`.
pub fn swallowed(source: &Source, text: &str, tag: Option<&Tag>, span: Span) -> Option<Diagnostic> {
    let tag = tag?;
    let written = source.slice(span);
    let bare = tag.handle.is_empty() && tag.suffix == "!";
    let empty = text.is_empty() && !tag.is_yaml_core_schema();
    if !written.starts_with('!') || !(bare || empty) {
        return None;
    }
    Some(unquoted(source, span, '!').diagnostic)
}

/// A fault of syntax that is none of the traps.
pub fn syntax(source: &Source, at: usize, info: &str, open_bracket: Option<usize>) -> Diagnostic {
    if info.contains("recursion limit") {
        // The scanner looks further ahead than we let anyone nest.
        let span = Span::new(at.min(source.text.len()), at + 1);
        let message = format!("maps and lists are nested deeper than {DEPTH_MAX} levels");
        return Diagnostic::new(source, Code::TooComplex, span, message);
    }
    let at_quote = info.contains("quoted scalar") && (info.contains("end of stream") || info.contains("indentation"));
    let at = open_bracket.filter(|_| !at_quote).unwrap_or(at);
    let last = source.text.trim_end().len().saturating_sub(1);
    let at = at.min(last);
    let span = Span::new(at, at + 1);
    let new = |code, message: &str| Diagnostic::new(source, code, span, message);
    if info.contains("tab") {
        let line = source.line_of(at);
        let tab = source.slice(line).find('\t').map_or(at, |offset| line.start + offset);
        let new = |code, message: &str| Diagnostic::new(source, code, Span::new(tab, tab + 1), message);
        return new(Code::Tab, "a tab cannot indent YAML").help("indent with spaces");
    }
    if at_quote {
        return new(Code::Unclosed, "this quote is not closed, or not all of its lines are indented")
            .help("close the quote; a quote inside a quoted text is doubled (`''`) or escaped (`\\\"`)");
    }
    if open_bracket.is_some() {
        return new(Code::Unclosed, "this bracket is not closed, or what is in it is no list or map")
            .help("close it with `]` or `}`, and separate its items with `,`");
    }
    if info.contains("expected key")
        || info.contains("mapping values")
        || info.contains("block sequence")
        || info.contains("block end")
        || info.contains("simple key")
    {
        return new(Code::Indentation, "this line does not fit the lines above it")
            .help("check the indentation, and that each key is followed by `: `");
    }
    new(Code::Syntax, &format!("not valid YAML: {info}"))
}

fn unquoted(source: &Source, span: Span, first: char) -> Trap {
    let meaning = match first {
        '*' => "an alias of a value marked with `&`",
        '&' => "an anchor, a mark for aliases",
        '!' => "a tag, the type of a value",
        '%' => "a directive",
        '{' | '}' => return template(source, span),
        _ => "a reserved character",
    };
    let first = if first == '`' { "backtick".to_owned() } else { format!("`{first}`") };
    let message = format!("an unquoted {first} at the start of a value is {meaning} in YAML");
    quote(source, Code::UnquotedStart, span, &message)
}

fn template(source: &Source, span: Span) -> Trap {
    let end = trimmed_end(&source.text, span.start, source.line_of(span.start).end).max(span.end);
    let inside_list = source.text[..span.start].trim_end().ends_with(['[', ',']);
    let span = if inside_list { span } else { Span::new(span.start, end) };
    quote(source, Code::UnquotedTemplate, span, "an unquoted `{` at the start of a value begins a map in YAML")
}

fn quote(source: &Source, code: Code, span: Span, message: &str) -> Trap {
    let line = source.line_of(span.start);
    let before = &source.text[line.start..span.start];
    let value = source.slice(span);
    let after = source.text.get(span.end..line.end.max(span.end)).unwrap_or("");
    let fixed = format!("{}{}{after}", before.trim_start(), quoted(value));
    Trap {
        span,
        diagnostic: Diagnostic::new(source, code, span, message)
            .help(format!("quote the value:\n{}", fixed.trim_end())),
    }
}

/// A text in quotes that YAML reads back unchanged.
pub fn quoted(text: &str) -> String {
    if text.contains(['"', '\\']) { format!("'{}'", text.replace('\'', "''")) } else { format!("\"{text}\"") }
}

/// Where the value of a line begins: after `- ` and `key: `.
fn value_start(line: &str) -> Option<usize> {
    let mut at = line.len() - line.trim_start().len();
    while line[at..].starts_with("- ") {
        at += 2 + (line[at + 2..].len() - line[at + 2..].trim_start().len());
    }
    let key_end = key_end(&line[at..]).map(|end| at + end);
    let at = key_end.unwrap_or(at);
    Some(at + (line[at..].len() - line[at..].trim_start().len()))
}

/// Just behind the `:` that ends a key at the start of a text.
fn key_end(text: &str) -> Option<usize> {
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), c) if open == c => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') if at == 0 => quote = Some(c),
            (None, '{' | '[' | '#' | '@' | '`') if at == 0 => return None,
            (None, ':') if text[at + 1..].starts_with([' ', '\t']) || at + 1 == text.len() => return Some(at + 1),
            (None, _) => {}
        }
    }
    None
}

/// The end of a value on its line; inside of `[…]` or `{…}` it ends at the next `,` or bracket.
fn value_end(text: &str, from: usize, line_end: usize, value_start: usize) -> usize {
    let before = &text[value_start.min(from)..from];
    let depth = before.matches(['[', '{']).count() as i64 - before.matches([']', '}']).count() as i64;
    if 0 < depth && value_start < from {
        let end = text[from..line_end].find([',', ']', '}']).map_or(line_end, |offset| from + offset);
        return trimmed_end(text, from, end).max(from + 1);
    }
    trimmed_end(text, from, line_end).max(from + 1).min(text.len())
}

fn trimmed_end(text: &str, from: usize, line_end: usize) -> usize {
    let value = &text[from..line_end];
    let value = value.find(" #").map_or(value, |at| {
        if value[..at].matches(['"', '\'']).count().is_multiple_of(2) { &value[..at] } else { value }
    });
    from + value.trim_end().len()
}
