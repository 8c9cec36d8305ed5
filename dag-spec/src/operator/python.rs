//! `python`: a file or code, whole or one function of it.

use std::sync::Arc;

use gridflow_core::TaskKind;
use serde_json::json;

use super::{LOCAL, Launch, OperatorSpec, Outputs, Rendered, staged, staged_path};
use crate::{
    code::Code,
    dag::Literal,
    read::{Cx, Definitions, Read, Shape, Spanned, spec},
    template::{RenderError, Template, Tree},
    yaml::Node,
};

const RUNNER: &str = include_str!("python_runner.py");
const RUNNER_PATH: &str = ".gridflow/runner.py";
const CODE_PATH: &str = ".gridflow/code.py";
const CALL_PATH: &str = ".gridflow/call.json";

spec! {
    /// Python, the long form: `file` or `code`, and what to call in it.
    pub struct PythonKeys "python" {
        /// The file, relative to the DAG file.
        pub file: Option<Spanned<String>>,
        /// The code itself. It is run as it is, without templates: pass values through `env:` or `args`.
        pub code: Option<PythonCode>,
        /// The function to call. What it returns, as JSON, is the output of the task.
        pub call: Option<Spanned<String>>,
        /// Arguments of the function: a map of names to values.
        pub args: Option<Spanned<Tree>>,
        /// The Python to use.
        pub interpreter: Option<Template> = "python3",
        /// Packages to install first. Not available in this version.
        pub requirements: Option<Spanned<Literal>>,
    }
}

/// Python code, taken as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PythonCode(pub String);

/// What is run, and what is called in it.
#[derive(Debug, Clone)]
pub struct Python {
    pub source: PythonSource,
    pub call: Option<String>,
    pub args: Option<Tree>,
    pub interpreter: Option<Template>,
}

#[derive(Debug, Clone)]
pub enum PythonSource {
    File(String),
    Code(String),
}

impl Read for PythonCode {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let Some(scalar) = node.scalar().filter(|_| !node.is_null()) else {
            cx.wrong_type(node, "Python code");
            return None;
        };
        if scalar.text.contains("{{") && scalar.text.contains("}}") && !scalar.text.contains("{{{{") {
            let message = "templates are not rendered in Python code";
            let diagnostic = cx.report(Code::TemplateNotAllowed, cx.head(node), message);
            diagnostic.help = Some("pass the value as an argument (`call:` and `args:`) or through `env:`; `{{` in a format string is written `{{{{`".into());
            diagnostic.severity = crate::diagnostic::Severity::Warning;
        }
        Some(Self(scalar.text.clone()))
    }

    fn shape(_: &mut Definitions) -> Shape {
        Shape::new("Python code", json!({ "type": "string" }))
    }
}

impl Read for Python {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        if node.map().is_some() {
            return long(node, cx);
        }
        let text = PythonCode::read(node, cx)?.0;
        let is_file = text.trim().ends_with(".py") && !text.trim().contains(char::is_whitespace);
        let source = if is_file { file(text.trim(), node, cx)? } else { PythonSource::Code(text) };
        Some(Self { source, call: None, args: None, interpreter: None })
    }

    fn shape(definitions: &mut Definitions) -> Shape {
        Shape::new("file or code", json!({ "type": "string" })).or(PythonKeys::shape(definitions))
    }
}

fn file(path: &str, node: &Node, cx: &mut Cx<'_>) -> Option<PythonSource> {
    cx.file(path, cx.head(node))?;
    Some(PythonSource::File(crate::files::normal(path).ok()?))
}

fn long(node: &Node, cx: &mut Cx<'_>) -> Option<Python> {
    let keys = PythonKeys::read(node, cx)?;
    if let Some(requirements) = &keys.requirements {
        cx.report(Code::NotAvailable, requirements.span, "`requirements` are not available in this version").help =
            Some("name an `interpreter` of an environment that has the packages".into());
    }
    let source = match (keys.file, keys.code) {
        (Some(file), None) => {
            cx.file(&file.value, file.span)?;
            PythonSource::File(crate::files::normal(&file.value).ok()?)
        }
        (None, Some(code)) => PythonSource::Code(code.0),
        (Some(_), Some(_)) => {
            cx.report(Code::KeyConflict, cx.head(node), "`python` has `file` or `code`, not both");
            return None;
        }
        (None, None) => {
            cx.report(Code::MissingKey, cx.head(node), "`python` needs `file` or `code`");
            return None;
        }
    };
    if let (Some(args), None) = (&keys.args, &keys.call) {
        cx.report(Code::MissingKey, args.span, "`args` are for a function, and `call` is missing").help =
            Some("name the function with `call:`, or pass values through `env:`".into());
    }
    if let Some(args) = keys.args.as_ref().filter(|args| !matches!(args.value, Tree::Map(_))) {
        cx.report(Code::WrongType, args.span, "`args` are a map of names to values");
    }
    if let Some(call) = keys.call.as_ref().filter(|call| !is_function(&call.value)) {
        cx.report(Code::InvalidId, call.span, format!("`{}` is no name of a function", call.value));
    }
    Some(Python {
        source,
        call: keys.call.map(|call| call.value),
        args: keys.args.map(|args| args.value),
        interpreter: keys.interpreter,
    })
}

fn is_function(name: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && !part.starts_with(|c: char| c.is_ascii_digit())
            && part.chars().all(|c| c.is_alphanumeric() || c == '_')
    };
    name.split('.').all(part)
}

impl OperatorSpec for Python {
    fn summary() -> &'static str {
        "Runs Python: a file, code, or one function of them whose value becomes the output."
    }

    fn kind(&self) -> TaskKind {
        LOCAL
    }

    fn outputs() -> Outputs {
        Outputs::Unknown
    }

    fn render(&self, launch: &Launch<'_>) -> Result<Rendered, RenderError> {
        let mut files = staged(launch);
        let stage = |path: &str, bytes: &[u8]| (path.to_owned(), Arc::<[u8]>::from(bytes));
        let interpreter = self
            .interpreter
            .as_ref()
            .map_or_else(|| Ok("python3".to_owned()), |template| launch.renderer.text(template))?;
        let path = match &self.source {
            PythonSource::File(path) => staged_path(path),
            PythonSource::Code(code) => {
                files.push(stage(CODE_PATH, code.as_bytes()));
                CODE_PATH.to_owned()
            }
        };
        let argv = match &self.call {
            None => vec![interpreter, path],
            Some(call) => {
                let args = self.args.as_ref().map_or_else(|| Ok(json!({})), |args| args.render(launch.renderer))?;
                let call = json!({ "file": path, "call": call, "args": args });
                files.push(stage(CALL_PATH, call.to_string().as_bytes()));
                files.push(stage(RUNNER_PATH, RUNNER.as_bytes()));
                vec![interpreter, RUNNER_PATH.to_owned()]
            }
        };
        Ok(Rendered::Command { argv, env: launch.env.clone(), files })
    }
}
