//! `4g`, `512m`: memory as Spark writes it.

use serde_json::{Value, json};

use crate::{
    code::Code,
    read::{Cx, Definitions, Read, Shape},
    template::{Kind, RenderError, Renderer, Template},
    yaml::{Core, Node},
};

/// Memory of a driver or executor.
#[derive(Debug, Clone, PartialEq)]
pub struct Memory(pub Template);

/// A whole number, or a template of one.
#[derive(Debug, Clone, PartialEq)]
pub struct Number(Template);

/// Whether Spark, and the Spark operator, read a text as memory.
fn is_memory(text: &str) -> bool {
    let lower = text.to_lowercase();
    let (number, unit) = lower.split_at(lower.find(|c: char| !c.is_ascii_digit()).unwrap_or(lower.len()));
    !number.is_empty() && ["k", "kb", "m", "mb", "g", "gb", "t", "tb"].contains(&unit)
}

fn meant(text: &str) -> Option<String> {
    let lower = text.trim().to_lowercase();
    let (number, unit) = lower.split_at(lower.find(|c: char| !c.is_ascii_digit() && c != '.')?);
    let unit = unit.trim().strip_suffix("ib").or_else(|| unit.trim().strip_suffix('i')).unwrap_or(unit.trim());
    let whole = match (number.parse::<f64>().ok()?, unit) {
        (number, "g") if number.fract() != 0.0 => format!("{}m", (number * 1024.0).round()),
        (_, unit) => format!("{number}{unit}"),
    };
    is_memory(&whole).then_some(whole)
}

/// Reports a literal that is no memory.
pub fn check(node: &Node, cx: &mut Cx<'_>) {
    let Some(scalar) = node.scalar().filter(|scalar| !scalar.text.contains("{{")) else { return };
    if !is_memory(&scalar.text) {
        let text = &scalar.text;
        let is_bare = text.chars().all(|c| c.is_ascii_digit());
        let help = match meant(text) {
            Some(meant) => format!("Spark writes `{meant}`"),
            None if is_bare => format!("say the unit: `{text}m` or `{text}g`"),
            None => "Spark's memory is a whole number with a unit, such as `512m` or `4g`".into(),
        };
        cx.report(Code::BadQuantity, node.span, format!("`{text}` is no memory of Spark")).help = Some(help);
    }
}

impl Read for Memory {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let template = Template::read(node, cx)?;
        check(node, cx);
        Some(Self(template))
    }

    fn shape(_: &mut Definitions) -> Shape {
        Shape::new("memory", json!({ "type": "string", "examples": ["512m", "4g"] }))
    }
}

impl Read for Number {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let template = Template::read(node, cx)?;
        let number = node.scalar().map(|scalar| scalar.core());
        if template.kind == Kind::Literal && !matches!(number, Some(Core::Integer(number)) if 0 <= number) {
            cx.wrong_type(node, "a whole number");
            return None;
        }
        Some(Self(template))
    }

    fn shape(_: &mut Definitions) -> Shape {
        Shape::new("integer", json!({ "type": ["integer", "string"] }))
    }
}

impl Number {
    pub fn render(&self, name: &'static str, renderer: &Renderer) -> Result<Value, RenderError> {
        let text = renderer.text(&self.0)?;
        match text.trim().parse::<u32>() {
            Ok(number) => Ok(number.into()),
            Err(_) => Err(RenderError::WrongType { name, found: format!("`{text}`"), expected: "a whole number" }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_of_kubernetes_is_told_how_spark_writes_it() {
        assert_eq!(meant("4Gi").as_deref(), Some("4g"));
        assert_eq!(meant("512 MiB").as_deref(), Some("512m"));
        assert_eq!(meant("1.5g").as_deref(), Some("1536m"));
        assert_eq!(meant("lots"), None);
        for text in ["512m", "4g", "4G", "512mb", "1t"] {
            assert!(is_memory(text), "{text}");
        }
        for text in ["", "4", "4Gi", "g", "1.5g", "4 g"] {
            assert!(!is_memory(text), "{text}");
        }
    }
}
