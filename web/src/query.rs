//! The query string: typed values, with every invalid one reported at once.

use std::str::FromStr;

use axum::{extract::FromRequestParts, http::request::Parts};
use gridflow_core::Timestamp;
use gridflow_store::api::{Order, Page};
use serde_json::Value;

use crate::{
    error::{Error, Result},
    instant,
    issue::{Fault, Issue, Part},
};

/// Airflow's `maximum_page_limit` and `fallback_page_limit`.
pub const PAGE_LIMIT_MAX: i64 = 100;
const PAGE_LIMIT_DEFAULT: i64 = 50;
const ORDER_BY_MAX: usize = 10;

/// The parameters of a query string; a name may come more than once. Unknown ones are ignored, as in Airflow.
#[derive(Debug, Default)]
pub struct Query {
    pairs: Vec<(String, String)>,
    issues: Vec<Issue>,
}

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self> {
        Ok(Self::parse(parts.uri.query().unwrap_or_default()))
    }
}

impl Query {
    pub fn parse(text: &str) -> Self {
        let pairs = form_urlencoded::parse(text.as_bytes());
        // PostgreSQL's texts hold no NUL: a filter with one matches nothing.
        let pairs = pairs.map(|(key, value)| (key.into_owned(), value.replace('\0', "\u{fffd}"))).collect();
        Self { pairs, issues: Vec::new() }
    }

    /// The last value of this name, as FastAPI takes it.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.pairs.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub fn texts(&self, name: &str) -> Vec<String> {
        self.pairs.iter().filter(|(key, _)| key == name).map(|(_, value)| value.clone()).collect()
    }

    pub fn boolean(&mut self, name: &str) -> Option<bool> {
        let value = self.text(name)?.to_owned();
        let parsed = match value.to_ascii_lowercase().as_str() {
            "true" | "1" | "on" | "t" | "y" | "yes" => Some(true),
            "false" | "0" | "off" | "f" | "n" | "no" => Some(false),
            _ => None,
        };
        self.expect(name, parsed, Fault::NotBoolean, value)
    }

    pub fn integer(&mut self, name: &str) -> Option<i64> {
        let value = self.text(name)?.to_owned();
        self.expect(name, i64::from_str(value.trim()).ok(), Fault::NotInteger, value)
    }

    /// Every value of this name, as integers of the database.
    pub fn small_integers(&mut self, name: &str) -> Vec<i32> {
        let values = self.texts(name);
        values
            .into_iter()
            .filter_map(|value| self.expect(name, i32::from_str(value.trim()).ok(), Fault::NotInteger, value))
            .collect()
    }

    /// An integer that is not below `least`.
    pub fn integer_from(&mut self, name: &str, least: i64) -> Option<i64> {
        let number = self.integer(name)?;
        let value = self.text(name).unwrap_or_default().to_owned();
        self.expect(name, (least <= number).then_some(number), Fault::BelowMinimum(least), value)
    }

    pub fn number(&mut self, name: &str) -> Option<f64> {
        let value = self.text(name)?.to_owned();
        let number = f64::from_str(value.trim()).ok().filter(|number| number.is_finite());
        self.expect(name, number, Fault::NotNumber, value)
    }

    /// A number above zero.
    pub fn positive(&mut self, name: &str) -> Option<f64> {
        let number = self.number(name)?;
        let value = self.text(name).unwrap_or_default().to_owned();
        self.expect(name, (0.0 < number).then_some(number), Fault::NotAbove(0), value)
    }

    /// An instant; Airflow answers 400 with a text where it is none.
    pub fn instant(&self, name: &str) -> Result<Option<Timestamp>> {
        let Some(value) = self.text(name) else { return Ok(None) };
        match instant::parse(value) {
            Ok(instant) => Ok(Some(instant)),
            Err(_) => Err(Error::BadRequest(format!(
                "Invalid datetime: '{value}'. Please check the date parameter have this value."
            ))),
        }
    }

    /// `limit` and `offset` with Airflow's defaults and cap.
    pub fn page(&mut self) -> Page {
        let limit = self.integer_from("limit", 0).unwrap_or(PAGE_LIMIT_DEFAULT);
        let offset = self.integer_from("offset", 0).unwrap_or(0);
        Page { limit: limit.min(PAGE_LIMIT_MAX), offset }
    }

    /// The keys to sort by; each must be in `allowed`. The default stands where none is given.
    pub fn order_by(&self, allowed: &Keys, default: &'static str) -> Result<Vec<Order>> {
        let mut keys = self.texts("order_by");
        if keys.is_empty() {
            keys.push(default.to_owned());
        }
        if ORDER_BY_MAX < keys.len() {
            return Err(Error::BadRequest(format!(
                "Ordering with more than {ORDER_BY_MAX} parameters is not allowed. Provided: {keys:?}"
            )));
        }
        keys.iter().map(|key| order(key, allowed)).collect()
    }

    /// Notes that a parameter must be there.
    pub fn missing(&mut self, name: &str) {
        self.issues.push(Issue::new(Part::Query, name, Fault::Missing, Value::Null));
    }

    /// Ends the reading: all issues at once, or none.
    pub fn finish(self) -> Result<()> {
        if self.issues.is_empty() { Ok(()) } else { Err(Error::Invalid(self.issues)) }
    }

    fn expect<T>(&mut self, name: &str, parsed: Option<T>, fault: Fault, input: String) -> Option<T> {
        if parsed.is_none() {
            self.issues.push(Issue::new(Part::Query, name, fault, Value::String(input)));
        }
        parsed
    }
}

/// What a list can be sorted by: Airflow's names, with the columns they mean.
pub type Keys = [(&'static str, &'static str)];

fn order(text: &str, allowed: &Keys) -> Result<Order> {
    let name = text.trim_start_matches('-');
    match allowed.iter().find(|(key, _)| *key == name) {
        Some((_, column)) => Ok(Order { column, is_descending: text.starts_with('-') }),
        None => Err(Error::BadRequest(format!(
            "Ordering with '{name}' is disallowed or the attribute does not exist on the model"
        ))),
    }
}
