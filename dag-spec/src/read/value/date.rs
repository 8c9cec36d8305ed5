//! `2025-01-01`, `2025-01-01T06:00`, `2025-01-01T06:00:00+02:00`.

use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use serde_json::json;

use super::{Cx, Definitions, Read, Shape, text};
use crate::{code::Code, source::Span, yaml::Node};

/// An instant, or a wall clock's reading that the DAG's time zone makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Date {
    pub span: Span,
    value: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value {
    Instant(DateTime<Utc>),
    WallClock(NaiveDateTime),
}

impl Date {
    /// The instant. A reading that a clock change skips is that much later; one that comes twice is
    /// the first.
    pub fn instant(self, zone: Tz) -> DateTime<Utc> {
        let naive = match self.value {
            Value::Instant(instant) => return instant,
            Value::WallClock(naive) => naive,
        };
        if let Some(found) = zone.from_local_datetime(&naive).earliest() {
            return found.to_utc();
        }
        // Read with the offset in force before the gap, as Airflow's clock library does.
        let before = zone.from_local_datetime(&(naive - TimeDelta::hours(3))).earliest();
        before.map_or_else(|| naive.and_utc(), |before| (before + TimeDelta::hours(3)).to_utc())
    }

    /// Reads one of the forms of dates.
    pub fn parse(text: &str, span: Span) -> Option<Self> {
        let text = text.trim();
        let value = if let Ok(date) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
            Value::WallClock(date.and_time(NaiveTime::MIN))
        } else if let Ok(instant) = DateTime::parse_from_rfc3339(&text.replacen(' ', "T", 1)) {
            Value::Instant(instant.to_utc())
        } else {
            let formats = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M"];
            let text = text.replacen(' ', "T", 1);
            Value::WallClock(formats.iter().find_map(|format| NaiveDateTime::parse_from_str(&text, format).ok())?)
        };
        let date = match value {
            Value::Instant(instant) => instant.naive_utc(),
            Value::WallClock(naive) => naive,
        };
        // Room for sums of dates and durations on both sides.
        let sane =
            NaiveDate::from_ymd_opt(1, 1, 1)?.checked_add_days(Days::new(366))?..NaiveDate::from_ymd_opt(9999, 1, 1)?;
        sane.contains(&date.date()).then_some(Self { span, value })
    }
}

impl Read for Date {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let text = text(node, cx)?;
        let date = Self::parse(text, node.span);
        if date.is_none() {
            cx.report(Code::BadDate, node.span, format!("`{text}` is no date")).help =
                Some("write it as `2025-01-31`, `2025-01-31T06:00` or `2025-01-31T06:00:00+02:00`".into());
        }
        date
    }

    fn shape(_: &mut Definitions) -> Shape {
        Shape::new("date", json!({ "type": "string", "examples": ["2025-01-31", "2025-01-31T06:00:00+02:00"] }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instant(text: &str, zone: &str) -> String {
        Date::parse(text, Span::default()).unwrap().instant(zone.parse().unwrap()).to_rfc3339()
    }

    #[test]
    fn a_naive_date_is_read_in_the_zone_of_the_dag() {
        assert_eq!(instant("2025-01-31", "Europe/Berlin"), "2025-01-30T23:00:00+00:00");
        assert_eq!(instant("2025-01-31 06:00", "UTC"), "2025-01-31T06:00:00+00:00");
        assert_eq!(instant("2025-01-31T06:00:00+02:00", "Europe/Berlin"), "2025-01-31T04:00:00+00:00");
    }

    #[test]
    fn a_reading_that_a_clock_change_skips_is_that_much_later() {
        assert_eq!(instant("2025-03-30T02:30", "Europe/Berlin"), "2025-03-30T01:30:00+00:00");
    }
}
