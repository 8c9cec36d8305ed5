//! What lists of DAGs show and nothing filters by: made from a DAG when it is loaded, kept as JSON beside it.
//!
//! A list of a hundred DAGs must not compile a hundred files.

use std::num::NonZeroU32;

use gridflow_core::{Dag, Schedule};
use serde::{Deserialize, Serialize};

/// See [`DagDetails::of`]. Keys that an older version did not write have Airflow's defaults.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DagDetails {
    /// The schedule as its author wrote it; none for DAGs without one.
    pub timetable_summary: Option<String>,
    /// The schedule for people.
    pub timetable_description: String,
    /// Whether it makes runs again and again, so that a range of dates can be backfilled.
    pub is_periodic: bool,
    pub max_active_tasks: u32,
    pub max_active_runs: u32,
    /// 0: never paused by failures.
    pub max_consecutive_failed_runs: u32,
    /// Whether some task limits how many of its instances are active.
    pub has_task_limits: bool,
}

const AIRFLOW_LIMIT: u32 = 16;

impl Default for DagDetails {
    fn default() -> Self {
        Self {
            timetable_summary: None,
            timetable_description: NEVER.to_owned(),
            is_periodic: false,
            max_active_tasks: AIRFLOW_LIMIT,
            max_active_runs: AIRFLOW_LIMIT,
            max_consecutive_failed_runs: 0,
            has_task_limits: false,
        }
    }
}

const NEVER: &str = "Never, external triggers only";

impl DagDetails {
    /// What there is to say about a DAG.
    pub fn of(dag: &Dag) -> Self {
        let parts = dag.parts();
        let schedule = &dag.timetable().schedule;
        Self {
            timetable_summary: summary(schedule),
            timetable_description: description(schedule),
            is_periodic: is_periodic(schedule),
            max_active_tasks: parts.max_active_tasks.get(),
            max_active_runs: parts.max_active_runs.get(),
            max_consecutive_failed_runs: parts.max_consecutive_failed_runs.map_or(0, NonZeroU32::get),
            has_task_limits: parts
                .tasks
                .iter()
                .any(|task| task.max_active_per_dag.is_some() || task.max_active_per_run.is_some()),
        }
    }

    /// As it is kept beside the DAG.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::to_value(self).expect("plain values with names")
    }

    /// What the loader wrote; Airflow's defaults where it wrote nothing.
    pub(super) fn parse(value: serde_json::Value) -> Result<Self, serde_json::Error> {
        serde_json::from_value(value)
    }
}

fn summary(schedule: &Schedule) -> Option<String> {
    match schedule {
        Schedule::Manual => None,
        Schedule::Once => Some("@once".to_owned()),
        Schedule::Continuous => Some("@continuous".to_owned()),
        Schedule::Cron(expressions) => Some(cron(expressions)),
        Schedule::Interval(interval) => Some(seconds(interval)),
        Schedule::Dates(dates) => Some(format!("{} dates", dates.len())),
    }
}

fn description(schedule: &Schedule) -> String {
    match schedule {
        Schedule::Manual => NEVER.to_owned(),
        Schedule::Once => "Once, as soon as possible".to_owned(),
        Schedule::Continuous => "As frequently as possible, but only one run at a time".to_owned(),
        Schedule::Cron(expressions) => format!("At the ticks of {}", cron(expressions)),
        Schedule::Interval(interval) => format!("Every {}", seconds(interval)),
        Schedule::Dates(dates) => format!("{} dates in all", dates.len()),
    }
}

fn is_periodic(schedule: &Schedule) -> bool {
    match schedule {
        Schedule::Cron(_) | Schedule::Interval(_) | Schedule::Dates(_) => true,
        Schedule::Manual | Schedule::Once | Schedule::Continuous => false,
    }
}

fn cron(expressions: &[gridflow_core::CronExpression]) -> String {
    expressions.iter().map(|expression| expression.text.as_str()).collect::<Vec<_>>().join(", ")
}

fn seconds(interval: &std::time::Duration) -> String {
    let seconds = interval.as_secs();
    let parts = [("d", seconds / 86_400), ("h", seconds / 3_600 % 24), ("m", seconds / 60 % 60), ("s", seconds % 60)];
    parts.iter().filter(|(_, count)| 0 < *count).map(|(unit, count)| format!("{count}{unit}")).collect()
}
