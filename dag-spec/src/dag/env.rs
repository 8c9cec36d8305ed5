//! `env:`: environment variables, merged by name.

use indexmap::IndexMap;
use serde_json::json;

use crate::{
    code::Code,
    read::{Cx, Definitions, Read, Shape},
    source::Span,
    template::{Template, Usage},
    yaml::Node,
};

/// Environment variables. Values are text; templates in them may hold anything.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Env(pub IndexMap<String, Template>);

impl Env {
    /// These variables over those of an outer level.
    pub fn over(&self, outer: &Self) -> Self {
        let mut merged = outer.0.clone();
        merged.extend(self.0.iter().map(|(name, value)| (name.clone(), value.clone())));
        Self(merged)
    }
}

impl Read for Env {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let Some(map) = node.map() else {
            cx.wrong_type(node, "a map of names to values");
            return None;
        };
        let mut env = IndexMap::new();
        for entry in &map.entries {
            check_name(&entry.key, entry.key_span, cx);
            if let Some(value) = Template::read_as(&entry.value, Usage::Value, cx) {
                env.insert(entry.key.clone(), value);
            }
        }
        Some(Self(env))
    }

    fn shape(_: &mut Definitions) -> Shape {
        let schema =
            json!({ "type": "object", "additionalProperties": { "type": ["string", "number", "boolean", "null"] } });
        Shape::new("map of name to template", schema)
    }
}

/// Reports what is no name of a variable, or none that is free.
pub fn check_name(name: &str, span: Span, cx: &mut Cx<'_>) {
    if !is_name(name) {
        cx.report(Code::BadEnvName, span, format!("`{name}` is no name of an environment variable")).help =
            Some("a name has letters, digits and `_`, and does not begin with a digit".into());
    } else if name.starts_with("GRIDFLOW_") || name.starts_with("AIRFLOW_CTX_") {
        cx.report(Code::BadEnvName, span, format!("`{name}` belongs to Gridflow, which sets it for every task"));
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
