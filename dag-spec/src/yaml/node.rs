//! The tree of a YAML file: spans and raw scalars, no types yet.

use crate::source::Span;

/// A value of the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub span: Span,
    pub kind: NodeKind,
}

#[derive(Debug, Clone, PartialEq)]
pub enum NodeKind {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Map),
    /// A problem was reported here already; nothing is said about it again.
    Poisoned,
}

/// A scalar before anyone decided what it means.
#[derive(Debug, Clone, PartialEq)]
pub struct Scalar {
    pub text: String,
    pub style: Style,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    Plain,
    /// `'…'`, `"…"` or tagged `!!str`.
    Quoted,
    /// `|` and `>`.
    Block,
}

/// A mapping in the order of the file, without duplicate keys.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Map {
    pub entries: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub key: String,
    pub key_span: Span,
    pub value: Node,
}

/// What a plain scalar is by the core schema of YAML 1.2.
#[derive(Debug, Clone, PartialEq)]
pub enum Core {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text,
}

impl Map {
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }
}

impl Node {
    pub fn scalar(&self) -> Option<&Scalar> {
        match &self.kind {
            NodeKind::Scalar(scalar) => Some(scalar),
            NodeKind::List(_) | NodeKind::Map(_) | NodeKind::Poisoned => None,
        }
    }

    pub fn map(&self) -> Option<&Map> {
        match &self.kind {
            NodeKind::Map(map) => Some(map),
            NodeKind::List(_) | NodeKind::Scalar(_) | NodeKind::Poisoned => None,
        }
    }

    pub fn is_poisoned(&self) -> bool {
        self.kind == NodeKind::Poisoned
    }

    /// Whether nothing is written here: an empty value, `null` or `~`.
    pub fn is_null(&self) -> bool {
        self.scalar().is_some_and(|scalar| scalar.core() == Core::Null)
    }

    /// What is here, for messages: "a list", "the number 3".
    pub fn describe(&self) -> String {
        match &self.kind {
            NodeKind::List(_) => "a list".into(),
            NodeKind::Map(_) => "a map".into(),
            NodeKind::Poisoned => "something broken".into(),
            NodeKind::Scalar(scalar) => match scalar.core() {
                Core::Null => "nothing".into(),
                Core::Bool(value) => format!("the boolean `{value}`"),
                Core::Integer(_) | Core::Float(_) => format!("the number `{}`", scalar.text),
                Core::Text if scalar.text.chars().count() <= 40 && !scalar.text.contains('\n') => {
                    format!("the text `{}`", scalar.text)
                }
                Core::Text => "a text".into(),
            },
        }
    }
}

impl Scalar {
    /// What the scalar is by the core schema. Quoted and block scalars are text.
    pub fn core(&self) -> Core {
        match self.style {
            Style::Plain => core(&self.text),
            Style::Quoted | Style::Block => Core::Text,
        }
    }
}

fn core(text: &str) -> Core {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Core::Null,
        "true" | "True" | "TRUE" => return Core::Bool(true),
        "false" | "False" | "FALSE" => return Core::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Core::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Core::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Core::Float(f64::NEG_INFINITY),
        _ => {}
    }
    let radix = |digits: &str, radix| i64::from_str_radix(digits, radix).ok();
    if let Some(value) = text.strip_prefix("0x").and_then(|digits| radix(digits, 16)) {
        return Core::Integer(value);
    }
    if let Some(value) = text.strip_prefix("0o").and_then(|digits| radix(digits, 8)) {
        return Core::Integer(value);
    }
    let numeric = |c: char| c.is_ascii_digit() || "+-.eE".contains(c);
    if !text.chars().all(numeric) || !text.contains(|c: char| c.is_ascii_digit()) {
        return Core::Text;
    }
    match text.parse::<i64>() {
        Ok(value) => Core::Integer(value),
        Err(_) => text.parse::<f64>().map_or(Core::Text, Core::Float),
    }
}

/// The value as JSON, by the core schema. Infinite numbers have no JSON and become null.
pub fn to_json(node: &Node) -> serde_json::Value {
    use serde_json::Value;

    match &node.kind {
        NodeKind::Poisoned => Value::Null,
        NodeKind::List(items) => items.iter().map(to_json).collect(),
        NodeKind::Map(map) => Value::Object(map.entries.iter().map(|e| (e.key.clone(), to_json(&e.value))).collect()),
        NodeKind::Scalar(scalar) => match scalar.core() {
            Core::Null => Value::Null,
            Core::Bool(value) => value.into(),
            Core::Integer(value) => value.into(),
            Core::Float(value) => value.into(),
            Core::Text => scalar.text.clone().into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_follow_the_core_schema_of_yaml_1_2() {
        for text in ["yes", "no", "on", "off", "1:30", "1_000", "2025-01-01", "e", ".", "-", "1e", "0b1", "y"] {
            assert_eq!(core(text), Core::Text, "{text}");
        }
        assert_eq!(core("0012"), Core::Integer(12));
        assert_eq!(core("0x1F"), Core::Integer(31));
        assert_eq!(core("0o17"), Core::Integer(15));
        assert_eq!(core("-1.5e3"), Core::Float(-1500.0));
        assert_eq!(core("~"), Core::Null);
        assert_eq!(core("True"), Core::Bool(true));
    }
}
