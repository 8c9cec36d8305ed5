//! `empty`: does nothing.

use gridflow_core::TaskKind;
use serde_json::json;

use super::{Launch, OperatorSpec, Outputs, Rendered};
use crate::{
    read::{Cx, Definitions, Read, Shape},
    template::RenderError,
    yaml::Node,
};

/// A task that only joins others. Written `empty: {}` or `empty: true`.
#[derive(Debug, Clone)]
pub struct Empty;

impl Read for Empty {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let empty_map = node.map().is_some_and(|map| map.entries.is_empty());
        let yes = node.scalar().is_some_and(|scalar| matches!(scalar.text.as_str(), "" | "true" | "null" | "~"));
        if !empty_map && !yes {
            cx.wrong_type(node, "nothing: `empty: {}`");
            return None;
        }
        Some(Self)
    }

    fn shape(_: &mut Definitions) -> Shape {
        Shape::new("`{}`", json!({ "type": ["object", "null", "boolean"], "maxProperties": 0 }))
    }
}

impl OperatorSpec for Empty {
    fn summary() -> &'static str {
        "Does nothing and succeeds at once; joins other tasks. Takes no slot."
    }

    fn kind(&self) -> TaskKind {
        TaskKind::Empty
    }

    fn outputs() -> Outputs {
        Outputs::Never
    }

    fn render(&self, _: &Launch<'_>) -> Result<Rendered, RenderError> {
        Ok(Rendered::Empty)
    }
}
