//! When a DAG's scheduled runs are due.

use std::time::Duration;

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
    /// The next as soon as the last has ended; at most one active run.
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
