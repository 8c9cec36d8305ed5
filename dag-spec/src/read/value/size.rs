//! `10MiB`, `2Gi`, `500k`.

use serde_json::json;

use super::{Cx, Definitions, Read, Shape, text};
use crate::{code::Code, yaml::Node};

const UNITS: &[(&str, u64)] = &[
    ("", 1),
    ("b", 1),
    ("k", 1_000),
    ("kb", 1_000),
    ("m", 1_000_000),
    ("mb", 1_000_000),
    ("g", 1_000_000_000),
    ("gb", 1_000_000_000),
    ("t", 1_000_000_000_000),
    ("tb", 1_000_000_000_000),
    ("ki", 1 << 10),
    ("kib", 1 << 10),
    ("mi", 1 << 20),
    ("mib", 1 << 20),
    ("gi", 1 << 30),
    ("gib", 1 << 30),
    ("ti", 1 << 40),
    ("tib", 1 << 40),
];

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

impl Size {
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_lowercase();
        let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len()));
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit.trim())?;
        let bytes = number.parse::<f64>().ok()? * *factor as f64;
        (bytes < 2f64.powi(60)).then_some(Self(bytes as u64))
    }
}

impl Read for Size {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let text = text(node, cx)?;
        let size = Self::parse(text);
        if size.is_none() {
            cx.report(Code::BadSize, node.span, format!("`{text}` is no size")).help =
                Some("a size is a number of bytes with a unit, such as `500k`, `10MiB` or `2Gi`".into());
        }
        size
    }

    fn shape(_: &mut Definitions) -> Shape {
        Shape::new("size", json!({ "type": ["string", "integer"], "examples": ["500k", "10MiB", "2Gi"] }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_decimal_and_binary_units() {
        for (text, bytes) in [("7", 7), ("500k", 500_000), ("10MiB", 10 << 20), ("2Gi", 2 << 30), ("1.5 kb", 1_500)] {
            assert_eq!(Size::parse(text), Some(Size(bytes)), "{text}");
        }
        for text in ["", "k", "-1k", "10x", "99999999999999ti"] {
            assert_eq!(Size::parse(text), None, "{text}");
        }
    }
}
