//! The scalars of the language.

use std::{num::NonZeroU32, time::Duration};

use chrono_tz::Tz;
use indexmap::IndexMap;
use serde_json::json;

use super::{Cx, Definitions, Read, Shape};
use crate::{
    code::Code,
    source::Span,
    suggest,
    yaml::{Core, Node, NodeKind},
};

mod date;
mod duration;
mod size;

pub use date::Date;
pub use duration::parse_duration;
pub use size::Size;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Spanned<T> {
    pub value: T,
    pub span: Span,
}

impl<T: Read> Read for Spanned<T> {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        T::read(node, cx).map(|value| Self { value, span: cx.head(node) })
    }

    fn shape(definitions: &mut Definitions) -> Shape {
        T::shape(definitions)
    }
}

impl Read for bool {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        if let Some(Core::Bool(value)) = node.scalar().map(|scalar| scalar.core()) {
            return Some(value);
        }
        let text = node.scalar().map(|scalar| scalar.text.to_lowercase());
        let help = match text.as_deref() {
            Some("yes" | "on" | "y" | "true" | "1") => Some("write `true`"),
            Some("no" | "off" | "n" | "false" | "0") => Some("write `false`"),
            _ => None,
        };
        typed(node, "`true` or `false`", help, cx)
    }

    fn shape(_: &mut Definitions) -> Shape {
        Shape::new("boolean", json!({ "type": "boolean" }))
    }
}

/// An integer in a range.
fn integer(node: &Node, min: i64, max: i64, cx: &mut Cx<'_>) -> Option<i64> {
    match node.scalar().map(|scalar| scalar.core()) {
        Some(Core::Integer(value)) if (min..=max).contains(&value) => Some(value),
        Some(Core::Integer(value)) => {
            let range = if value < min { format!("at least {min}") } else { format!("at most {max}") };
            cx.report(Code::OutOfRange, node.span, format!("expected a number of {range}, found `{value}`"));
            None
        }
        _ => typed(node, "a whole number", None, cx),
    }
}

macro_rules! integers {
    ($($type:ty: $min:expr, $max:expr;)*) => {$(
        impl Read for $type {
            fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
                let value = integer(node, $min, $max, cx)?;
                Some(Self::try_from(u32::try_from(value).ok()?).expect("the range was checked"))
            }

            fn shape(_: &mut Definitions) -> Shape {
                Shape::new("integer", json!({ "type": "integer", "minimum": $min }))
            }
        }
    )*};
}

integers! {
    u32: 0, i64::from(u32::MAX);
    NonZeroU32: 1, i64::from(u32::MAX);
    u64: 0, i64::from(u32::MAX);
}

impl Read for i32 {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        integer(node, i64::from(i32::MIN), i64::from(i32::MAX), cx).and_then(|value| value.try_into().ok())
    }

    fn shape(_: &mut Definitions) -> Shape {
        Shape::new("integer", json!({ "type": "integer" }))
    }
}

impl Read for f64 {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        match node.scalar().map(|scalar| scalar.core()) {
            Some(Core::Integer(value)) => Some(value as f64),
            Some(Core::Float(value)) if value.is_finite() => Some(value),
            _ => typed(node, "a number", None, cx),
        }
    }

    fn shape(_: &mut Definitions) -> Shape {
        Shape::new("number", json!({ "type": "number" }))
    }
}

/// A text without templates: the raw scalar, whatever it looks like (`0012`, `yes`).
impl Read for String {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let text = text(node, cx)?;
        if text.contains("{{") || text.contains("{%") {
            cx.report(
                Code::TemplateNotAllowed,
                cx.head(node),
                "a template is not possible here: this is read when the file is loaded, before any run",
            );
            return None;
        }
        Some(text.to_owned())
    }

    fn shape(_: &mut Definitions) -> Shape {
        Shape::new("text", json!({ "type": ["string", "number", "boolean"] }))
    }
}

/// A regular expression.
#[derive(Debug, Clone)]
pub struct Pattern(pub regex::Regex);

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Read for Pattern {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let text = text(node, cx)?;
        match regex::Regex::new(text) {
            Ok(regex) => Some(Self(regex)),
            Err(error) => {
                // The parser draws a picture; its last line says it.
                let reason = error.to_string();
                let reason = reason.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
                cx.report(Code::BadPattern, node.span, format!("`{text}` is no regular expression: {reason}"));
                None
            }
        }
    }

    fn shape(_: &mut Definitions) -> Shape {
        Shape::new("regular expression", json!({ "type": "string", "format": "regex" }))
    }
}

/// A text for people, which may speak of templates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prose(pub String);

impl Read for Prose {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        text(node, cx).map(|text| Self(text.to_owned()))
    }

    fn shape(definitions: &mut Definitions) -> Shape {
        String::shape(definitions)
    }
}

fn text<'n>(node: &'n Node, cx: &mut Cx<'_>) -> Option<&'n str> {
    match node.scalar() {
        Some(scalar) if !(scalar.text.is_empty() && scalar.core() == Core::Null) => Some(&scalar.text),
        _ => typed(node, "a text", None, cx),
    }
}

impl Read for Tz {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let name = text(node, cx)?;
        if let Ok(zone) = name.parse() {
            return Some(zone);
        }
        let help = suggest::did_you_mean(name, chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name()));
        let help = help
            .unwrap_or_else(|| "use a name of the IANA time zone database, such as `Europe/Berlin` or `UTC`".into());
        cx.report(Code::BadTimezone, node.span, format!("there is no time zone `{name}`")).help = Some(help);
        None
    }

    fn shape(_: &mut Definitions) -> Shape {
        Shape::new("IANA time zone", json!({ "type": "string", "examples": ["UTC", "Europe/Berlin"] }))
    }
}

impl Read for Duration {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let text = text(node, cx)?;
        match parse_duration(text) {
            Ok(duration) => Some(duration),
            Err(help) => {
                cx.report(Code::BadDuration, node.span, format!("`{text}` is no duration")).help = Some(help);
                None
            }
        }
    }

    fn shape(_: &mut Definitions) -> Shape {
        Shape::new(
            "duration",
            json!({ "type": "string", "pattern": duration::PATTERN, "examples": ["30s", "1h30m", "2d"] }),
        )
    }
}

/// A duration of some length: a limit of nothing would end everything at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeout(pub Duration);

impl Read for Timeout {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let duration = Duration::read(node, cx)?;
        if duration.is_zero() {
            cx.report(Code::OutOfRange, node.span, "a limit of time is longer than nothing").help =
                Some("leave the key out for no limit".into());
            return None;
        }
        Some(Self(duration))
    }

    fn shape(definitions: &mut Definitions) -> Shape {
        Duration::shape(definitions)
    }
}

/// One value or a list of them.
#[derive(Debug, Clone, PartialEq)]
pub struct OneOrMany<T>(pub Vec<T>);

impl<T: Read> Read for OneOrMany<T> {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        match &node.kind {
            NodeKind::List(_) => Vec::read(node, cx).map(Self),
            NodeKind::Scalar(_) | NodeKind::Map(_) | NodeKind::Poisoned => {
                T::read(node, cx).map(|value| Self(vec![value]))
            }
        }
    }

    fn shape(definitions: &mut Definitions) -> Shape {
        let one = T::shape(definitions);
        let many = Vec::<T>::shape(definitions);
        Shape::new(format!("{} or list", one.phrase), one.or(many).schema)
    }

    fn absent() -> Option<Self> {
        Some(Self(Vec::new()))
    }
}

impl<T: Read> Read for Vec<T> {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let NodeKind::List(items) = &node.kind else {
            return typed(node, "a list", None, cx);
        };
        // Every item is read, so that every problem is reported; broken ones are left out.
        Some(items.iter().filter_map(|item| T::read(item, cx)).collect())
    }

    fn shape(definitions: &mut Definitions) -> Shape {
        let item = T::shape(definitions);
        Shape::new(format!("list of {}", item.phrase), json!({ "type": "array", "items": item.schema }))
    }
}

/// A map with free keys.
impl<T: Read> Read for IndexMap<String, T> {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let Some(map) = node.map() else {
            return typed(node, "a map", None, cx);
        };
        let read: Vec<_> = map.entries.iter().map(|entry| (entry.key.clone(), T::read(&entry.value, cx))).collect();
        read.into_iter().map(|(key, value)| value.map(|value| (key, value))).collect()
    }

    fn shape(definitions: &mut Definitions) -> Shape {
        let value = T::shape(definitions);
        Shape::new(
            format!("map of name to {}", value.phrase),
            json!({ "type": "object", "additionalProperties": value.schema }),
        )
    }
}

/// One of several names.
pub fn named<T: Copy>(node: &Node, what: &str, names: &[(&'static str, T)], cx: &mut Cx<'_>) -> Option<T> {
    let text = text(node, cx)?;
    if let Some((_, value)) = names.iter().find(|(name, _)| *name == text) {
        return Some(*value);
    }
    let help = suggest::did_you_mean(text, names.iter().map(|(name, _)| *name))
        .unwrap_or_else(|| format!("one of {}", suggest::list(names.iter().map(|(name, _)| *name))));
    cx.report(Code::UnknownName, node.span, format!("there is no {what} `{text}`")).help = Some(help);
    None
}

fn typed<T>(node: &Node, expected: &str, help: Option<&str>, cx: &mut Cx<'_>) -> Option<T> {
    if let Some(scalar) = node.scalar()
        && (scalar.text.contains("{{") || scalar.text.contains("{%"))
    {
        cx.report(
            Code::TemplateNotAllowed,
            cx.head(node),
            format!("a template is not possible here: this is read when the file is loaded; expected {expected}"),
        );
        return None;
    }
    let before = cx.diagnostics.len();
    cx.wrong_type(node, expected);
    if let (Some(help), Some(diagnostic)) = (help, cx.diagnostics.get_mut(before)) {
        diagnostic.help = Some(help.into());
    }
    None
}
