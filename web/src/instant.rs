//! Instants as Airflow's clients write them: ISO 8601 with an offset.

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use gridflow_core::Timestamp;

/// Why a text is no instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstantError {
    /// A date and time without an offset: it names no instant.
    NoTimezone,
    Unreadable,
}

/// Reads an instant. A blank before the offset is a `+` that a client forgot to escape in a query string.
pub fn parse(text: &str) -> Result<Timestamp, InstantError> {
    let text = text.trim();
    if let Some(instant) = with_offset(text) {
        return Ok(instant);
    }
    if let Some((head, tail)) = text.rsplit_once(' ')
        && tail.len() == 5
        && let Some(instant) = with_offset(&format!("{head}+{tail}"))
    {
        return Ok(instant);
    }
    if is_naive(text) { Err(InstantError::NoTimezone) } else { Err(InstantError::Unreadable) }
}

fn with_offset(text: &str) -> Option<Timestamp> {
    let instant = DateTime::parse_from_rfc3339(text)
        .or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%#z"))
        .or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M%#z"))
        .ok()?;
    Some(microseconds(instant.with_timezone(&Utc)))
}

fn is_naive(text: &str) -> bool {
    ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M"]
        .iter()
        .any(|format| NaiveDateTime::parse_from_str(text, format).is_ok())
        || NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok()
}

/// The database keeps microseconds: an instant must not change by being stored.
pub fn microseconds(instant: Timestamp) -> Timestamp {
    DateTime::from_timestamp_micros(instant.timestamp_micros()).unwrap_or(instant)
}

/// Seconds from one instant to another, if both are there.
pub fn seconds_between(start: Option<Timestamp>, end: Option<Timestamp>) -> Option<f64> {
    let micros = (end? - start?).num_microseconds()?;
    Some(micros as f64 / 1e6)
}
