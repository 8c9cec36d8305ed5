//! `schedule:`: when runs are due.

use std::time::Duration;

use chrono::DateTime;
use chrono_tz::Tz;
use gridflow_core::{CronExpression, Schedule};
use serde_json::json;

use crate::{
    code::Code,
    read::{Cx, Date, Definitions, OneOrMany, Read, Shape, Spanned, parse_duration, read_map, spec},
    suggest,
    yaml::{Node, NodeKind},
};

/// Airflow's presets and the cron expressions they stand for.
const PRESETS: &[(&str, &str)] = &[
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@quarterly", "0 0 1 */3 *"),
    ("@yearly", "0 0 1 1 *"),
];

/// A schedule whose dates still wait for the DAG's time zone.
#[derive(Debug, Clone)]
pub enum ScheduleSpec {
    Schedule(Schedule),
    Dates(Vec<Date>),
}

spec! {
    /// A schedule of several cron expressions, or of dates.
    pub struct ScheduleKeys "schedule" {
        /// Cron expressions; several that are due at one instant make one run.
        pub cron: Option<OneOrMany<Spanned<String>>>,
        /// A run at each of these instants.
        pub dates: Option<OneOrMany<Date>>,
    }
}

impl ScheduleSpec {
    pub fn resolve(self, zone: Tz) -> Schedule {
        match self {
            Self::Schedule(schedule) => schedule,
            Self::Dates(dates) => {
                let mut dates: Vec<_> = dates.into_iter().map(|date| date.instant(zone)).collect();
                dates.sort_unstable();
                dates.dedup();
                Schedule::Dates(dates)
            }
        }
    }
}

impl Read for ScheduleSpec {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        if node.is_null() {
            return Some(Self::Schedule(Schedule::Manual));
        }
        match &node.kind {
            NodeKind::Scalar(_) => {
                let text = Spanned::<String>::read(node, cx)?;
                short(&text, cx).map(Self::Schedule)
            }
            NodeKind::Map(_) => long(node, cx),
            NodeKind::List(_) => {
                cx.wrong_type(node, "a schedule");
                cx.diagnostics.last_mut()?.help = Some("several cron expressions are written as `{cron: […]}`".into());
                None
            }
            NodeKind::Poisoned => None,
        }
    }

    fn shape(definitions: &mut Definitions) -> Shape {
        let short = Shape::new(
            "cron expression, preset or duration",
            json!({ "type": ["string", "null"], "examples": ["0 6 * * *", "@daily", "90m"] }),
        );
        short.or(ScheduleKeys::shape(definitions))
    }
}

fn short(text: &Spanned<String>, cx: &mut Cx<'_>) -> Option<Schedule> {
    let value = text.value.trim();
    if let Some((_, pattern)) = PRESETS.iter().find(|(preset, _)| *preset == value) {
        return cron(&Spanned { value: (*pattern).to_owned(), span: text.span }, cx)
            .map(|cron| Schedule::Cron(vec![cron]));
    }
    match value {
        "@once" => return Some(Schedule::Once),
        "@continuous" => return Some(Schedule::Continuous),
        "@midnight" => return short(&Spanned { value: "@daily".into(), span: text.span }, cx),
        "@annually" => return short(&Spanned { value: "@yearly".into(), span: text.span }, cx),
        _ => {}
    }
    if value.starts_with('@') {
        let presets = PRESETS.iter().map(|(preset, _)| *preset).chain(["@once", "@continuous"]);
        let help = suggest::did_you_mean(value, presets.clone())
            .unwrap_or_else(|| format!("presets: {}", suggest::list(presets)));
        cx.report(Code::BadCron, text.span, format!("there is no preset `{value}`")).help = Some(help);
        return None;
    }
    if !value.contains(char::is_whitespace) {
        return interval(text, cx).map(Schedule::Interval);
    }
    match parse_duration(value) {
        Ok(_) => interval(text, cx).map(Schedule::Interval),
        Err(_) => cron(text, cx).map(|cron| Schedule::Cron(vec![cron])),
    }
}

/// The shortest interval, so that no schedule floods the scheduler.
const INTERVAL_MIN: Duration = Duration::from_secs(1);

fn interval(text: &Spanned<String>, cx: &mut Cx<'_>) -> Option<Duration> {
    let (code, message, help) = match parse_duration(&text.value) {
        Ok(interval) if INTERVAL_MIN <= interval => return Some(interval),
        Ok(_) => (Code::OutOfRange, "the interval of a schedule is at least one second".to_owned(), None),
        Err(help) => {
            let help = format!(
                "use a cron expression such as `0 6 * * *`, a preset such as `@daily`, or a duration such as `90m`; {help}"
            );
            (Code::BadDuration, format!("`{}` is no schedule", text.value), Some(help))
        }
    };
    cx.report(code, text.span, message).help = help;
    None
}

fn long(node: &Node, cx: &mut Cx<'_>) -> Option<ScheduleSpec> {
    let keys: ScheduleKeys = read_map(node, "`schedule`", cx)?;
    match (keys.cron, keys.dates) {
        (Some(crons), None) => {
            let read: Vec<_> = crons.0.iter().map(|text| cron(text, cx)).collect();
            let crons = read.into_iter().collect::<Option<Vec<_>>>()?;
            Some(ScheduleSpec::Schedule(if crons.is_empty() { Schedule::Manual } else { Schedule::Cron(crons) }))
        }
        (None, Some(dates)) => Some(ScheduleSpec::Dates(dates.0)),
        (Some(_), Some(_)) => {
            cx.report(Code::KeyConflict, cx.head(node), "a schedule has `cron` or `dates`, not both");
            None
        }
        (None, None) => {
            cx.report(Code::MissingKey, cx.head(node), "a schedule needs `cron` or `dates`");
            None
        }
    }
}

/// A cron expression of five fields: ranges, steps, names, `L` and `#`.
fn cron(text: &Spanned<String>, cx: &mut Cx<'_>) -> Option<CronExpression> {
    let fields: Vec<_> = text.value.split_whitespace().collect();
    if let Some((_, pattern)) = PRESETS.iter().find(|(preset, _)| *preset == text.value.trim()) {
        return cron(&Spanned { value: (*pattern).to_owned(), span: text.span }, cx);
    }
    if fields.len() != 5 {
        let message = format!("a cron expression has 5 fields, `{}` has {}", text.value, fields.len());
        let help = match fields.len() {
            6 => "seconds are not part of it: minute, hour, day of month, month, day of week",
            _ => "the fields are minute, hour, day of month, month, day of week: `0 6 * * MON-FRI`",
        };
        cx.report(Code::BadCron, text.span, message).help = Some(help.into());
        return None;
    }
    let normal = fields.join(" ");
    let parser = croner::parser::CronParser::builder().seconds(croner::parser::Seconds::Disallowed).build();
    let has_gap = fields.iter().any(|field| has_gap(field));
    match parser.parse(&normal) {
        Ok(pattern) if !has_gap && pattern.find_next_occurrence(&DateTime::UNIX_EPOCH, true).is_err() => {
            let message = format!("`{}` never comes: no date is like that", text.value);
            cx.report(Code::BadCron, text.span, message);
            None
        }
        Ok(pattern) if !has_gap => Some(CronExpression { text: normal, pattern }),
        parsed => {
            let reason = || parsed.err().map(|error| error.to_string()).unwrap_or_default();
            let (code, detail) = (Code::BadCron, bad_field(&fields).unwrap_or_else(reason));
            cx.report(code, text.span, format!("`{}` is no cron expression: {detail}", text.value)).help = Some(
                "the fields are minute (0-59), hour (0-23), day of month (1-31), month (1-12), day of week (0-7)"
                    .into(),
            );
            None
        }
    }
}

/// An item of a list is missing: `,5`. The parser takes that for nothing, and of a field that allows nothing it would
/// look for a date through all the years there are.
fn has_gap(field: &str) -> bool {
    field.split(',').any(str::is_empty)
}

/// Which field is wrong: the one that makes `* * * * *` wrong.
fn bad_field(fields: &[&str]) -> Option<String> {
    let names = ["minute", "hour", "day of month", "month", "day of week"];
    let parser = croner::parser::CronParser::builder().seconds(croner::parser::Seconds::Disallowed).build();
    let wrong = |at: usize| {
        let mut pattern = ["*"; 5];
        pattern[at] = fields[at];
        has_gap(fields[at]) || parser.parse(&pattern.join(" ")).is_err()
    };
    (0..5).find(|at| wrong(*at)).map(|at| format!("`{}` is no {}", fields[at], names[at]))
}
