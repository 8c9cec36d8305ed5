//! Request bodies: one JSON object, read field by field, with every invalid field reported at once.

use axum::{
    body::{Body, Bytes},
    extract::{FromRequest, Request},
};
use gridflow_core::Timestamp;
use serde_json::{Map, Value};

use crate::{
    error::{Error, Result},
    instant::{self, InstantError},
    issue::{Fault, Issue, Part},
};

/// A run's `conf` is by far the largest thing that is sent; what it holds is copied into every template's context.
pub const BODY_BYTES_MAX: usize = 1 << 20;

/// The fields of a body that nobody has asked for yet.
#[derive(Debug)]
pub struct Fields {
    whole: Value,
    rest: Map<String, Value>,
    issues: Vec<Issue>,
}

impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = Error;

    async fn from_request(request: Request, _state: &S) -> Result<Self> {
        Self::parse(&read(request.into_body()).await?)
    }
}

async fn read(body: Body) -> Result<Bytes> {
    axum::body::to_bytes(body, BODY_BYTES_MAX).await.map_err(|error| {
        if is_length_limit(&error) {
            Error::BodyTooLarge { max: BODY_BYTES_MAX }
        } else {
            Error::BadRequest("There was an error parsing the body".into())
        }
    })
}

fn is_length_limit(error: &axum::Error) -> bool {
    std::iter::successors(std::error::Error::source(error), |cause| cause.source())
        .any(|cause| cause.is::<http_body_util::LengthLimitError>())
}

impl Fields {
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        if bytes.is_empty() {
            return Err(Error::Invalid(vec![Issue::new(Part::Body, "", Fault::Missing, Value::Null)]));
        }
        match serde_json::from_slice::<Value>(bytes) {
            Ok(Value::Object(rest)) => Ok(Self { whole: Value::Object(rest.clone()), rest, issues: Vec::new() }),
            Ok(other) => Err(Error::Invalid(vec![Issue::new(Part::Body, "", Fault::NotModel, other)])),
            Err(error) => {
                let at = byte_offset(bytes, error.line(), error.column());
                let fault = Fault::BadJson { at, error: reason(&error) };
                Err(Error::Invalid(vec![Issue::new(Part::Body, "", fault, Value::Object(Map::new()))]))
            }
        }
    }

    /// Whether the body names this field, with whatever value.
    pub fn has(&self, name: &str) -> bool {
        self.rest.contains_key(name)
    }

    /// A field that must be there, though it may be null.
    pub fn require(&mut self, name: &str) {
        if !self.rest.contains_key(name) {
            self.issues.push(Issue::new(Part::Body, name, Fault::Missing, self.whole.clone()));
        }
    }

    pub fn text(&mut self, name: &str) -> Option<String> {
        match self.rest.shift_remove(name)? {
            Value::Null => None,
            Value::String(text) => Some(text),
            other => self.fault(name, Fault::NotText, other),
        }
    }

    /// A text of at most so many characters.
    pub fn text_up_to(&mut self, name: &str, max: usize) -> Option<String> {
        let text = self.text(name)?;
        if max < text.chars().count() {
            return self.fault(name, Fault::TooLong(max), Value::String(text));
        }
        Some(text)
    }

    pub fn object(&mut self, name: &str) -> Option<Map<String, Value>> {
        match self.rest.shift_remove(name)? {
            Value::Null => None,
            Value::Object(object) => Some(object),
            other => self.fault(name, Fault::NotObject, other),
        }
    }

    pub fn boolean(&mut self, name: &str) -> Option<bool> {
        match self.rest.shift_remove(name)? {
            Value::Bool(value) => Some(value),
            other => self.fault(name, Fault::NotBoolean, other),
        }
    }

    pub fn one_of(&mut self, name: &str, allowed: &'static [&'static str]) -> Option<&'static str> {
        match self.rest.shift_remove(name)? {
            Value::Null => None,
            other => match allowed.iter().find(|known| other.as_str() == Some(known)) {
                Some(known) => Some(known),
                None => self.fault(name, Fault::NotOneOf(allowed), other),
            },
        }
    }

    pub fn instant(&mut self, name: &str) -> Option<Timestamp> {
        let value = match self.rest.shift_remove(name)? {
            Value::Null => return None,
            value => value,
        };
        match value.as_str().map(instant::parse) {
            Some(Ok(instant)) => Some(instant),
            Some(Err(InstantError::NoTimezone)) => self.fault(name, Fault::NoTimezone, value),
            Some(Err(InstantError::Unreadable)) => {
                self.fault(name, Fault::NotInstant("it must be ISO 8601 with an offset"), value)
            }
            None => self.fault(name, Fault::NotInstant("it must be a text in ISO 8601"), value),
        }
    }

    /// Notes that a rule between fields is broken; says nothing where a field is broken already.
    pub fn rule(&mut self, text: &'static str) {
        if !self.issues.is_empty() {
            return;
        }
        self.issues.push(Issue::new(Part::Body, "", Fault::Rule(text), self.whole.clone()));
    }

    /// Ends the reading: what nobody asked for is unknown.
    pub fn finish(mut self) -> Result<()> {
        for (name, value) in std::mem::take(&mut self.rest) {
            self.issues.push(Issue::new(Part::Body, &name, Fault::Extra, value));
        }
        if self.issues.is_empty() { Ok(()) } else { Err(Error::Invalid(self.issues)) }
    }

    fn fault<T>(&mut self, name: &str, fault: Fault, input: Value) -> Option<T> {
        self.issues.push(Issue::new(Part::Body, name, fault, input));
        None
    }
}

/// serde names a line and a column; FastAPI names the place in the text.
fn byte_offset(bytes: &[u8], line: usize, column: usize) -> usize {
    let lines_before = bytes.split_inclusive(|byte| *byte == b'\n').take(line.saturating_sub(1));
    lines_before.map(<[u8]>::len).sum::<usize>() + column.saturating_sub(1)
}

fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or_default().to_owned()
}
