//! `template_file:`: a manifest in a file of its own.
//!
//! A file that is YAML or JSON as it stands is read as such: its templates are values, which cannot
//! break its structure, and its mistakes have places. One whose templates make the structure
//! (`{% for … %}`, an unquoted `{{ … }}`) is rendered as text first, as Airflow does it.

use serde_json::{Value, json};

use super::{TASK_CONTAINER, check, text};
use crate::{
    code::Code,
    read::{Cx, Read, Shape, Spanned},
    source::{Source, Span},
    spark,
    template::{RenderError, Renderer, Template, Tree, Usage},
    yaml::{self, Node, NodeKind, Scalar, Style},
};

/// What a file holds the manifest of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ManifestKind {
    Pod,
    SparkApplication,
}

/// A manifest in a file of the DAG version.
#[derive(Debug, Clone)]
pub struct ManifestFile {
    path: String,
    content: Content,
}

#[derive(Debug, Clone)]
enum Content {
    Values(Tree),
    Text(Template),
}

impl ManifestFile {
    /// Reads a file beside the DAG, whose path the node is. What is wrong in it is reported there, and the
    /// file counts as given, so that nothing is said to be missing.
    pub fn read(node: &Node, kind: ManifestKind, cx: &mut Cx<'_>) -> Option<Self> {
        let path = Spanned::<String>::read(node, cx)?;
        let content = read(&path, kind, cx).unwrap_or(Content::Values(Tree::Plain(Value::Null)));
        Some(Self { path: path.value, content })
    }

    /// What a key takes that names one.
    pub fn shape() -> Shape {
        Shape::new("file", json!({ "type": "string" }))
    }

    /// The manifest of one attempt.
    pub fn render(&self, renderer: &Renderer) -> Result<Value, RenderError> {
        let value = match &self.content {
            Content::Values(tree) => tree.render(renderer)?,
            Content::Text(template) => self.parse(&renderer.text(template)?)?,
        };
        if !value.is_object() {
            return Err(self.failed("it is no map"));
        }
        Ok(value)
    }

    /// What a text became once its templates were rendered.
    fn parse(&self, text: &str) -> Result<Value, RenderError> {
        if let Ok(value) = serde_json::from_str(text) {
            return Ok(value);
        }
        let mut diagnostics = Vec::new();
        let node = yaml::parse(&Source::new(&self.path, text), &mut diagnostics);
        match (diagnostics.iter().find(|diagnostic| diagnostic.is_error()), node) {
            (None, Some(node)) => Ok(yaml::to_json(&node)),
            (None, None) => Err(self.failed("it is empty")),
            (Some(diagnostic), _) => {
                Err(self.failed(format!("line {} once rendered: {}", diagnostic.line, diagnostic.message)))
            }
        }
    }

    fn failed(&self, reason: impl Into<String>) -> RenderError {
        RenderError::Failed { template: self.path.clone(), reason: reason.into() }
    }

    /// The pod as a layer, and the namespace that it names.
    pub fn render_pod(&self, renderer: &Renderer) -> Result<(Value, Option<String>), RenderError> {
        let mut pod = self.render(renderer)?;
        if pod.get("kind").and_then(Value::as_str).is_some_and(|kind| kind != "Pod") {
            return Err(self.failed(format!("it is a {}, not a Pod", pod["kind"])));
        }
        let namespace = pod.pointer("/metadata/namespace").and_then(Value::as_str).map(str::to_owned);
        text::pod_texts(&mut pod);
        task_container(&mut pod, Only::IsTheTask);
        Ok((fragment(pod), namespace))
    }

    /// The application as a layer, and the namespace that it names.
    pub fn render_application(&self, renderer: &Renderer) -> Result<(Value, Option<String>), RenderError> {
        let mut application = spark::unwrapped(self.render(renderer)?);
        spark::refused(&application).map_err(|reason| self.failed(reason))?;
        let namespace = application.pointer("/metadata/namespace").and_then(Value::as_str).map(str::to_owned);
        spark::texts(&mut application);
        Ok((fragment(application), namespace))
    }
}

fn read(path: &Spanned<String>, kind: ManifestKind, cx: &mut Cx<'_>) -> Option<Content> {
    let bytes = cx.file(&path.value, path.span)?;
    let Ok(text) = std::str::from_utf8(&bytes) else {
        cx.report(Code::BadManifest, path.span, format!("`{}` is not UTF-8", path.value));
        return None;
    };
    let source = Source::new(&cx.beside(&path.value), text);
    let mut inner = Cx::new(&source, &crate::files::NoFiles);
    let content = content(&source, kind, &mut inner);
    if content.is_none() && inner.diagnostics.is_empty() {
        inner.report(Code::BadManifest, Span::default(), "the file is empty");
    }
    let parts = inner.into_parts();
    cx.adopt(source, parts);
    content
}

fn content(source: &Source, kind: ManifestKind, cx: &mut Cx<'_>) -> Option<Content> {
    let has_blocks = source.text.contains("{%") || source.text.contains("{#");
    let mut diagnostics = Vec::new();
    let node = yaml::parse(source, &mut diagnostics);
    let is_fine = !diagnostics.iter().any(|diagnostic| diagnostic.is_error());
    match node {
        Some(node) if is_fine && !has_blocks => {
            cx.diagnostics.append(&mut diagnostics);
            if node.map().is_none() {
                cx.wrong_type(&node, "a manifest: a map with `spec:`");
                return None;
            }
            match kind {
                ManifestKind::Pod => check::pod(&node, cx),
                ManifestKind::SparkApplication => spark::check::application(&node, cx),
            }
            Tree::read(&node, cx).map(Content::Values)
        }
        Some(_) | None if has_blocks || source.text.contains("{{") => {
            let whole = Span::new(0, source.text.len());
            let scalar = Scalar { text: source.text.to_string(), style: Style::Block };
            let node = Node { span: whole, kind: NodeKind::Scalar(scalar) };
            Template::read_as(&node, Usage::Value, cx).map(Content::Text)
        }
        // JSON may be indented with tabs, YAML may not.
        Some(_) | None if serde_json::from_str::<Value>(&source.text).is_ok() => {
            Some(Content::Text(Template::literal(&source.text)))
        }
        Some(_) | None => {
            cx.diagnostics.append(&mut diagnostics);
            None
        }
    }
}

/// What of a manifest becomes a layer: its identity is Gridflow's to give.
fn fragment(manifest: Value) -> Value {
    let mut out = serde_json::Map::new();
    if let Value::Object(mut map) = manifest {
        if let Some(Value::Object(metadata)) = map.remove("metadata") {
            let kept = metadata.into_iter().filter(|(key, _)| matches!(key.as_str(), "labels" | "annotations"));
            let kept: serde_json::Map<_, _> = kept.collect();
            if !kept.is_empty() {
                out.insert("metadata".into(), kept.into());
            }
        }
        if let Some(spec) = map.remove("spec") {
            out.insert("spec".into(), spec);
        }
    }
    Value::Object(out)
}

/// Whether the only container of a manifest, or its first, is the task's whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Only {
    IsTheTask,
    KeepsItsName,
}

/// Names the container that does the task's work `task`: the one that Airflow calls `base`, the one
/// that the annotation of `kubectl` names, or the first.
pub fn task_container(pod: &mut Value, only: Only) {
    const DEFAULT: &str = "/metadata/annotations/kubectl.kubernetes.io~1default-container";
    let default = pod.pointer(DEFAULT).and_then(Value::as_str).map(str::to_owned);
    let Some(containers) = pod.pointer_mut("/spec/containers").and_then(Value::as_array_mut) else { return };
    let place = |name: &str| containers.iter().position(|container| container["name"] == name);
    if place(TASK_CONTAINER).is_some() {
        return;
    }
    let found = default.as_deref().and_then(place).or_else(|| place("base"));
    let found = match only {
        Only::IsTheTask => found.or(Some(0)),
        Only::KeepsItsName => found,
    };
    if let Some(container) = found.and_then(|at| containers.get_mut(at)).and_then(Value::as_object_mut) {
        container.insert("name".into(), TASK_CONTAINER.into());
    }
}
