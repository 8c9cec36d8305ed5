//! Dates in templates: they print and behave as Airflow's do.

use std::{cmp::Ordering, fmt, sync::Arc};

use chrono::{
    DateTime, Datelike, Days, Months, SubsecRound, TimeDelta, TimeZone, Timelike, Utc,
    format::{Item, StrftimeItems},
};
use chrono_tz::Tz;
use minijinja::{
    Error, ErrorKind, State,
    value::{DynObject, Kwargs, Object, ObjectRepr, Value, from_args},
};

/// An instant, read in a time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalTime(pub DateTime<Tz>);

impl LocalTime {
    pub fn new(instant: DateTime<Utc>, zone: Tz) -> Self {
        Self(instant.with_timezone(&zone))
    }

    /// `2025-01-31T06:00:00+00:00`; microseconds only where there are any.
    pub fn isoformat(self) -> String {
        self.iso('T')
    }

    fn iso(self, separator: char) -> String {
        let micro = if self.0.nanosecond() / 1_000 == 0 { "" } else { "%.6f" };
        self.0.format(&format!("%Y-%m-%d{separator}%H:%M:%S{micro}%:z")).to_string()
    }

    pub fn strftime(self, format: &str) -> Result<String, Error> {
        // Python's `%f` is microseconds.
        let format = format.replace("%f", "%6f");
        let items: Vec<_> = StrftimeItems::new(&format).collect();
        if items.contains(&Item::Error) {
            return Err(invalid(format!("`{format}` is no format of dates")));
        }
        Ok(self.0.format_with_items(items.into_iter()).to_string())
    }

    fn in_timezone(self, name: &str) -> Result<Self, Error> {
        let zone: Tz = name.parse().map_err(|_| invalid(format!("there is no time zone `{name}`")))?;
        Ok(Self(self.0.with_timezone(&zone)))
    }

    /// Moves by calendar units first, then by exact ones.
    fn shift(self, kwargs: &Kwargs, sign: i64) -> Result<Self, Error> {
        let unit = |name: &str| -> Result<i64, Error> {
            Ok(kwargs.get::<Option<i64>>(name)?.unwrap_or(0).saturating_mul(sign))
        };
        let months = unit("years")?.saturating_mul(12).saturating_add(unit("months")?);
        let days = unit("weeks")?.saturating_mul(7).saturating_add(unit("days")?);
        let seconds = unit("hours")?
            .saturating_mul(3_600)
            .saturating_add(unit("minutes")?.saturating_mul(60))
            .saturating_add(unit("seconds")?);
        kwargs.assert_all_used()?;
        let magnitude = |n: i64| u32::try_from(n.unsigned_abs()).ok();
        let shifted = magnitude(months)
            .and_then(|n| {
                if months < 0 {
                    self.0.checked_sub_months(Months::new(n))
                } else {
                    self.0.checked_add_months(Months::new(n))
                }
            })
            .and_then(|time| {
                let n = Days::new(u64::from(magnitude(days)?));
                if days < 0 { time.checked_sub_days(n) } else { time.checked_add_days(n) }
            })
            .and_then(|time| time.checked_add_signed(TimeDelta::try_seconds(seconds)?));
        shifted.map(Self).ok_or_else(|| invalid("the date is out of range".into()))
    }

    fn bound(self, unit: &str, end: bool) -> Result<Self, Error> {
        let date = self.0.date_naive();
        let start = match unit {
            "day" => date,
            "week" => date - Days::new(u64::from(date.weekday().num_days_from_monday())),
            "month" => date.with_day(1).expect("every month has a first"),
            "year" => date.with_ordinal(1).expect("every year has a first day"),
            "hour" => {
                let hour = self.0.with_minute(0).and_then(|t| t.with_second(0)).map_or(self.0, |t| t.trunc_subsecs(0));
                return Ok(Self(if end { hour + TimeDelta::hours(1) - TimeDelta::microseconds(1) } else { hour }));
            }
            _ => return Err(invalid(format!("there is no unit `{unit}`: use hour, day, week, month or year"))),
        };
        let next = match unit {
            "week" => start.checked_add_days(Days::new(7)),
            "month" => start.checked_add_months(Months::new(1)),
            "year" => start.checked_add_months(Months::new(12)),
            _ => start.checked_add_days(Days::new(1)),
        };
        let at = |date: chrono::NaiveDate| self.0.timezone().from_local_datetime(&date.into()).earliest();
        let found = if end { next.and_then(at).map(|next| next - TimeDelta::microseconds(1)) } else { at(start) };
        found.map(Self).ok_or_else(|| invalid("the date is out of range".into()))
    }
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

impl Object for LocalTime {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let time = self.0;
        Some(match key.as_str()? {
            "year" => time.year().into(),
            "month" => time.month().into(),
            "day" => time.day().into(),
            "hour" => time.hour().into(),
            "minute" => time.minute().into(),
            "second" => time.second().into(),
            "microsecond" => (time.nanosecond() / 1_000).into(),
            "day_of_week" => time.weekday().num_days_from_monday().into(),
            "day_of_year" => time.ordinal().into(),
            "week_of_year" => time.iso_week().week().into(),
            "quarter" => (time.month0() / 3 + 1).into(),
            "int_timestamp" => time.timestamp().into(),
            "timezone_name" => time.timezone().name().into(),
            _ => return None,
        })
    }

    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
        let none = || from_args::<()>(args);
        Ok(match method {
            "isoformat" => {
                let (separator,): (Option<char>,) = from_args(args)?;
                self.iso(separator.unwrap_or('T')).into()
            }
            "strftime" => self.strftime(from_args::<(&str,)>(args)?.0)?.into(),
            "date" | "to_date_string" => {
                none()?;
                self.0.format("%Y-%m-%d").to_string().into()
            }
            "to_datetime_string" => {
                none()?;
                self.0.format("%Y-%m-%d %H:%M:%S").to_string().into()
            }
            "to_iso8601_string" => {
                none()?;
                self.isoformat().into()
            }
            "timestamp" => {
                none()?;
                (self.0.timestamp_micros() as f64 / 1e6).into()
            }
            "weekday" => self.0.weekday().num_days_from_monday().into(),
            "isoweekday" => self.0.weekday().number_from_monday().into(),
            "in_timezone" | "in_tz" => Value::from_object(self.in_timezone(from_args::<(&str,)>(args)?.0)?),
            "add" => Value::from_object(self.shift(&from_args::<(Kwargs,)>(args)?.0, 1)?),
            "subtract" => Value::from_object(self.shift(&from_args::<(Kwargs,)>(args)?.0, -1)?),
            "start_of" => Value::from_object(self.bound(from_args::<(&str,)>(args)?.0, false)?),
            "end_of" => Value::from_object(self.bound(from_args::<(&str,)>(args)?.0, true)?),
            _ => return Err(Error::from(ErrorKind::UnknownMethod)),
        })
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        Some(self.0.cmp(&other.downcast_ref::<Self>()?.0))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.iso(' '))
    }
}
