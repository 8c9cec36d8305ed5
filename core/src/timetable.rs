//! When a DAG's scheduled runs are due.

use std::time::Duration;

use chrono::{SubsecRound, TimeDelta};
use chrono_tz::Tz;

use crate::{id::Timestamp, run::DataInterval};

/// The kinds of schedule (Airflow's timetables; assets come with their triggers).
#[derive(Debug, Clone)]
pub enum Schedule {
    /// Only people, programs and triggers start runs.
    Manual,
    /// One run at the start date, or at once.
    Once,
    /// Any of these cron expressions; several at one instant make one run.
    Cron(Vec<CronExpression>),
    /// Every so often, counted from the start date (Airflow's `DeltaTriggerTimetable`).
    Interval(Duration),
    /// These instants, sorted, without duplicates (Airflow's `EventsTimetable`).
    Dates(Vec<Timestamp>),
    /// The next as soon as the last has ended, at most one a second; at most one active run.
    Continuous,
}

/// A checked cron expression of five fields, with the text its author wrote.
#[derive(Debug, Clone)]
pub struct CronExpression {
    pub text: String,
    pub pattern: croner::Cron,
}

/// A schedule with what bounds it.
#[derive(Debug, Clone)]
pub struct Timetable {
    pub schedule: Schedule,
    pub timezone: Tz,
    pub start_date: Option<Timestamp>,
    pub end_date: Option<Timestamp>,
    pub catchup: bool,
}

/// How far a DAG's schedule has come; committed with the run that it made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ScheduleCursor {
    /// The last instant that made a run or was passed over.
    pub last: Option<Timestamp>,
}

/// One instant of a timetable that makes a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tick {
    pub run_after: Timestamp,
    pub logical_date: Timestamp,
    pub data_interval: DataInterval,
}

/// Of a late first tick: how late it may be and still run, in parts of the gap between ticks …
const FIRST_RUN_GAP_PART: i32 = 10;
/// … and at least this (both Airflow's `CronTriggerTimetable._calc_first_run`).
const FIRST_RUN_LATE_MIN: TimeDelta = TimeDelta::minutes(5);

/// Between the starts of two continuous runs, so that runs which end at once do not follow each other without end
/// within one turn.
const CONTINUOUS_GAP_MIN: TimeDelta = TimeDelta::seconds(1);

impl Timetable {
    /// Where a schedule begins that has never run, or the cursor as it is.
    ///
    /// A cron without a start date takes the tick just past when it is not too late for it, else it
    /// begins now; dates without catchup begin now. Others need no beginning: they have a start date,
    /// or run at once. Asked once, when the DAG is first seen unpaused, and committed: asked again
    /// later, "now" would be another.
    pub fn begin(&self, cursor: ScheduleCursor, now: Timestamp) -> ScheduleCursor {
        if cursor.last.is_some() {
            return cursor;
        }
        let last = match &self.schedule {
            Schedule::Cron(crons) if self.start_date.is_none() => Some(self.first_cron(crons, now)),
            Schedule::Dates(_) if !self.catchup => Some(now),
            Schedule::Cron(_)
            | Schedule::Dates(_)
            | Schedule::Manual
            | Schedule::Once
            | Schedule::Interval(_)
            | Schedule::Continuous => None,
        };
        ScheduleCursor { last }
    }

    /// The next tick behind the cursor; it may lie in the past (due) or in the future.
    ///
    /// Without catchup, of several missed ticks only the most recent is given. The cursor must have
    /// been through [`Self::begin`].
    pub fn next(&self, cursor: ScheduleCursor, now: Timestamp) -> Option<Tick> {
        let run_after = match &self.schedule {
            Schedule::Manual => None,
            Schedule::Once => cursor.last.is_none().then(|| self.start_date.unwrap_or(now)),
            Schedule::Continuous => {
                let earliest = cursor.last.map(|last| last + CONTINUOUS_GAP_MIN).max(self.start_date);
                Some(earliest.map_or(now, |earliest| earliest.max(now)))
            }
            Schedule::Cron(_) | Schedule::Interval(_) | Schedule::Dates(_) => self.next_regular(cursor, now),
        }?;
        if self.end_date.is_some_and(|end| end < run_after) {
            return None;
        }
        let start = match self.schedule {
            Schedule::Continuous => cursor.last.unwrap_or(run_after),
            Schedule::Manual | Schedule::Once | Schedule::Cron(_) | Schedule::Interval(_) | Schedule::Dates(_) => {
                run_after
            }
        };
        Some(Tick { run_after, logical_date: start, data_interval: DataInterval { start, end: run_after } })
    }

    fn next_regular(&self, cursor: ScheduleCursor, now: Timestamp) -> Option<Timestamp> {
        let behind_cursor = match (cursor.last, self.start_date) {
            (Some(last), Some(start)) if start <= last => self.first_after(last),
            (Some(last), None) => self.first_after(last),
            (_, Some(start)) => self.first_from(start),
            // Only an interval gets here: it runs at once and counts from there.
            (None, None) => return Some(now),
        }?;
        if self.catchup {
            return Some(behind_cursor);
        }
        let missed = self.last_until(now, cursor).filter(|missed| behind_cursor < *missed);
        Some(missed.unwrap_or(behind_cursor))
    }

    /// The first tick at or after an instant.
    fn first_from(&self, at: Timestamp) -> Option<Timestamp> {
        self.first_after(at.checked_sub_signed(TimeDelta::nanoseconds(1))?)
    }

    /// The first tick after an instant.
    fn first_after(&self, at: Timestamp) -> Option<Timestamp> {
        match &self.schedule {
            Schedule::Cron(crons) => crons.iter().filter_map(|cron| cron.next(at, self.timezone)).min(),
            Schedule::Interval(delta) => {
                let delta = interval(*delta)?;
                let Some(start) = self.start_date else { return at.checked_add_signed(delta) };
                if at < start {
                    return Some(start);
                }
                nth(start, delta, steps(start, at, delta) + 1)
            }
            Schedule::Dates(dates) => dates.get(dates.partition_point(|date| *date <= at)).copied(),
            Schedule::Manual | Schedule::Once | Schedule::Continuous => None,
        }
    }

    /// The last tick at or before an instant.
    fn last_until(&self, at: Timestamp, cursor: ScheduleCursor) -> Option<Timestamp> {
        match &self.schedule {
            Schedule::Cron(crons) => crons.iter().filter_map(|cron| cron.previous(at, self.timezone)).max(),
            Schedule::Interval(delta) => {
                let delta = interval(*delta)?;
                let start = self.start_date.or(cursor.last).filter(|start| *start <= at)?;
                nth(start, delta, steps(start, at, delta))
            }
            Schedule::Dates(dates) => dates[..dates.partition_point(|date| *date <= at)].last().copied(),
            Schedule::Manual | Schedule::Once | Schedule::Continuous => None,
        }
    }

    /// The instant just before the first tick that a cron without a start date runs.
    fn first_cron(&self, crons: &[CronExpression], now: Timestamp) -> Timestamp {
        let past = crons.iter().filter_map(|cron| cron.previous(now, self.timezone)).max();
        let next = crons.iter().filter_map(|cron| cron.next(now, self.timezone)).min();
        match (past, next) {
            (Some(past), Some(next)) => {
                let late_max = ((next - past) / FIRST_RUN_GAP_PART).max(FIRST_RUN_LATE_MIN);
                if now - past <= late_max { past - TimeDelta::seconds(1) } else { now }
            }
            (Some(_), None) | (None, Some(_)) | (None, None) => now,
        }
    }
}

impl CronExpression {
    /// The first tick after an instant. None: there is none in the years that a cron can name.
    fn next(&self, after: Timestamp, timezone: Tz) -> Option<Timestamp> {
        let local = after.trunc_subsecs(0).with_timezone(&timezone);
        self.pattern.find_next_occurrence(&local, false).ok().map(|tick| tick.to_utc())
    }

    /// The last tick at or before an instant.
    fn previous(&self, at: Timestamp, timezone: Tz) -> Option<Timestamp> {
        let local = at.trunc_subsecs(0).with_timezone(&timezone);
        self.pattern.find_previous_occurrence(&local, true).ok().map(|tick| tick.to_utc())
    }
}

/// None for an interval of nothing, which the loader refuses.
fn interval(delta: Duration) -> Option<TimeDelta> {
    TimeDelta::from_std(delta).ok().filter(|delta| TimeDelta::zero() < *delta)
}

/// Whole steps from one instant to a later one.
fn steps(start: Timestamp, at: Timestamp, delta: TimeDelta) -> i64 {
    let nanos = |delta: TimeDelta| i128::from(delta.num_seconds()) * 1_000_000_000 + i128::from(delta.subsec_nanos());
    i64::try_from(nanos(at - start) / nanos(delta)).unwrap_or(i64::MAX)
}

fn nth(start: Timestamp, delta: TimeDelta, n: i64) -> Option<Timestamp> {
    let seconds = i128::from(delta.num_seconds()) * i128::from(n);
    let nanos = i128::from(delta.subsec_nanos()) * i128::from(n);
    let seconds = i64::try_from(seconds + nanos.div_euclid(1_000_000_000)).ok()?;
    let whole = TimeDelta::try_seconds(seconds)?;
    start.checked_add_signed(whole)?.checked_add_signed(TimeDelta::nanoseconds(nanos.rem_euclid(1_000_000_000) as i64))
}
