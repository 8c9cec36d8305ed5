//! How large a template's values can become, bounded before it ever runs.
//!
//! Fuel counts instructions and the output is cut, but `{% set b = a ~ a %}` doubles a value with
//! every line. Here each expression gets an upper bound, with every input taken as large as it may be.

use std::collections::HashMap;

use minijinja::machinery::ast::{BinOpKind, CallArg, Expr, Stmt};

use super::locate::Locator;
use crate::{code::Code, limit::RENDERED_BYTES_MAX, read::Cx};

/// The largest bound of one expression.
const BYTES_MAX: f64 = 64.0 * RENDERED_BYTES_MAX as f64;

/// What an input from outside is taken as.
const INPUT: f64 = RENDERED_BYTES_MAX as f64;

/// Reports the first expression that could grow too large.
pub fn check(tree: &Stmt<'_>, place: &Locator, cx: &mut Cx<'_>) {
    let mut walk = Walk { sizes: HashMap::new(), found: None };
    walk.statement(tree);
    if let Some((start, end)) = walk.found {
        let message = format!("this could make a text of more than {} MiB", BYTES_MAX as usize >> 20);
        cx.report(Code::TemplateSyntax, place.span(start..end), message).help =
            Some("make large texts in the task itself".into());
    }
}

struct Walk<'s> {
    sizes: HashMap<&'s str, f64>,
    found: Option<(usize, usize)>,
}

impl<'s> Walk<'s> {
    fn statement(&mut self, statement: &Stmt<'s>) {
        match statement {
            Stmt::Template(template) => self.statements(&template.children),
            Stmt::EmitExpr(emit) => drop(self.checked(&emit.expr)),
            Stmt::ForLoop(each) => {
                let size = self.checked(&each.iter);
                self.bind(&each.target, size);
                self.statements(&each.body);
                self.statements(&each.else_body);
            }
            Stmt::IfCond(cond) => {
                self.checked(&cond.expr);
                self.statements(&cond.true_body);
                self.statements(&cond.false_body);
            }
            Stmt::WithBlock(with) => {
                for (target, value) in &with.assignments {
                    let size = self.checked(value);
                    self.bind(target, size);
                }
                self.statements(&with.body);
            }
            Stmt::Set(set) => {
                let size = self.checked(&set.expr);
                self.bind(&set.target, size);
            }
            // What collects output into a value is refused elsewhere.
            Stmt::EmitRaw(_)
            | Stmt::SetBlock(_)
            | Stmt::FilterBlock(_)
            | Stmt::AutoEscape(_)
            | Stmt::Macro(_)
            | Stmt::CallBlock(_)
            | Stmt::Block(_)
            | Stmt::Do(_)
            | Stmt::Import(_)
            | Stmt::FromImport(_)
            | Stmt::Extends(_)
            | Stmt::Include(_) => {}
        }
    }

    fn statements(&mut self, statements: &[Stmt<'s>]) {
        statements.iter().for_each(|statement| self.statement(statement));
    }

    fn bind(&mut self, target: &Expr<'s>, size: f64) {
        match target {
            Expr::Var(var) => {
                let known = self.sizes.entry(var.id).or_insert(0.0);
                *known = known.max(size);
            }
            Expr::List(list) => list.items.iter().for_each(|item| self.bind(item, size)),
            Expr::Tuple(tuple) => tuple.items.iter().for_each(|item| self.bind(item, size)),
            _ => {}
        }
    }

    fn checked(&mut self, expr: &Expr<'s>) -> f64 {
        let size = self.size(expr);
        if BYTES_MAX < size && self.found.is_none() {
            let span = expr.span();
            self.found = Some((span.start_offset as usize, span.end_offset as usize));
        }
        size
    }

    fn size(&self, expr: &Expr<'s>) -> f64 {
        match expr {
            Expr::Var(var) => self.sizes.get(var.id).copied().unwrap_or(INPUT),
            Expr::Const(value) => value.value.as_str().map_or(32.0, |text| text.len() as f64),
            Expr::GetAttr(get) => self.size(&get.expr),
            Expr::GetItem(get) => self.size(&get.expr),
            Expr::Slice(slice) => self.size(&slice.expr),
            Expr::Test(_) | Expr::Compare(_) => 8.0,
            Expr::UnaryOp(op) => self.size(&op.expr),
            Expr::BinOp(op) => match op.op {
                BinOpKind::Concat | BinOpKind::Add => self.size(&op.left) + self.size(&op.right),
                BinOpKind::Mul => repeated(&op.left, &op.right, self.size(&op.left).max(self.size(&op.right))),
                _ => self.size(&op.left).max(self.size(&op.right)),
            },
            Expr::IfExpr(cond) => {
                let other = cond.false_expr.as_ref().map_or(0.0, |expr| self.size(expr));
                self.size(&cond.true_expr).max(other)
            }
            // Filters that make more of their input than a few times as much are bounded themselves.
            Expr::Filter(filter) => filter.expr.as_ref().map_or(0.0, |expr| self.size(expr)) + self.args(&filter.args),
            Expr::Call(call) => self.size(&call.expr) + self.args(&call.args),
            Expr::List(list) => list.items.iter().map(|item| self.size(item)).sum(),
            Expr::Tuple(tuple) => tuple.items.iter().map(|item| self.size(item)).sum(),
            Expr::Map(map) => map.keys.iter().chain(&map.values).map(|item| self.size(item)).sum(),
        }
    }

    fn args(&self, args: &[CallArg<'s>]) -> f64 {
        args.iter()
            .map(|arg| match arg {
                CallArg::Pos(expr) | CallArg::Kwarg(_, expr) | CallArg::PosSplat(expr) | CallArg::KwargSplat(expr) => {
                    self.size(expr)
                }
            })
            .sum()
    }
}

/// `'ab' * 1000` repeats a text or list. Between other values it is taken as a product of numbers.
fn repeated(left: &Expr<'_>, right: &Expr<'_>, size: f64) -> f64 {
    let repeats = |what: &Expr<'_>| match what {
        Expr::Const(value) => value.value.as_str().is_some(),
        Expr::List(_) | Expr::Tuple(_) => true,
        _ => false,
    };
    let times = |count: &Expr<'_>| match count {
        Expr::Const(value) => value.value.as_i64().unwrap_or(0) as f64,
        _ => INPUT,
    };
    match (repeats(left), repeats(right)) {
        (true, _) => size * times(right) * 24.0,
        (_, true) => size * times(left) * 24.0,
        (false, false) => size,
    }
}
