//! `pod`: a container of any image.

use std::sync::Arc;

use gridflow_core::{ExecutorKind, TaskKind};
use serde_json::json;

use super::{Launch, OperatorSpec, Outputs, Rendered, staged};
use crate::{
    code::Code,
    kubernetes::{KubernetesKeys, Level, PodRun, check},
    read::{Cx, Definitions, Fields, Read, Shape, Spec, object_schema, spec},
    template::{RenderError, Template},
    yaml::{Node, NodeKind},
};

spec! {
    /// What the container runs, besides the keys of [kubernetes](#kubernetes).
    pub struct PodKeys "pod" {
        /// The program and its arguments, in place of the image's own. It runs in a folder with the files of the
        /// DAG, and what it writes as JSON to `$GRIDFLOW_OUTPUT` is the output.
        pub command: Option<Words>,
        /// Further arguments; without `command`, those of the image's own program.
        pub args: Option<Words>,
    }
}

/// A list of words.
#[derive(Debug, Clone, PartialEq)]
pub struct Words(pub Vec<Template>);

/// A pod.
#[derive(Debug, Clone)]
pub struct Pod(Arc<Level>);

impl Read for Words {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        if matches!(node.kind, NodeKind::List(_)) {
            return Vec::read(node, cx).map(Self);
        }
        cx.wrong_type(node, "a list of words");
        None
    }

    fn shape(_: &mut Definitions) -> Shape {
        let item = json!({ "type": ["string", "number", "boolean"] });
        Shape::new("list of templates", json!({ "type": "array", "items": item }))
    }
}

impl Read for Pod {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let Some(map) = node.map() else {
            cx.wrong_type(node, "a map");
            if let Some(last) = cx.diagnostics.last_mut().filter(|_| !node.is_poisoned()) {
                last.help = Some("write `pod: {image: …, command: […]}`".into());
            }
            return None;
        };
        let before = cx.templates.len();
        let mut is_broken = false;
        for key in ["command", "args"] {
            if let Some(entry) = map.get(key).filter(|entry| is_line(&entry.value)) {
                check::command(key, &entry.value, cx);
                is_broken = true;
            }
        }
        let mut fields = Fields::new(node, map, cx);
        let run = if is_broken {
            // What is wrong was said.
            for key in ["command", "args"] {
                fields.entry(key);
            }
            None
        } else {
            PodKeys::read_fields(&mut fields, cx)
        };
        let keys = KubernetesKeys::read_fields(&mut fields, cx);
        fields.finish("`pod`", cx);
        if let Some(keys) = &keys {
            keys.check(cx);
        }
        let words = |words: Option<Words>| words.map(|words| words.0);
        let run = run.map(|run| PodRun { command: words(run.command), args: words(run.args) });
        let templates = cx.templates[before..].to_vec();
        Some(Self(Arc::new(Level { keys: keys?, run: run.unwrap_or_default(), templates })))
    }

    fn shape(definitions: &mut Definitions) -> Shape {
        if !definitions.schemas.contains_key("pod") {
            definitions.refer::<KubernetesKeys>();
            definitions.refer::<PodKeys>();
            let mut fields = PodKeys::fields(definitions);
            fields.extend(KubernetesKeys::fields(definitions));
            definitions.schemas.insert("pod".into(), object_schema(PodKeys::doc(), &fields));
        }
        Shape::new("map of [`pod`](#pod) and of [`kubernetes`](#kubernetes)", json!({ "$ref": "#/$defs/pod" }))
    }
}

impl OperatorSpec for Pod {
    fn summary() -> &'static str {
        "Runs a pod on Kubernetes: a container of any image, once."
    }

    fn kind(&self) -> TaskKind {
        TaskKind::Attempt(ExecutorKind::Kubernetes)
    }

    fn outputs() -> Outputs {
        Outputs::Unknown
    }

    fn pod(&self) -> Option<&Level> {
        Some(&self.0)
    }

    fn render(&self, launch: &Launch<'_>) -> Result<Rendered, RenderError> {
        Ok(Rendered::Pod { env: launch.env.clone(), files: staged(launch) })
    }
}

/// Whether this is a line of text, not a list nor a template that is one.
fn is_line(node: &Node) -> bool {
    let text = node.scalar().filter(|_| !node.is_null()).map(|scalar| scalar.text.trim());
    text.is_some_and(|text| !(text.starts_with("{{") && text.ends_with("}}")))
}

/// Reports a pod of which nothing names an image.
pub fn check_image(pod: &Level, outer: &[Arc<Level>], task: &crate::read::Spanned<&str>, cx: &mut Cx<'_>) {
    let may_name =
        |level: &Level| level.keys.image.is_some() || level.keys.spec.is_some() || level.keys.template_file.is_some();
    if !may_name(pod) && !outer.iter().any(|level| may_name(level)) {
        cx.report(Code::MissingKey, task.span, format!("the pod of task `{}` has no image", task.value)).help =
            Some("write `pod: {image: …}`".into());
    }
}
