//! `json_patch:`: operations of RFC 6902 on the finished manifest.

use serde_json::{Value, json};

use crate::{
    code::Code,
    read::{Cx, Definitions, Read, Shape},
    suggest,
    template::{RenderError, Renderer, Tree},
    yaml::{Node, NodeKind},
};

const OPERATIONS: &[&str] = &["add", "remove", "replace", "move", "copy", "test"];

/// Operations on a manifest.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonPatch(Vec<Tree>);

impl Read for JsonPatch {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let NodeKind::List(items) = &node.kind else {
            cx.wrong_type(node, "a list of operations");
            if let Some(last) = cx.diagnostics.last_mut().filter(|_| !node.is_poisoned()) {
                last.help = Some("write `json_patch: [{op: add, path: /spec/nodeName, value: node-1}]`".into());
            }
            return None;
        };
        items.iter().for_each(|item| check(item, cx));
        Some(Self(items.iter().filter_map(|item| Tree::read(item, cx)).collect()))
    }

    fn shape(_: &mut Definitions) -> Shape {
        let operation = json!({
            "type": "object",
            "properties": { "op": { "enum": OPERATIONS }, "path": { "type": "string" }, "from": { "type": "string" }, "value": {} },
            "required": ["op", "path"],
        });
        Shape::new("list of operations of JSON Patch", json!({ "type": "array", "items": operation }))
    }
}

fn check(node: &Node, cx: &mut Cx<'_>) {
    let Some(map) = node.map() else {
        cx.wrong_type(node, "an operation such as `{op: add, path: /spec/nodeName, value: node-1}`");
        return;
    };
    let text = |key: &str| map.get(key).and_then(|entry| entry.value.scalar()).map(|scalar| scalar.text.as_str());
    let Some(operation) = text("op") else {
        cx.report(Code::BadManifest, cx.head(node), "an operation of a JSON Patch needs `op`").help =
            Some(format!("one of {}", suggest::list(OPERATIONS.iter().copied())));
        return;
    };
    if !OPERATIONS.contains(&operation) {
        let help = suggest::did_you_mean(operation, OPERATIONS.iter().copied())
            .unwrap_or_else(|| format!("one of {}", suggest::list(OPERATIONS.iter().copied())));
        let span = map.get("op").map_or(node.span, |entry| entry.value.span);
        cx.report(Code::BadManifest, span, format!("JSON Patch has no operation `{operation}`")).help = Some(help);
    }
    let needed: &[&str] = match operation {
        "add" | "replace" | "test" => &["path", "value"],
        "move" | "copy" => &["path", "from"],
        _ => &["path"],
    };
    for key in needed.iter().filter(|key| map.get(key).is_none()) {
        cx.report(Code::BadManifest, cx.head(node), format!("the operation `{operation}` needs `{key}`"));
    }
    for key in ["path", "from"] {
        let (Some(entry), Some(pointer)) = (map.get(key), text(key)) else { continue };
        if !pointer.is_empty() && !pointer.starts_with('/') && !pointer.starts_with("{{") {
            let message = format!("`{key}` is a JSON pointer, which begins with `/`");
            cx.report(Code::BadManifest, entry.value.span, message).help =
                Some(format!("write `/{}`", pointer.trim_start_matches('$').replace('.', "/").trim_start_matches('/')));
        }
    }
}

impl JsonPatch {
    pub fn render(&self, renderer: &Renderer) -> Result<Vec<Value>, RenderError> {
        self.0.iter().map(|operation| operation.render(renderer)).collect()
    }
}

/// The operations of all levels, outer ones first.
pub fn join(operations: Vec<Value>) -> Option<Value> {
    (!operations.is_empty()).then_some(Value::Array(operations))
}
