//! The keys of a DAG file: DAG, groups, tasks, schedule, triggers, params.

mod env;
mod executor;
mod param;
mod schedule;
mod task;
mod trigger;

use chrono_tz::Tz;
use std::num::NonZeroU32;

pub use env::{Env, check_name as check_env_name};
pub use executor::Executor;
pub use param::{Literal, Param, ParamError, ParamType, Params};
pub use schedule::ScheduleSpec;
pub use task::{Group, Groups, TaskDefaults, TaskEntry, TaskKeys, TaskMap};
pub use trigger::{
    Dedup, EventDecision, Existing, FILE_TRIGGER_FIELDS, FileTrigger, OnPause, ParamMap, TriggerError, TriggerKind,
    TriggerSpec, Triggers,
};

use crate::kubernetes::Kubernetes;
use crate::read::{Date, OneOrMany, Prose, Spanned, Timeout, spec};

spec! {
    /// A DAG: one YAML file with a top-level `tasks:`.
    pub struct DagKeys "dag" {
        /// The id of the DAG, unique in the workspace. The file's name without its ending unless given.
        pub dag: Option<Spanned<String>>,
        /// One line about the DAG, shown in lists.
        pub description: Option<Prose>,
        /// Who is responsible.
        pub owner: Option<String>,
        /// Labels to find the DAG by.
        pub tags: OneOrMany<String>,
        /// A longer text about the DAG, in Markdown.
        pub doc_md: Option<Prose>,
        /// When runs are due: a cron expression, a preset such as `"@daily"`, a duration such as `90m`,
        /// `{cron: […]}`, `{dates: […]}`, or `null` for never.
        pub schedule: Option<ScheduleSpec>,
        /// What else starts runs: a map of one trigger, or a list of such maps.
        pub trigger: Option<Triggers>,
        /// The time zone of the schedule, of dates without an offset, and of `ds`.
        pub timezone: Tz = "UTC",
        /// No scheduled run is due before.
        pub start_date: Option<Date>,
        /// No scheduled run is due after.
        pub end_date: Option<Date>,
        /// Whether runs that were due before the DAG became active are made up for.
        pub catchup: bool = "false",
        /// Whether the DAG is paused when it is seen for the first time.
        pub paused: bool = "false",
        /// How many runs may be running at the same time.
        pub max_active_runs: NonZeroU32 = "16",
        /// How many task instances of one run may be active at the same time.
        pub max_active_tasks: NonZeroU32 = "16",
        /// Pauses the DAG after so many failed runs in a row; 0 never does.
        pub max_consecutive_failed_dag_runs: u32 = "0",
        /// Fails a run that takes longer.
        pub dagrun_timeout: Option<Timeout>,
        /// Whether the first failed task ends the run.
        pub fail_fast: bool = "false",
        /// The params of a run, with types and defaults.
        pub params: Option<Params>,
        /// Task keys that every task has unless it says otherwise.
        pub defaults: Option<TaskDefaults>,
        /// Environment variables of every task; values may be templates.
        pub env: Option<Env>,
        /// Where the processes of the tasks run: `local`, on the machine of the scheduler, or `kubernetes`, in a pod each.
        /// `local` unless given here, by [`gridflow.yaml`](#bundle), or by the [clusters file](#clusters).
        pub executor: Option<Spanned<Executor>> = "local",
        /// How the pods of all tasks are made.
        pub kubernetes: Option<Kubernetes>,
        /// Files that belong to the DAG although no key names them: paths relative to the DAG file.
        pub files: OneOrMany<Spanned<String>>,
        /// The tasks by their ids.
        pub tasks: TaskMap,
        /// Groups of tasks by their names.
        pub groups: Option<Groups>,
    }
}
