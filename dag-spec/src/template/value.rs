//! Structured values with templates at their leaves, and values of templates as JSON.

use minijinja::value::{Value, ValueKind};
use serde_json::{Value as Json, json};

use super::{LocalTime, RenderError, Renderer, Template};
use crate::{
    read::{Cx, Definitions, Read, Shape},
    yaml::{self, Core, Node, NodeKind},
};

/// Any YAML value; texts in it may be templates.
#[derive(Debug, Clone, PartialEq)]
pub enum Tree {
    Plain(Json),
    Text(Template),
    List(Vec<Tree>),
    Map(Vec<(String, Tree)>),
}

impl Tree {
    /// Adds every template in it.
    pub fn templates(&self, out: &mut Vec<Template>) {
        match self {
            Self::Plain(_) => {}
            Self::Text(template) => out.push(template.clone()),
            Self::List(items) => items.iter().for_each(|item| item.templates(out)),
            Self::Map(entries) => entries.iter().for_each(|(_, value)| value.templates(out)),
        }
    }

    pub fn render(&self, renderer: &Renderer) -> Result<Json, RenderError> {
        match self {
            Self::Plain(value) => Ok(value.clone()),
            Self::Text(template) => renderer.value(template),
            Self::List(items) => items.iter().map(|item| item.render(renderer)).collect(),
            Self::Map(entries) => {
                let entries = entries.iter().map(|(key, value)| Ok((key.clone(), value.render(renderer)?)));
                entries.collect::<Result<_, _>>().map(Json::Object)
            }
        }
    }
}

impl Read for Tree {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        match &node.kind {
            NodeKind::Poisoned => None,
            NodeKind::Scalar(scalar) if scalar.core() != Core::Text => Some(Self::Plain(yaml::to_json(node))),
            NodeKind::Scalar(_) => Template::read(node, cx).map(Self::Text),
            NodeKind::List(items) => {
                let read: Vec<_> = items.iter().map(|item| Self::read(item, cx)).collect();
                read.into_iter().collect::<Option<_>>().map(Self::List)
            }
            NodeKind::Map(map) => {
                let read: Vec<_> =
                    map.entries.iter().map(|entry| (entry.key.clone(), Self::read(&entry.value, cx))).collect();
                read.into_iter()
                    .map(|(key, value)| value.map(|value| (key, value)))
                    .collect::<Option<_>>()
                    .map(Self::Map)
            }
        }
    }

    fn shape(_: &mut Definitions) -> Shape {
        Shape::new("any value, with templates", json!({}))
    }
}

/// JSON → a value of templates. Numbers keep their kind.
pub fn from_json(json: &Json) -> Value {
    match json {
        Json::Null => Value::from(()),
        Json::Bool(value) => Value::from(*value),
        Json::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(value), _, _) => Value::from(value),
            (None, Some(value), _) => Value::from(value),
            (None, None, value) => Value::from(value.unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => Value::from(items.iter().map(from_json).collect::<Vec<_>>()),
        Json::Object(map) => Value::from_pairs(map.iter().map(|(key, value)| (key.as_str(), from_json(value)))),
    }
}

/// A value of templates → JSON. A date is its text in ISO 8601; `None` for what has no JSON.
pub fn to_json(value: &Value) -> Option<Json> {
    if let Some(time) = value.downcast_object_ref::<LocalTime>() {
        return Some(time.isoformat().into());
    }
    match value.kind() {
        ValueKind::Undefined | ValueKind::None => Some(Json::Null),
        ValueKind::Bool => Some(value.is_true().into()),
        ValueKind::Number => match value.as_i64() {
            Some(number) if value.is_integer() => Some(number.into()),
            _ => serde_json::to_value(value).ok(),
        },
        ValueKind::String => value.as_str().map(Json::from),
        ValueKind::Seq | ValueKind::Iterable => {
            value.try_iter().ok()?.map(|item| to_json(&item)).collect::<Option<_>>().map(Json::Array)
        }
        ValueKind::Map => {
            let entries =
                value.try_iter().ok()?.map(|key| Some((key.to_string(), to_json(&value.get_item(&key).ok()?)?)));
            entries.collect::<Option<_>>().map(Json::Object)
        }
        _ => None,
    }
}
