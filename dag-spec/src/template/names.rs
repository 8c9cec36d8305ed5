//! Every name that a template may use, with what is known of it when the file is loaded.

/// A variable of templates.
pub struct Variable {
    pub name: &'static str,
    pub doc: &'static str,
    pub attributes: Attributes,
}

/// What may follow a variable's name.
pub enum Attributes {
    None,
    /// Whatever the value has.
    Any,
    Date,
    These(&'static [(&'static str, Attributes)]),
    /// Checked against the DAG: `params`, `tasks`, `trigger`.
    Dag,
}

const fn variable(name: &'static str, attributes: Attributes, doc: &'static str) -> Variable {
    Variable { name, doc, attributes }
}

use Attributes::{Any, Dag, Date, None, These};

const TASK_INSTANCE: Attributes = These(&[
    ("id", None),
    ("task_id", None),
    ("dag_id", None),
    ("run_id", None),
    ("try_number", None),
    ("map_index", None),
    ("start_date", Date),
    ("xcom_pull", None),
]);

/// Airflow's variables, and ours: `tasks`, `trigger`, `run_after`.
pub const VARIABLES: &[Variable] = &[
    variable(
        "ds",
        None,
        "The logical date as `YYYY-MM-DD`, in the DAG's time zone. In a run that an event started: the date of `run_after`.",
    ),
    variable("ds_nodash", None, "`ds` as `YYYYMMDD`."),
    variable(
        "ts",
        None,
        "The logical date in ISO 8601: `2025-01-31T06:00:00+00:00`. In a run that an event started: `run_after`.",
    ),
    variable("ts_nodash", None, "`ts` as `20250131T060000`."),
    variable("ts_nodash_with_tz", None, "`ts` as `20250131T060000+0000`."),
    variable("logical_date", Date, "The logical date of the run. Not in runs without one."),
    variable(
        "data_interval_start",
        Date,
        "The start of the data that the run is about. Not in runs without a logical date.",
    ),
    variable(
        "data_interval_end",
        Date,
        "The end of the data that the run is about. Not in runs without a logical date.",
    ),
    variable("run_after", Date, "The earliest instant at which the run could start. Every run has it."),
    variable("run_id", None, "The id of the run."),
    variable("try_number", None, "Which try of the task this is, from 1."),
    variable("map_index", None, "The index of a mapped task instance, else -1."),
    variable("start_date", Date, "When this try started."),
    variable("task_instance_key_str", None, "`DAG__TASK__DATE`, as Airflow makes it."),
    variable(
        "dag",
        These(&[
            ("dag_id", None),
            ("owner", None),
            ("description", None),
            ("tags", Any),
            ("timezone", None),
            ("doc_md", None),
        ]),
        "The DAG.",
    ),
    variable(
        "dag_run",
        These(&[
            ("dag_id", None),
            ("run_id", None),
            ("run_type", None),
            ("conf", Any),
            ("logical_date", Date),
            ("data_interval_start", Date),
            ("data_interval_end", Date),
            ("run_after", Date),
            ("start_date", Date),
        ]),
        "The run. `dag_run.conf` is what it was given.",
    ),
    variable(
        "task",
        These(&[
            ("task_id", None),
            ("owner", None),
            ("retries", None),
            ("pool", None),
            ("trigger_rule", None),
            ("doc_md", None),
        ]),
        "The task.",
    ),
    variable("ti", TASK_INSTANCE, "The task instance. `ti.xcom_pull(task_ids='a')` is the output of `a`."),
    variable("task_instance", TASK_INSTANCE, "The same as `ti`."),
    variable("params", Dag, "The params of the run: `params.NAME`."),
    variable("tasks", Dag, "The outputs of tasks: `tasks.ID`, or `tasks['group.id']`."),
    variable("trigger", Dag, "What started the run: for a file trigger `trigger.path`, `trigger.name` and so on."),
    variable("var", These(&[("value", Any), ("json", Any)]), "Variables: `var.value.NAME`, `var.json.NAME`."),
    variable("test_mode", None, "Whether the run is a test: always false."),
];

/// What can be asked of a date.
pub const DATE_ATTRIBUTES: &[&str] = &[
    "year",
    "month",
    "day",
    "hour",
    "minute",
    "second",
    "microsecond",
    "day_of_week",
    "day_of_year",
    "week_of_year",
    "quarter",
    "int_timestamp",
    "timezone_name",
];

/// What can be called on a date.
pub const DATE_METHODS: &[&str] = &[
    "isoformat",
    "strftime",
    "date",
    "timestamp",
    "to_date_string",
    "to_datetime_string",
    "to_iso8601_string",
    "in_timezone",
    "in_tz",
    "add",
    "subtract",
    "weekday",
    "isoweekday",
    "start_of",
    "end_of",
];

/// Functions of templates.
pub const FUNCTIONS: &[&str] = &["range", "dict"];

/// Filters of templates: Jinja's stock, Airflow's dates, and `sh` and `raw` for shells.
pub const FILTERS: &[&str] = &[
    "abs",
    "attr",
    "bool",
    "capitalize",
    "chain",
    "count",
    "d",
    "default",
    "dictsort",
    "ds",
    "ds_nodash",
    "first",
    "float",
    "format",
    "groupby",
    "indent",
    "int",
    "items",
    "join",
    "last",
    "length",
    "lines",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "pprint",
    "raw",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "select",
    "selectattr",
    "sh",
    "sort",
    "split",
    "string",
    "sum",
    "title",
    "tojson",
    "trim",
    "ts",
    "ts_nodash",
    "ts_nodash_with_tz",
    "unique",
    "upper",
    "urlencode",
    "zip",
];

/// Tests of templates (`is …`).
pub const TESTS: &[&str] = &[
    "boolean",
    "defined",
    "divisibleby",
    "endingwith",
    "eq",
    "equalto",
    "even",
    "false",
    "float",
    "ge",
    "greaterthan",
    "gt",
    "in",
    "int",
    "integer",
    "iterable",
    "le",
    "lessthan",
    "lower",
    "lt",
    "mapping",
    "ne",
    "none",
    "number",
    "odd",
    "sameas",
    "sequence",
    "startingwith",
    "string",
    "true",
    "undefined",
    "upper",
];
