//! One invalid value of a request, in the shape and words of FastAPI (Airflow's 422).

use serde::Serialize;
use serde_json::{Value, json};

/// Where a value came from: `["query", "limit"]`, `["body", "conf"]`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Step {
    Name(String),
    Place(usize),
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Issue {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub loc: Vec<Step>,
    pub msg: String,
    pub input: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ctx: Option<Value>,
}

/// The part of a request that a value came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Path,
    Query,
    Body,
}

impl Part {
    fn as_str(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Query => "query",
            Self::Body => "body",
        }
    }
}

/// What is wrong with a value.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    Missing,
    /// A key that the body does not have.
    Extra,
    NotText,
    NotObject,
    /// The body itself is no object.
    NotModel,
    NotBoolean,
    NotInteger,
    NotNumber,
    BelowMinimum(i64),
    NotAbove(i64),
    NotInstant(&'static str),
    NoTimezone,
    NotOneOf(&'static [&'static str]),
    TooLong(usize),
    BadJson {
        at: usize,
        error: String,
    },
    /// A rule between fields.
    Rule(&'static str),
}

impl Issue {
    /// An issue with the field of this name; an empty name means the whole part.
    pub fn new(part: Part, name: &str, fault: Fault, input: Value) -> Self {
        let mut loc = vec![Step::Name(part.as_str().to_owned())];
        match fault {
            Fault::BadJson { at, .. } => loc.push(Step::Place(at)),
            _ if !name.is_empty() => loc.push(Step::Name(name.to_owned())),
            _ => {}
        }
        let (kind, msg, ctx) = words(fault);
        Self { kind, loc, msg, input, ctx }
    }
}

fn words(fault: Fault) -> (&'static str, String, Option<Value>) {
    match fault {
        Fault::Missing => ("missing", "Field required".into(), None),
        Fault::Extra => ("extra_forbidden", "Extra inputs are not permitted".into(), None),
        Fault::NotText => ("string_type", "Input should be a valid string".into(), None),
        Fault::NotObject => ("dict_type", "Input should be a valid dictionary".into(), None),
        Fault::NotModel => (
            "model_attributes_type",
            "Input should be a valid dictionary or object to extract fields from".into(),
            None,
        ),
        Fault::NotBoolean => {
            ("bool_parsing", "Input should be a valid boolean, unable to interpret input".into(), None)
        }
        Fault::NotInteger => {
            ("int_parsing", "Input should be a valid integer, unable to parse string as an integer".into(), None)
        }
        Fault::NotNumber => {
            ("float_parsing", "Input should be a valid number, unable to parse string as a number".into(), None)
        }
        Fault::BelowMinimum(least) => (
            "greater_than_equal",
            format!("Input should be greater than or equal to {least}"),
            Some(json!({ "ge": least })),
        ),
        Fault::NotAbove(bound) => {
            ("greater_than", format!("Input should be greater than {bound}"), Some(json!({ "gt": bound })))
        }
        Fault::NotInstant(why) => (
            "datetime_from_date_parsing",
            format!("Input should be a valid datetime or date, {why}"),
            Some(json!({ "error": why })),
        ),
        Fault::NoTimezone => ("timezone_aware", "Input should have timezone info".into(), None),
        Fault::NotOneOf(allowed) => {
            let expected = one_of(allowed);
            ("enum", format!("Input should be {expected}"), Some(json!({ "expected": expected })))
        }
        Fault::TooLong(max) => (
            "string_too_long",
            format!("String should have at most {max} characters"),
            Some(json!({ "max_length": max })),
        ),
        Fault::BadJson { error, .. } => ("json_invalid", "JSON decode error".into(), Some(json!({ "error": error }))),
        Fault::Rule(text) => ("value_error", format!("Value error, {text}"), Some(json!({ "error": {} }))),
    }
}

/// `'a', 'b' or 'c'`
fn one_of(allowed: &[&str]) -> String {
    let quoted = allowed.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        Some((last, _)) => last.clone(),
        None => String::new(),
    }
}
