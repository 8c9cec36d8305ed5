//! `exec`: a program and its arguments, without a shell.

use gridflow_core::TaskKind;
use serde_json::json;

use super::{LOCAL, Launch, OperatorSpec, Outputs, Rendered, staged};
use crate::{
    code::Code,
    read::{Cx, Definitions, Read, Shape},
    template::{RenderError, Template},
    yaml::Node,
};

/// A program and its arguments.
#[derive(Debug, Clone)]
pub struct Exec(pub Vec<Template>);

impl Read for Exec {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        if node.scalar().is_some() && !node.is_null() {
            cx.wrong_type(node, "a list of a program and its arguments");
            if let Some(last) = cx.diagnostics.last_mut() {
                last.help = Some("write `exec: [program, argument]`, or use `bash:` for a command line".into());
            }
            return None;
        }
        let argv = Vec::<Template>::read(node, cx)?;
        if argv.is_empty() {
            cx.report(Code::MissingKey, node.span, "`exec` needs a program");
            return None;
        }
        Some(Self(argv))
    }

    fn shape(_: &mut Definitions) -> Shape {
        let item = json!({ "type": ["string", "number", "boolean"] });
        Shape::new("list of templates", json!({ "type": "array", "items": item, "minItems": 1 }))
    }
}

impl OperatorSpec for Exec {
    fn summary() -> &'static str {
        "Runs a program with its arguments, each of them as it is: no shell, nothing to quote."
    }

    fn kind(&self) -> TaskKind {
        LOCAL
    }

    fn outputs() -> Outputs {
        Outputs::Unknown
    }

    fn render(&self, launch: &Launch<'_>) -> Result<Rendered, RenderError> {
        let argv = self.0.iter().map(|word| launch.renderer.text(word)).collect::<Result<_, _>>()?;
        Ok(Rendered::Command { argv, env: launch.env.clone(), files: staged(launch) })
    }
}
