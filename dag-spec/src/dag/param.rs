//! `params:`: what a run can be given, with types and bounds.

use chrono::{DateTime, NaiveDate};
use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use crate::{
    code::Code,
    read::{Cx, Definitions, OneOrMany, Pattern, Prose, Read, Shape, named, read_map, spec},
    source::Span,
    suggest,
    yaml::{self, Node, NodeKind},
};

/// The params of a DAG by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Params(pub IndexMap<String, Param>);

/// One param. Without `types` anything goes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Param {
    pub types: Vec<ParamType>,
    pub default: Option<Value>,
    pub description: Option<String>,
    pub choices: Vec<Value>,
    pub minimum: Option<f64>,
    pub maximum: Option<f64>,
    pub min_length: Option<u32>,
    pub max_length: Option<u32>,
    pub pattern: Option<Pattern>,
    pub format: Option<Format>,
    pub span: Span,
}

/// A type of JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParamType {
    String,
    Integer,
    Number,
    Boolean,
    Array,
    Object,
    Null,
}

/// What a text must look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Date,
    DateTime,
    Duration,
}

/// Why a value is none of its param.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("param `{name}`: {reason}")]
pub struct ParamError {
    pub name: String,
    pub reason: String,
    /// "did you mean `date`?"
    pub help: Option<String>,
}

const TYPES: &[(&str, ParamType)] = &[
    ("string", ParamType::String),
    ("integer", ParamType::Integer),
    ("number", ParamType::Number),
    ("boolean", ParamType::Boolean),
    ("array", ParamType::Array),
    ("object", ParamType::Object),
    ("null", ParamType::Null),
];

const FORMATS: &[(&str, Format)] =
    &[("date", Format::Date), ("date-time", Format::DateTime), ("duration", Format::Duration)];

spec! {
    /// One param: a subset of JSON Schema.
    pub struct ParamKeys "param" {
        /// The type, or a list of types: `string`, `integer`, `number`, `boolean`, `array`, `object`, `null`.
        pub r#type: OneOrMany<ParamType>,
        /// The value of runs that are not given one. A param without a default must be given.
        pub default: Given,
        /// What the param means.
        pub description: Option<Prose>,
        /// The only values allowed.
        pub r#enum: Option<Vec<Literal>>,
        /// The least number allowed.
        pub minimum: Option<f64>,
        /// The greatest number allowed.
        pub maximum: Option<f64>,
        /// The fewest characters or items.
        pub min_length as "minLength": Option<u32>,
        /// The most characters or items.
        pub max_length as "maxLength": Option<u32>,
        /// A regular expression that a text must match.
        pub pattern: Option<Pattern>,
        /// What a text must be: `date`, `date-time` or `duration`.
        pub format: Option<Format>,
        /// A name for people.
        pub title: Option<Prose>,
    }
}

/// A value as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Literal(pub Value);

/// A value that may be absent, where `null` is a value.
#[derive(Debug, Clone, PartialEq)]
pub struct Given(pub Option<Value>);

impl Read for Given {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        Literal::read(node, cx).map(|literal| Self(Some(literal.0)))
    }

    fn shape(definitions: &mut Definitions) -> Shape {
        Literal::shape(definitions)
    }

    fn absent() -> Option<Self> {
        Some(Self(None))
    }
}

impl Read for Literal {
    fn read(node: &Node, _: &mut Cx<'_>) -> Option<Self> {
        (!node.is_poisoned()).then(|| Self(yaml::to_json(node)))
    }

    fn shape(_: &mut Definitions) -> Shape {
        Shape::new("any value", json!({}))
    }
}

impl Read for ParamType {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        if node.is_null() && node.scalar().is_some_and(|scalar| !scalar.text.is_empty()) {
            return Some(Self::Null);
        }
        named(node, "type", TYPES, cx)
    }

    fn shape(_: &mut Definitions) -> Shape {
        Shape::new("type", json!({ "enum": TYPES.iter().map(|(name, _)| *name).collect::<Vec<_>>() }))
    }
}

impl Read for Format {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        named(node, "format", FORMATS, cx)
    }

    fn shape(_: &mut Definitions) -> Shape {
        Shape::new("format", json!({ "enum": FORMATS.iter().map(|(name, _)| *name).collect::<Vec<_>>() }))
    }
}

impl Read for Params {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let Some(map) = node.map() else {
            cx.wrong_type(node, "a map of names to params");
            return None;
        };
        let mut params = IndexMap::new();
        for entry in &map.entries {
            if !is_name(&entry.key) {
                cx.report(Code::InvalidId, entry.key_span, format!("`{}` is no name of a param", entry.key)).help =
                    Some("a name has letters, digits and `_`, and does not begin with a digit".into());
            }
            // A broken param still is a param: its uses are no mistakes.
            let param = param(&entry.value, entry.key_span, cx).unwrap_or_default();
            params.insert(entry.key.clone(), param);
        }
        Some(Self(params))
    }

    fn shape(definitions: &mut Definitions) -> Shape {
        let long = definitions.refer::<ParamKeys>();
        let schema = json!({ "type": "object", "additionalProperties": { "anyOf": [long, { "type": ["string", "number", "boolean", "null", "array"] }] } });
        Shape::new("map of name to [`param`](#param) or default", schema)
    }
}

fn param(node: &Node, span: Span, cx: &mut Cx<'_>) -> Option<Param> {
    if node.is_poisoned() {
        return None;
    }
    // A map is the long form; a default that is a map stands under `default:`.
    if node.map().is_none() {
        let default = yaml::to_json(node);
        let types = match &default {
            Value::Null => Vec::new(),
            Value::Bool(_) => vec![ParamType::Boolean],
            Value::Number(number) if number.is_f64() => vec![ParamType::Number],
            Value::Number(_) => vec![ParamType::Integer],
            Value::String(_) => vec![ParamType::String],
            Value::Array(_) => vec![ParamType::Array],
            Value::Object(_) => vec![ParamType::Object],
        };
        return Some(Param { types, default: Some(default), span, ..Param::default() });
    }
    let keys: ParamKeys = read_map(node, "a param", cx)?;
    let mut param = Param {
        types: keys.r#type.0,
        default: keys.default.0,
        description: keys.description.or(keys.title).map(|prose| prose.0),
        choices: keys.r#enum.unwrap_or_default().into_iter().map(|literal| literal.0).collect(),
        minimum: keys.minimum,
        maximum: keys.maximum,
        min_length: keys.min_length,
        max_length: keys.max_length,
        pattern: keys.pattern,
        format: keys.format,
        span,
    };
    if let Some(entry) = node.map().and_then(|map| map.get("default")) {
        // A text takes its default as it is written (`0012`, `yes`).
        if param.types == [ParamType::String]
            && let NodeKind::Scalar(scalar) = &entry.value.kind
            && !entry.value.is_null()
        {
            param.default = Some(scalar.text.clone().into());
        }
        if let Some(Err(reason)) = param.default.as_ref().map(|default| param.check(default)) {
            cx.report(Code::BadDefault, entry.value.span, format!("the default {reason}"));
        }
    }
    Some(param)
}

fn is_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.chars().all(|c| c.is_alphanumeric() || c == '_')
}

impl Params {
    /// The values of a run: what it was given over the defaults, all checked.
    pub fn resolve(&self, conf: &Value) -> Result<Map<String, Value>, Vec<ParamError>> {
        let none = Map::new();
        let given = match conf {
            Value::Null => &none,
            Value::Object(given) => given,
            _ => {
                let reason = "the configuration of a run is a map of params".to_owned();
                return Err(vec![ParamError { name: "conf".into(), reason, help: None }]);
            }
        };
        let mut errors = Vec::new();
        let mut values = Map::new();
        for (name, param) in &self.0 {
            match given.get(name).or(param.default.as_ref()) {
                None => errors.push(ParamError {
                    name: name.clone(),
                    reason: "it has no default and must be given".into(),
                    help: None,
                }),
                Some(value) => match param.check(value) {
                    Ok(()) => drop(values.insert(name.clone(), value.clone())),
                    Err(reason) => errors.push(ParamError { name: name.clone(), reason, help: None }),
                },
            }
        }
        for name in given.keys().filter(|name| !self.0.contains_key(*name)) {
            let known = self.0.keys().map(String::as_str);
            let help = suggest::did_you_mean(name, known.clone()).or_else(|| match self.0.len() {
                0 => Some("this DAG has no params".into()),
                1..=16 => Some(format!("its params are {}", suggest::list(known))),
                _ => None,
            });
            errors.push(ParamError { name: name.clone(), reason: "the DAG has no such param".into(), help });
        }
        if errors.is_empty() { Ok(values) } else { Err(errors) }
    }

    /// The JSON Schema of a run's configuration, for forms and clients.
    pub fn json_schema(&self) -> Value {
        let properties: Map<_, _> = self.0.iter().map(|(name, param)| (name.clone(), param.json_schema())).collect();
        let required: Vec<_> =
            self.0.iter().filter(|(_, param)| param.default.is_none()).map(|(name, _)| name).collect();
        json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
    }
}

impl Param {
    /// Whether a value may be this param; the error completes "param `x` …".
    pub fn check(&self, value: &Value) -> Result<(), String> {
        if !self.types.is_empty() && !self.types.iter().any(|kind| kind.takes(value)) {
            let types: Vec<_> = self.types.iter().map(|kind| kind.name()).collect();
            return Err(format!("must be of type {}, not {value}", types.join(" or ")));
        }
        if !self.choices.is_empty() && !self.choices.contains(value) {
            let choices: Vec<_> = self.choices.iter().map(Value::to_string).collect();
            return Err(format!("must be one of {}, not {value}", choices.join(", ")));
        }
        match value {
            Value::Number(number) => self.check_number(number.as_f64().unwrap_or(f64::NAN)),
            Value::String(text) => self.check_text(text),
            Value::Array(items) => self.check_length(items.len(), "items"),
            Value::Null | Value::Bool(_) | Value::Object(_) => Ok(()),
        }
    }

    fn check_number(&self, number: f64) -> Result<(), String> {
        if let Some(minimum) = self.minimum.filter(|minimum| number < *minimum) {
            return Err(format!("must be at least {minimum}, not {number}"));
        }
        if let Some(maximum) = self.maximum.filter(|maximum| *maximum < number) {
            return Err(format!("must be at most {maximum}, not {number}"));
        }
        Ok(())
    }

    fn check_text(&self, text: &str) -> Result<(), String> {
        self.check_length(text.chars().count(), "characters")?;
        if let Some(Pattern(regex)) = self.pattern.as_ref().filter(|pattern| !pattern.0.is_match(text)) {
            return Err(format!("must match `{}`, not {text:?}", regex.as_str()));
        }
        match self.format {
            Some(Format::Date) if NaiveDate::parse_from_str(text, "%Y-%m-%d").is_err() => {
                Err(format!("must be a date such as 2025-01-31, not {text:?}"))
            }
            Some(Format::DateTime) if DateTime::parse_from_rfc3339(text).is_err() => {
                Err(format!("must be a date and time such as 2025-01-31T06:00:00Z, not {text:?}"))
            }
            Some(Format::Duration) if crate::read::parse_duration(text).is_err() => {
                Err(format!("must be a duration such as 1h30m, not {text:?}"))
            }
            Some(Format::Date | Format::DateTime | Format::Duration) | None => Ok(()),
        }
    }

    fn check_length(&self, length: usize, what: &str) -> Result<(), String> {
        if let Some(min) = self.min_length.filter(|min| length < *min as usize) {
            return Err(format!("must have at least {min} {what}, not {length}"));
        }
        if let Some(max) = self.max_length.filter(|max| (*max as usize) < length) {
            return Err(format!("must have at most {max} {what}, not {length}"));
        }
        Ok(())
    }

    fn json_schema(&self) -> Value {
        let mut schema = Map::new();
        let types: Vec<_> = self.types.iter().map(|kind| kind.name()).collect();
        match types.as_slice() {
            [] => {}
            [one] => drop(schema.insert("type".into(), json!(one))),
            many => drop(schema.insert("type".into(), json!(many))),
        }
        let mut set = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                schema.insert(key.into(), value);
            }
        };
        let is_array = self.types.contains(&ParamType::Array);
        set("default", self.default.clone());
        set("description", self.description.clone().map(Value::from));
        set("enum", (!self.choices.is_empty()).then(|| self.choices.clone().into()));
        set("minimum", self.minimum.map(Value::from));
        set("maximum", self.maximum.map(Value::from));
        set(if is_array { "minItems" } else { "minLength" }, self.min_length.map(Value::from));
        set(if is_array { "maxItems" } else { "maxLength" }, self.max_length.map(Value::from));
        set("pattern", self.pattern.as_ref().map(|pattern| pattern.0.as_str().into()));
        set(
            "format",
            self.format.and_then(|format| FORMATS.iter().find(|(_, f)| *f == format)).map(|(name, _)| (*name).into()),
        );
        Value::Object(schema)
    }
}

impl ParamType {
    pub fn name(self) -> &'static str {
        TYPES.iter().find(|(_, kind)| *kind == self).map_or("null", |(name, _)| name)
    }

    fn takes(self, value: &Value) -> bool {
        match self {
            Self::String => value.is_string(),
            Self::Integer => {
                value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0)
            }
            Self::Number => value.is_number(),
            Self::Boolean => value.is_boolean(),
            Self::Array => value.is_array(),
            Self::Object => value.is_object(),
            Self::Null => value.is_null(),
        }
    }
}
