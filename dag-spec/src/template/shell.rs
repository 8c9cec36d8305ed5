//! What may go into a shell command: values from outside only through `sh`, outside of quotes.

use minijinja::machinery::ast::{CallArg, Expr, Stmt};

use super::{analyse::chain, locate::Locator};
use crate::{
    code::Code,
    read::Cx,
    source::Span,
    yaml::{Node, Style},
};

/// Checks every `{{ … }}` of a command.
pub fn check(tree: &Stmt<'_>, text: &str, place: &Locator, cx: &mut Cx<'_>) {
    let mut walk = Walk { text, place, cx, tainted: Vec::new(), quote: Quoting::default() };
    walk.statement(tree);
}

/// Names whose values come from outside, and loop variables made of them.
struct Walk<'w, 'a> {
    text: &'w str,
    place: &'w Locator,
    cx: &'w mut Cx<'a>,
    tainted: Vec<String>,
    quote: Quoting,
}

impl Walk<'_, '_> {
    fn statement(&mut self, statement: &Stmt<'_>) {
        match statement {
            Stmt::Template(template) => self.statements(&template.children),
            Stmt::EmitRaw(raw) => self.quote.feed(raw.raw),
            Stmt::EmitExpr(emit) => self.emit(&emit.expr, emit.span().start_offset as usize),
            Stmt::ForLoop(each) => {
                if self.is_tainted(&each.iter) {
                    self.taint(&each.target);
                }
                self.statements(&each.body);
                self.statements(&each.else_body);
            }
            Stmt::IfCond(cond) => {
                // Both branches begin in the same quotes; authors end them in the same, too.
                let quote = self.quote.clone();
                self.statements(&cond.true_body);
                let after = std::mem::replace(&mut self.quote, quote);
                self.statements(&cond.false_body);
                self.quote = after;
            }
            Stmt::WithBlock(with) => {
                for (target, value) in &with.assignments {
                    if self.is_tainted(value) {
                        self.taint(target);
                    }
                }
                self.statements(&with.body);
            }
            Stmt::Set(set) => {
                if self.is_tainted(&set.expr) {
                    self.taint(&set.target);
                }
            }
            Stmt::SetBlock(set) => self.statements(&set.body),
            Stmt::AutoEscape(escape) => self.statements(&escape.body),
            Stmt::FilterBlock(block) => self.statements(&block.body),
            Stmt::Macro(mac) => self.statements(&mac.body),
            Stmt::CallBlock(block) => self.statements(&block.macro_decl.body),
            Stmt::Block(block) => self.statements(&block.body),
            Stmt::Do(_) | Stmt::Import(_) | Stmt::FromImport(_) | Stmt::Extends(_) | Stmt::Include(_) => {}
        }
    }

    fn statements(&mut self, statements: &[Stmt<'_>]) {
        statements.iter().for_each(|statement| self.statement(statement));
    }

    fn taint(&mut self, target: &Expr<'_>) {
        match target {
            Expr::Var(var) => self.tainted.push(var.id.to_owned()),
            Expr::List(list) => list.items.iter().for_each(|item| self.taint(item)),
            Expr::Tuple(tuple) => tuple.items.iter().for_each(|item| self.taint(item)),
            _ => {}
        }
    }

    fn emit(&mut self, expr: &Expr<'_>, near: usize) {
        let quoted = self.quote.open();
        let through_sh = matches!(expr, Expr::Filter(filter) if filter.name == "sh");
        let tainted = self.is_tainted(expr);
        self.quote.feed_word();
        let (message, inner) = match (tainted, through_sh, quoted) {
            (false, true, Some(quote)) => {
                (format!("`sh` quotes the value itself; inside of `{quote}…{quote}` that undoes the quotes"), None)
            }
            (true, _, _) => {
                ("this value goes into the shell as it is, and could be read as a command".to_owned(), Some("sh"))
            }
            (false, _, _) => return,
        };
        let Some((start, end)) = braces(self.text, near.min(expr.span().start_offset as usize)) else { return };
        let fixed = rewrite(self.text, start, end, quoted, inner);
        let span = self.place.span(start..end);
        let line = fixed.trim();
        let help = match inner {
            Some(_) => format!("quote it with `sh` (or pass it through `env:`):\n{line}"),
            None => format!("take it out of the quotes:\n{line}"),
        };
        self.cx.report(Code::UnsafeShell, span, message).help = Some(help);
    }

    /// Whether an expression may hold text from outside.
    fn is_tainted(&self, expr: &Expr<'_>) -> bool {
        if let Some(chain) = chain(expr) {
            return self.is_tainted_name(chain.root, chain.path.first().map(|(name, _)| name.as_str()));
        }
        match expr {
            Expr::Filter(filter) => match filter.name {
                "sh" | "raw" | "int" | "float" | "length" | "count" | "bool" | "round" | "abs" => false,
                _ => filter.expr.as_ref().is_some_and(|expr| self.is_tainted(expr)) || self.any_tainted(&filter.args),
            },
            Expr::Const(_) | Expr::Test(_) | Expr::Compare(_) => false,
            Expr::UnaryOp(op) => self.is_tainted(&op.expr),
            Expr::BinOp(op) => self.is_tainted(&op.left) || self.is_tainted(&op.right),
            Expr::IfExpr(cond) => {
                self.is_tainted(&cond.true_expr) || cond.false_expr.as_ref().is_some_and(|expr| self.is_tainted(expr))
            }
            Expr::Call(call) => self.is_tainted(&call.expr) || self.any_tainted(&call.args),
            Expr::Slice(slice) => self.is_tainted(&slice.expr),
            Expr::GetAttr(get) => self.is_tainted(&get.expr),
            Expr::GetItem(get) => self.is_tainted(&get.expr),
            Expr::List(list) => list.items.iter().any(|item| self.is_tainted(item)),
            Expr::Tuple(tuple) => tuple.items.iter().any(|item| self.is_tainted(item)),
            Expr::Map(map) => map.keys.iter().chain(&map.values).any(|item| self.is_tainted(item)),
            Expr::Var(_) => false,
        }
    }

    fn any_tainted(&self, args: &[CallArg<'_>]) -> bool {
        args.iter().any(|arg| match arg {
            CallArg::Pos(expr) | CallArg::Kwarg(_, expr) | CallArg::PosSplat(expr) | CallArg::KwargSplat(expr) => {
                self.is_tainted(expr)
            }
        })
    }

    /// Whether a name holds text from outside. Dates, ids and what the DAG file itself says do not.
    fn is_tainted_name(&self, root: &str, attribute: Option<&str>) -> bool {
        match root {
            "params" | "trigger" | "tasks" | "var" => true,
            "dag_run" => matches!(attribute, None | Some("conf")),
            "ti" | "task_instance" => matches!(attribute, None | Some("xcom_pull")),
            local => self.tainted.iter().any(|name| name == local),
        }
    }
}

/// The `{{ … }}` around a place.
fn braces(text: &str, near: usize) -> Option<(usize, usize)> {
    let near = (near + 2).min(text.len());
    let near = (0..=near).rev().find(|at| text.is_char_boundary(*at))?;
    let start = text[..near].rfind("{{")?;
    let end = start + text[start..].find("}}")? + 2;
    Some((start, end))
}

/// The line with the expression quoted by `sh`, and taken out of quotes it stands in.
fn rewrite(text: &str, start: usize, end: usize, quoted: Option<char>, filter: Option<&str>) -> String {
    let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let line_end = text[end..].find('\n').map_or(text.len(), |at| end + at);
    let inner = text[start + 2..end - 2].trim().trim_matches('-').trim();
    let inner = inner.strip_suffix("| sh").map_or(inner, str::trim);
    let simple = filter.is_none() || !inner.contains(" if ") && !inner.contains(" ~ ") && !inner.contains(" + ");
    let expression = if simple { format!("{{{{ {inner} | sh }}}}") } else { format!("{{{{ ({inner}) | sh }}}}") };
    let (before, after) = (&text[line_start..start], &text[end..line_end]);
    let Some(quote) = quoted else { return format!("{before}{expression}{after}") };
    // `"a {{ x }} b"` becomes `"a "{{ x | sh }}" b"`; empty quotes are dropped.
    let before = before.strip_suffix(quote).map_or_else(|| format!("{before}{quote}"), str::to_owned);
    let after = after.strip_prefix(quote).map_or_else(|| format!("{quote}{after}"), str::to_owned);
    format!("{before}{expression}{after}")
}

/// The quotes that a shell has open, after the text so far.
#[derive(Clone, Default)]
struct Quoting {
    open: Option<char>,
    /// The last character outside of quotes, to know where comments begin.
    last: Option<char>,
    heredoc: Heredoc,
}

#[derive(Clone, Default, PartialEq)]
enum Heredoc {
    #[default]
    None,
    /// Begins on the next line.
    Announced(String),
    Inside(String),
}

impl Quoting {
    fn open(&self) -> Option<char> {
        if matches!(self.heredoc, Heredoc::Inside(_)) { None } else { self.open }
    }

    /// A value was put in: part of a word.
    fn feed_word(&mut self) {
        self.last = Some('x');
    }

    fn feed(&mut self, text: &str) {
        let mut rest = text;
        while !rest.is_empty() {
            rest = match &self.heredoc {
                Heredoc::Inside(end) => {
                    let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
                    if line.trim() == end {
                        self.heredoc = Heredoc::None;
                    }
                    after
                }
                Heredoc::None | Heredoc::Announced(_) => self.step(rest),
            };
        }
    }

    fn step<'t>(&mut self, rest: &'t str) -> &'t str {
        let c = rest.chars().next().unwrap_or('\n');
        let mut after = &rest[c.len_utf8()..];
        match (self.open, c) {
            (None | Some('"'), '\\') => {
                after = after.get(after.chars().next().map_or(0, char::len_utf8)..).unwrap_or("")
            }
            (None, '\'' | '"') => self.open = Some(c),
            (Some(open), c) if open == c => self.open = None,
            (None, '#') if self.last.is_none_or(|last| last.is_whitespace() || ";(&|".contains(last)) => {
                after = after.find('\n').map_or("", |at| &after[at..]);
            }
            (None, '<') if after.starts_with('<') && !after.starts_with("<<") => {
                let word = after[1..].trim_start_matches(['-', ' ', '\\', '\'', '"']);
                let end: String = word.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                if !end.is_empty() {
                    after = word[end.len()..].trim_start_matches(['\'', '"']);
                    self.heredoc = Heredoc::Announced(end);
                }
            }
            (None, '\n') => {
                if let Heredoc::Announced(end) = std::mem::take(&mut self.heredoc) {
                    self.heredoc = Heredoc::Inside(end);
                }
            }
            _ => {}
        }
        self.last = Some(c);
        after
    }
}

/// A ` #` that YAML took for a comment in the middle of a quoted word of a one-line command.
pub fn check_comment(node: &Node, cx: &mut Cx<'_>) {
    let Some(scalar) = node.scalar().filter(|scalar| scalar.style == Style::Plain) else { return };
    let line = cx.source.line_of(node.span.end.saturating_sub(1));
    let tail = &cx.source.text[node.span.end.min(line.end)..line.end];
    if !tail.trim_start().starts_with('#') {
        return;
    }
    let mut quoting = Quoting::default();
    quoting.feed(&scalar.text);
    let brackets = |open: char, close: char| scalar.text.matches(open).count() != scalar.text.matches(close).count();
    if quoting.open.is_none() && !brackets('(', ')') && !brackets('{', '}') {
        return;
    }
    let head = cx.source.line_of(node.span.start);
    let key = cx.source.text[head.start..node.span.start].trim();
    let whole = format!("{}{}", cx.source.slice(node.span), tail);
    let span = Span::new(line.end - tail.trim_start().len(), line.end);
    cx.report(Code::CommentInShell, span, "` #` begins a comment in YAML, so the command ends before it").help =
        Some(format!("quote the command:\n{key} {}", crate::yaml::quoted(whole.trim_end())));
}
