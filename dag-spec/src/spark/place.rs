//! Files of an application: beside the DAG, in the image, or somewhere else.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::json;

use crate::{
    code::Code,
    files,
    operator::staged_path,
    read::{Cx, Definitions, Read, Shape},
    template::{Kind, RenderError, Renderer, Template},
    yaml::{Node, NodeKind},
};

/// A file. A relative path is one beside the DAG, and part of its version.
#[derive(Debug, Clone, PartialEq)]
pub struct Place(Template);

/// Several files: a list, or a text with commas as `spark-submit` has it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Places(Vec<Place>);

/// Several names: a list, or a text with commas as `spark-submit` has it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Names(Vec<Template>);

/// Where a file is, once its templates are rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Where {
    /// Beside the DAG: its path in the working folder.
    Staged(String),
    /// An absolute path of the machine or image that the application runs on.
    Absolute(String),
    /// Anything with a scheme.
    Uri(String),
}

impl Place {
    /// Reads the path of one file.
    fn of(text: &str, template: Template, node: &Node, cx: &mut Cx<'_>) -> Self {
        if template.kind == Kind::Literal && is_relative(text) {
            // A file may be renamed where it is unpacked: `env.tar.gz#env`.
            cx.file(text.split('#').next().unwrap_or(text), cx.head(node));
        }
        Self(template)
    }

    pub fn literal(&self) -> Option<&str> {
        (self.0.kind == Kind::Literal).then_some(self.0.text.as_str())
    }

    /// Where the file is; `files` are those of the DAG version.
    pub fn find(&self, renderer: &Renderer, files: &Files) -> Result<Where, RenderError> {
        find(&renderer.text(&self.0)?, files)
    }
}

type Files = BTreeMap<String, Arc<[u8]>>;

fn is_relative(text: &str) -> bool {
    !text.starts_with('/') && !text.contains("://") && !text.starts_with("file:") && !text.starts_with("local:")
}

fn find(text: &str, files: &Files) -> Result<Where, RenderError> {
    if text.starts_with('/') {
        return Ok(Where::Absolute(text.to_owned()));
    }
    if !is_relative(text) {
        return Ok(Where::Uri(text.to_owned()));
    }
    let (path, alias) = text.split_once('#').map_or((text, None), |(path, alias)| (path, Some(alias)));
    let known = files::normal(path).ok().filter(|path| files.contains_key(path));
    let Some(path) = known else {
        return Err(RenderError::WrongType {
            name: "the path of a file",
            found: format!("`{text}`"),
            expected: "a file of the DAG (named by `files:`), an absolute path or a URI",
        });
    };
    let staged = staged_path(&path);
    Ok(Where::Staged(alias.map_or(staged.clone(), |alias| format!("{staged}#{alias}"))))
}

impl Read for Place {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let template = Template::read(node, cx)?;
        Some(Self::of(&template.text.clone(), template, node, cx))
    }

    fn shape(_: &mut Definitions) -> Shape {
        Shape::new("file", json!({ "type": "string" }))
    }
}

impl Read for Places {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let mut places = Vec::new();
        for node in nodes(node, cx)? {
            let Some(template) = Template::read(node, cx) else { continue };
            match template.kind {
                Kind::Literal => {
                    let parts: Vec<_> = parts(&template.text).map(str::to_owned).collect();
                    places.extend(parts.iter().map(|part| Place::of(part, Template::literal(part), node, cx)));
                }
                Kind::Text | Kind::Expression => places.push(Place(template)),
            }
        }
        Some(Self(places))
    }

    fn absent() -> Option<Self> {
        Some(Self::default())
    }

    fn shape(_: &mut Definitions) -> Shape {
        Shape::new("file or list", one_or_many())
    }
}

impl Places {
    pub fn find(&self, renderer: &Renderer, files: &Files) -> Result<Vec<Where>, RenderError> {
        let mut found = Vec::new();
        for place in &self.0 {
            for part in parts(&renderer.text(&place.0)?) {
                found.push(find(part, files)?);
            }
        }
        Ok(found)
    }
}

impl Read for Names {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let nodes = nodes(node, cx)?;
        Some(Self(nodes.iter().filter_map(|node| Template::read(node, cx)).collect()))
    }

    fn absent() -> Option<Self> {
        Some(Self::default())
    }

    fn shape(_: &mut Definitions) -> Shape {
        Shape::new("template or list", one_or_many())
    }
}

impl Names {
    pub fn render(&self, renderer: &Renderer) -> Result<Vec<String>, RenderError> {
        let mut out = Vec::new();
        for name in &self.0 {
            out.extend(parts(&renderer.text(name)?).map(str::to_owned));
        }
        Ok(out)
    }
}

fn one_or_many() -> serde_json::Value {
    json!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] })
}

/// The items of a list, or the one item that stands for it.
fn nodes<'n>(node: &'n Node, cx: &mut Cx<'_>) -> Option<&'n [Node]> {
    match &node.kind {
        NodeKind::List(items) => Some(items),
        NodeKind::Scalar(_) => Some(std::slice::from_ref(node)),
        NodeKind::Map(_) => {
            cx.report(Code::WrongType, cx.head(node), "expected a text or a list, found a map");
            None
        }
        NodeKind::Poisoned => None,
    }
}

fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}
