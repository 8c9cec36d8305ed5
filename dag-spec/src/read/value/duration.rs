//! `30s`, `1h30m`, `2d`, `PT5M`.

use std::time::Duration;

pub const PATTERN: &str = r"^\s*([0-9]+(\.[0-9]+)?\s*(ms|s|sec|m|min|h|d|w)\s*)+$|^P";

/// The longest duration: a century, so that adding it to a date cannot overflow.
const SECONDS_MAX: f64 = 100.0 * 366.0 * 86_400.0;

const UNITS: &[(&str, f64)] = &[
    ("ms", 0.001),
    ("s", 1.0),
    ("sec", 1.0),
    ("m", 60.0),
    ("min", 60.0),
    ("h", 3_600.0),
    ("d", 86_400.0),
    ("w", 604_800.0),
];

/// Reads a duration; an error is the help to show.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let seconds = match text.strip_prefix('P') {
        Some(iso) => parse_iso(iso),
        None => parse_units(text),
    }
    .ok_or_else(|| help(text))?;
    if SECONDS_MAX < seconds {
        return Err("a duration is at most 100 years".into());
    }
    Ok(Duration::from_millis((seconds * 1000.0).round() as u64))
}

fn parse_units(text: &str) -> Option<f64> {
    let mut rest = text;
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let (number, after) = split(rest, |c| c.is_ascii_digit() || c == '.');
        let (unit, after) = split(after.trim_start(), |c| c.is_ascii_alphabetic());
        let (_, size) = UNITS.iter().find(|(name, _)| *name == unit)?;
        seconds += number.parse::<f64>().ok()? * size;
        rest = after.trim_start();
    }
    (!text.is_empty()).then_some(seconds)
}

/// What follows the `P` of ISO-8601. Months and years have no fixed length and are refused.
fn parse_iso(text: &str) -> Option<f64> {
    let (days, time) = text.split_once('T').map_or((text, None), |(days, time)| (days, Some(time)));
    let parts = |text: &str, units: &[(char, f64)]| -> Option<f64> {
        let mut rest = text;
        let mut seconds = 0.0;
        while !rest.is_empty() {
            let (number, after) = split(rest, |c| c.is_ascii_digit() || c == '.');
            let unit = after.chars().next()?;
            let (_, size) = units.iter().find(|(name, _)| *name == unit)?;
            seconds += number.parse::<f64>().ok()? * size;
            rest = &after[unit.len_utf8()..];
        }
        Some(seconds)
    };
    if text.is_empty() || time == Some("") {
        return None;
    }
    let time = time.map_or(Some(0.0), |time| parts(time, &[('H', 3_600.0), ('M', 60.0), ('S', 1.0)]))?;
    Some(parts(days, &[('W', 604_800.0), ('D', 86_400.0)])? + time)
}

fn split(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !belongs(c)).unwrap_or(text.len()))
}

fn help(text: &str) -> String {
    if !text.is_empty() && text.chars().all(|c| c.is_ascii_digit()) {
        return format!("say the unit: `{text}s` or `{text}m`");
    }
    if text.contains(':') {
        return "write it with units, such as `1h30m`".into();
    }
    "a duration is a number with a unit (`ms`, `s`, `m`, `h`, `d`, `w`), such as `30s`, `1h30m` or `2d`".into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_units_and_in_iso_8601() {
        for (text, seconds) in [
            ("30s", 30),
            ("5m", 300),
            ("1h30m", 5_400),
            ("2d", 172_800),
            ("1 h 5 min", 3_900),
            ("PT5M", 300),
            ("P1DT2H", 93_600),
            ("P2W", 1_209_600),
            ("1.5h", 5_400),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
    }

    #[test]
    fn what_is_no_duration_is_told_how_to_become_one() {
        assert_eq!(parse_duration("300").unwrap_err(), "say the unit: `300s` or `300m`");
        assert_eq!(parse_duration("1:30").unwrap_err(), "write it with units, such as `1h30m`");
        for text in ["", "s", "5x", "P", "PT", "P1M", "-5s", "1e3s", "99999w"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
