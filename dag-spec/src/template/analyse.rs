//! What a template refers to, found in its syntax tree.

use minijinja::machinery::{
    Span as JinjaSpan,
    ast::{CallArg, Expr, Stmt},
};

use super::{FILTERS, FUNCTIONS, TESTS, Use, locate::Locator};
use crate::{code::Code, read::Cx, source::Span, suggest};

/// Every reference to a variable that the template does not make itself.
pub fn uses(tree: &Stmt<'_>, place: &Locator, cx: &mut Cx<'_>) -> Vec<Use> {
    let mut walk = Walk { place, cx, locals: Vec::new(), uses: Vec::new() };
    walk.statement(tree);
    walk.uses
}

/// A chain of names: `tasks.load['rows']`.
pub struct Chain<'e> {
    pub root: &'e str,
    pub root_span: JinjaSpan,
    pub path: Vec<(String, JinjaSpan)>,
    pub dynamic: Option<&'e Expr<'e>>,
}

/// The chain of an expression that is one. Names behind a computed item are unknown and left out.
pub fn chain<'e>(expr: &'e Expr<'e>) -> Option<Chain<'e>> {
    match expr {
        Expr::Var(var) => Some(Chain { root: var.id, root_span: var.span(), path: Vec::new(), dynamic: None }),
        Expr::GetAttr(get) => {
            let mut chain = chain(&get.expr)?;
            if chain.dynamic.is_none() {
                chain.path.push((get.name.to_owned(), get.span()));
            }
            Some(chain)
        }
        Expr::GetItem(get) => {
            let mut chain = chain(&get.expr)?;
            if chain.dynamic.is_some() {
                return Some(chain);
            }
            match &get.subscript_expr {
                Expr::Const(key) if key.value.as_str().is_some() => {
                    chain.path.push((key.value.as_str().unwrap_or_default().to_owned(), key.span()));
                }
                other => chain.dynamic = Some(other),
            }
            Some(chain)
        }
        _ => None,
    }
}

/// The name in `var.value.get('name')`.
fn variable_got<'e>(chain: &Chain<'_>, args: &'e [CallArg<'_>]) -> Option<&'e str> {
    let [_, (method, _)] = chain.path.as_slice() else { return None };
    match args.first()? {
        CallArg::Pos(Expr::Const(name)) if chain.root == "var" && method == "get" => name.value.as_str(),
        _ => None,
    }
}

/// Whether the absence of a value is taken care of.
#[derive(Clone, Copy, PartialEq)]
enum Guard {
    None,
    Default,
}

struct Walk<'w, 'a> {
    place: &'w Locator,
    cx: &'w mut Cx<'a>,
    /// Names that the template itself makes: loop variables, `set`, macros.
    locals: Vec<String>,
    uses: Vec<Use>,
}

impl Walk<'_, '_> {
    fn statement(&mut self, statement: &Stmt<'_>) {
        match statement {
            Stmt::Template(template) => self.body(&template.children),
            Stmt::EmitExpr(emit) => self.expr(&emit.expr, Guard::None),
            Stmt::EmitRaw(_) => {}
            Stmt::ForLoop(each) => {
                self.expr(&each.iter, Guard::None);
                let scope = self.locals.len();
                self.locals.push("loop".into());
                self.bind(&each.target);
                each.filter_expr.iter().for_each(|filter| self.expr(filter, Guard::None));
                self.statements(&each.body);
                self.locals.truncate(scope);
                self.body(&each.else_body);
            }
            Stmt::IfCond(cond) => {
                self.expr(&cond.expr, Guard::None);
                self.statements(&cond.true_body);
                self.statements(&cond.false_body);
            }
            Stmt::WithBlock(with) => {
                let scope = self.locals.len();
                for (target, value) in &with.assignments {
                    self.expr(value, Guard::None);
                    self.bind(target);
                }
                self.statements(&with.body);
                self.locals.truncate(scope);
            }
            Stmt::Set(set) => {
                self.expr(&set.expr, Guard::None);
                self.bind(&set.target);
            }
            Stmt::SetBlock(set) => self.refuse(set.span(), "set … endset"),
            Stmt::AutoEscape(escape) => self.body(&escape.body),
            Stmt::FilterBlock(block) => self.refuse(block.span(), "filter"),
            Stmt::Macro(mac) => self.refuse(mac.span(), "macro"),
            Stmt::CallBlock(block) => self.refuse(block.span(), "call"),
            Stmt::Block(block) => self.refuse(block.span(), "block"),
            Stmt::Import(import) => self.refuse(import.span(), "import"),
            Stmt::FromImport(import) => self.refuse(import.span(), "from … import"),
            Stmt::Extends(extends) => self.refuse(extends.span(), "extends"),
            Stmt::Include(include) => self.refuse(include.span(), "include"),
            Stmt::Do(call) => {
                self.expr(&call.call.expr, Guard::None);
                self.args(&call.call.args);
            }
        }
    }

    /// Statements that need other templates, or that collect output without bound.
    fn refuse(&mut self, span: JinjaSpan, what: &str) {
        let span = self.at(span);
        self.cx.report(Code::TemplateSyntax, span, format!("`{{% {what} %}}` is not possible in a value"));
    }

    /// Statements whose own names end with them.
    fn body(&mut self, statements: &[Stmt<'_>]) {
        let scope = self.locals.len();
        self.statements(statements);
        self.locals.truncate(scope);
    }

    fn statements(&mut self, statements: &[Stmt<'_>]) {
        statements.iter().for_each(|statement| self.statement(statement));
    }

    fn bind(&mut self, target: &Expr<'_>) {
        match target {
            Expr::Var(var) => self.locals.push(var.id.to_owned()),
            Expr::List(list) => list.items.iter().for_each(|item| self.bind(item)),
            Expr::Tuple(tuple) => tuple.items.iter().for_each(|item| self.bind(item)),
            other => self.expr(other, Guard::None),
        }
    }

    fn expr(&mut self, expr: &Expr<'_>, guard: Guard) {
        if let Some(chain) = chain(expr) {
            self.reference(&chain, expr.span(), guard, false);
            self.dynamic_parts(expr);
            return;
        }
        match expr {
            Expr::Var(_) | Expr::Const(_) => {}
            Expr::GetAttr(get) => self.expr(&get.expr, guard),
            Expr::GetItem(get) => {
                self.expr(&get.expr, guard);
                self.expr(&get.subscript_expr, Guard::None);
            }
            Expr::Slice(slice) => {
                self.expr(&slice.expr, Guard::None);
                [&slice.start, &slice.stop, &slice.step]
                    .into_iter()
                    .flatten()
                    .for_each(|part| self.expr(part, Guard::None));
            }
            Expr::UnaryOp(op) => self.expr(&op.expr, Guard::None),
            Expr::BinOp(op) => {
                self.expr(&op.left, Guard::None);
                self.expr(&op.right, Guard::None);
            }
            Expr::Compare(compare) => {
                self.expr(&compare.expr, Guard::None);
                compare.ops.iter().for_each(|op| self.expr(&op.expr, Guard::None));
            }
            Expr::IfExpr(cond) => {
                self.expr(&cond.test_expr, Guard::None);
                self.expr(&cond.true_expr, Guard::None);
                cond.false_expr.iter().for_each(|expr| self.expr(expr, Guard::None));
            }
            Expr::Filter(filter) => {
                self.known("filter", filter.name, FILTERS, filter.span());
                let inner = if matches!(filter.name, "default" | "d") { Guard::Default } else { Guard::None };
                filter.expr.iter().for_each(|expr| self.expr(expr, inner));
                self.args(&filter.args);
            }
            Expr::Test(test) => {
                self.known("test", test.name, TESTS, test.span());
                let inner = if matches!(test.name, "defined" | "undefined") { Guard::Default } else { Guard::None };
                self.expr(&test.expr, inner);
                self.args(&test.args);
            }
            Expr::Call(call) => self.call(call, guard),
            Expr::List(list) => list.items.iter().for_each(|item| self.expr(item, Guard::None)),
            Expr::Tuple(tuple) => tuple.items.iter().for_each(|item| self.expr(item, Guard::None)),
            Expr::Map(map) => map.keys.iter().chain(&map.values).for_each(|expr| self.expr(expr, Guard::None)),
        }
    }

    fn call(&mut self, call: &minijinja::machinery::ast::Spanned<minijinja::machinery::ast::Call<'_>>, guard: Guard) {
        self.args(&call.args);
        match chain(&call.expr) {
            Some(chain) if chain.path.is_empty() && chain.dynamic.is_none() => {
                self.function(chain.root, call.expr.span())
            }
            Some(chain) => {
                if let Some(name) = variable_got(&chain, &call.args) {
                    self.variable(&chain, name, call.span());
                }
                self.reference(&chain, call.expr.span(), guard, true);
                self.dynamic_parts(&call.expr);
                if matches!(chain.root, "ti" | "task_instance")
                    && chain.path.first().is_some_and(|(name, _)| name == "xcom_pull")
                {
                    self.xcom_pull(&call.args, call.span(), guard);
                }
            }
            None => self.expr(&call.expr, guard),
        }
    }

    /// `var.value.get('x', 'y')` refers to `var.value.x`.
    fn variable(&mut self, chain: &Chain<'_>, name: &str, span: JinjaSpan) {
        let at = self.at(span);
        self.uses.push(Use {
            root: chain.root.to_owned(),
            root_span: self.at(chain.root_span),
            path: vec![(chain.path[0].0.clone(), at), (name.to_owned(), at)],
            span: at,
            dynamic: None,
            guarded: true,
            called: false,
        });
    }

    fn function(&mut self, name: &str, span: JinjaSpan) {
        if self.locals.iter().any(|local| local == name) {
            return;
        }
        if name == "secret" {
            self.cx.report(Code::NotAvailable, self.at(span), "`secret(…)` is not available in this version").help =
                Some(
                    "give the value to the process that starts Gridflow's tasks, or read it from a file in the task"
                        .into(),
                );
            return;
        }
        self.known("function", name, FUNCTIONS, span);
    }

    /// `ti.xcom_pull(task_ids='a')` refers to `tasks.a`.
    fn xcom_pull(&mut self, args: &[CallArg<'_>], span: JinjaSpan, guard: Guard) {
        let task_ids = args.iter().enumerate().find_map(|(at, arg)| match arg {
            CallArg::Pos(expr) if at == 0 => Some(expr),
            CallArg::Kwarg("task_ids", expr) => Some(expr),
            _ => None,
        });
        let ids: Vec<&Expr<'_>> = match task_ids {
            Some(Expr::List(list)) => list.items.iter().collect(),
            Some(Expr::Tuple(tuple)) => tuple.items.iter().collect(),
            Some(one) => vec![one],
            None => {
                self.cx.report(
                    Code::DynamicName,
                    self.at(span),
                    "`xcom_pull` needs the task: `xcom_pull(task_ids='…')`",
                );
                return;
            }
        };
        for id in ids {
            let at = self.at(id.span());
            match id {
                Expr::Const(key) if key.value.as_str().is_some() => self.uses.push(Use {
                    root: "tasks".into(),
                    root_span: at,
                    path: vec![(key.value.as_str().unwrap_or_default().to_owned(), at)],
                    span: self.at(span),
                    dynamic: None,
                    guarded: guard == Guard::Default,
                    called: false,
                }),
                _ => {
                    self.cx.report(
                        Code::DynamicName,
                        at,
                        "the task of `xcom_pull` must be a plain text, so that it can be checked",
                    );
                }
            }
        }
    }

    fn args(&mut self, args: &[CallArg<'_>]) {
        for arg in args {
            match arg {
                CallArg::Pos(expr) | CallArg::Kwarg(_, expr) | CallArg::PosSplat(expr) | CallArg::KwargSplat(expr) => {
                    self.expr(expr, Guard::None);
                }
            }
        }
    }

    /// Computed items inside of a chain hold references of their own.
    fn dynamic_parts(&mut self, expr: &Expr<'_>) {
        match expr {
            Expr::GetAttr(get) => self.dynamic_parts(&get.expr),
            Expr::GetItem(get) => {
                self.expr(&get.subscript_expr, Guard::None);
                self.dynamic_parts(&get.expr);
            }
            _ => {}
        }
    }

    fn reference(&mut self, chain: &Chain<'_>, span: JinjaSpan, guard: Guard, called: bool) {
        if self.locals.iter().any(|local| local == chain.root) {
            return;
        }
        self.uses.push(Use {
            root: chain.root.to_owned(),
            root_span: self.at(chain.root_span),
            path: chain.path.iter().map(|(name, span)| (name.clone(), self.name_at(name, *span))).collect(),
            span: self.at(JinjaSpan { start_offset: chain.root_span.start_offset, ..span }),
            dynamic: chain.dynamic.map(|expr| self.at(expr.span())),
            guarded: guard == Guard::Default,
            called,
        });
    }

    fn known(&mut self, what: &str, name: &str, known: &[&str], span: JinjaSpan) {
        if known.contains(&name) {
            return;
        }
        let help = suggest::did_you_mean(name, known.iter().copied());
        self.cx.report(Code::UnknownFilter, self.at(span), format!("templates have no {what} `{name}`")).help = help;
    }

    fn at(&self, span: JinjaSpan) -> Span {
        self.place.span(span.start_offset as usize..span.end_offset as usize)
    }

    /// The place of the name itself at the end of an attribute's span.
    fn name_at(&self, name: &str, span: JinjaSpan) -> Span {
        let end = span.end_offset as usize;
        let quoted = (span.end_offset - span.start_offset) as usize == name.len() + 2;
        if quoted { self.at(span) } else { self.place.span(end.saturating_sub(name.len())..end) }
    }
}
