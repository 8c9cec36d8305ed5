//! What a launch knows: the run, the try, and where outputs and variables come from.

use chrono_tz::Tz;
use gridflow_core::{DataInterval, RunType, Timestamp};
use minijinja::value::Value;
use serde_json::{Map, Value as Json};

use super::{LocalTime, RenderError, Use, value::from_json};

/// Everything that templates of one attempt may ask for.
pub struct Context<'a> {
    pub run: RunContext<'a>,
    pub ti: TaskInstanceContext<'a>,
    /// Validated, defaults filled in: see [`crate::CompiledDag::params`].
    pub params: &'a Map<String, Json>,
    /// What the trigger saw, in a run that an event started.
    pub trigger: Option<&'a Json>,
    /// The output of a task by its id; `None` where it has none.
    pub outputs: &'a dyn Fn(&str) -> Option<Json>,
    /// A variable by its name.
    pub variables: &'a dyn Fn(&str) -> Option<String>,
}

/// The run of an attempt.
#[derive(Debug, Clone, Copy)]
pub struct RunContext<'a> {
    pub run_id: &'a str,
    pub run_type: RunType,
    pub logical_date: Option<Timestamp>,
    pub data_interval: Option<DataInterval>,
    pub run_after: Timestamp,
    pub start_date: Option<Timestamp>,
    pub conf: &'a Json,
}

/// The try that is launched.
#[derive(Debug, Clone, Copy)]
pub struct TaskInstanceContext<'a> {
    pub try_number: u32,
    /// -1 for a task that is not mapped.
    pub map_index: i32,
    pub attempt_id: &'a str,
    pub start_date: Timestamp,
}

/// What templates need to know of the DAG and the task they belong to.
pub(crate) struct Scope<'a> {
    pub zone: Tz,
    pub dag: &'a Json,
    pub task: &'a Json,
    pub dag_id: &'a str,
    pub task_id: &'a str,
}

/// The values of the variables that some templates use.
pub(crate) struct Variables(pub Vec<(&'static str, Value)>);

impl Variables {
    /// Gathers what is used, and nothing else.
    pub fn gather(context: &Context<'_>, scope: &Scope<'_>, uses: &[&Use]) -> Result<Self, RenderError> {
        let mut values: Vec<(&'static str, Value)> = Vec::new();
        for used in uses {
            let Some(variable) = super::VARIABLES.iter().find(|variable| variable.name == used.root) else { continue };
            if values.iter().all(|(name, _)| *name != variable.name) {
                let value = value(variable.name, context, scope, uses)?;
                // Absent values stay undefined, so that `default` and `is defined` see them.
                if let Some(value) = value.or_absent(used)? {
                    values.push((variable.name, value));
                }
            }
        }
        Ok(Self(values))
    }
}

/// A value, or the reason why this run has none.
enum Found {
    Value(Value),
    Absent(String),
}

impl Found {
    fn or_absent(self, used: &Use) -> Result<Option<Value>, RenderError> {
        match self {
            Self::Value(value) => Ok(Some(value)),
            Self::Absent(_) if used.guarded => Ok(None),
            Self::Absent(reason) => Err(RenderError::Absent { name: used.root.clone(), reason }),
        }
    }
}

fn value(name: &str, context: &Context<'_>, scope: &Scope<'_>, uses: &[&Use]) -> Result<Found, RenderError> {
    let time = |instant: Timestamp| Value::from_object(LocalTime::new(instant, scope.zone));
    let run = &context.run;
    let no_date = || {
        let instead = "use `run_after`, which every run has (`{{ run_after | ds }}`)";
        Found::Absent(format!("this run has no logical date; {instead}"))
    };
    let date = |date: Option<Timestamp>| date.map_or_else(no_date, |date| Found::Value(time(date)));
    let stamp = |filter: fn(LocalTime) -> String| {
        let nominal = run.logical_date.or(context.trigger.map(|_| run.run_after));
        nominal.map_or_else(no_date, |date| Found::Value(filter(LocalTime::new(date, scope.zone)).into()))
    };
    Ok(match name {
        "ds" => stamp(ds),
        "ds_nodash" => stamp(ds_nodash),
        "ts" => stamp(LocalTime::isoformat),
        "ts_nodash" => stamp(ts_nodash),
        "ts_nodash_with_tz" => stamp(ts_nodash_with_tz),
        "logical_date" => date(run.logical_date),
        "data_interval_start" => date(run.data_interval.map(|interval| interval.start)),
        "data_interval_end" => date(run.data_interval.map(|interval| interval.end)),
        "run_after" => Found::Value(time(run.run_after)),
        "run_id" => Found::Value(run.run_id.into()),
        "try_number" => Found::Value(context.ti.try_number.into()),
        "map_index" => Found::Value(context.ti.map_index.into()),
        "start_date" => Found::Value(time(context.ti.start_date)),
        "test_mode" => Found::Value(false.into()),
        "task_instance_key_str" => {
            let date = ds_nodash(LocalTime::new(run.logical_date.unwrap_or(run.run_after), scope.zone));
            Found::Value(format!("{}__{}__{date}", scope.dag_id, scope.task_id).into())
        }
        "dag" => Found::Value(from_json(scope.dag)),
        "task" => Found::Value(from_json(scope.task)),
        "dag_run" => Found::Value(dag_run(context, scope)),
        "ti" | "task_instance" => {
            Found::Value(super::environment::task_instance(context, scope, outputs(context, uses)))
        }
        "params" => Found::Value(Value::from_pairs(
            context.params.iter().map(|(name, value)| (name.as_str(), from_json(value))),
        )),
        "tasks" => Found::Value(Value::from_pairs(outputs(context, uses))),
        "trigger" => match context.trigger {
            Some(payload) => Found::Value(from_json(&filled(payload.clone(), guarded_paths(uses, "trigger")))),
            None => Found::Absent("no event started this run; a `default` filter can take its place".into()),
        },
        "var" => Found::Value(variables(context, uses)),
        _ => Found::Absent("it is not known here".into()),
    })
}

fn dag_run(context: &Context<'_>, scope: &Scope<'_>) -> Value {
    let run = &context.run;
    let date = |date: Option<Timestamp>| {
        date.map_or(Value::from(()), |date| Value::from_object(LocalTime::new(date, scope.zone)))
    };
    Value::from_pairs([
        ("dag_id", scope.dag_id.into()),
        ("run_id", run.run_id.into()),
        ("run_type", run.run_type.as_str().into()),
        ("conf", from_json(run.conf)),
        ("logical_date", date(run.logical_date)),
        ("data_interval_start", date(run.data_interval.map(|interval| interval.start))),
        ("data_interval_end", date(run.data_interval.map(|interval| interval.end))),
        ("run_after", date(Some(run.run_after))),
        ("start_date", date(run.start_date)),
    ])
}

/// The outputs of the tasks that are named; which ones is known from the templates.
fn outputs(context: &Context<'_>, uses: &[&Use]) -> Vec<(String, Value)> {
    let mut ids: Vec<&str> = uses
        .iter()
        .filter(|used| used.root == "tasks")
        .filter_map(|used| used.path.first().map(|(id, _)| id.as_str()))
        .collect();
    ids.sort_unstable();
    ids.dedup();
    let output = |id: &str| {
        let paths = guarded_paths(uses, "tasks").filter(|path| path[0].0 == id).map(|path| &path[1..]);
        let mut paths = paths.filter(|path| !path.is_empty()).peekable();
        match (context.outputs)(id) {
            Some(output) => Some(filled(output, paths)),
            None => paths.peek().is_some().then(|| filled(Json::Null, paths)),
        }
    };
    ids.into_iter().filter_map(|id| Some((id.to_owned(), from_json(&output(id)?)))).collect()
}

type Path = [(String, crate::source::Span)];

/// The paths below a variable for whose absence a `default` stands in.
fn guarded_paths<'u>(uses: &'u [&'u Use], root: &'u str) -> impl Iterator<Item = &'u Path> {
    uses.iter()
        .filter(move |used| used.root == root && used.guarded && !used.path.is_empty())
        .map(|used| used.path.as_slice())
}

/// A value in which `a.b.c | default(…)` works although it has no `a`: Jinja's `default` stands in
/// for the last name only, and an absent output has no names at all.
fn filled<'p>(mut value: Json, paths: impl Iterator<Item = &'p Path>) -> Json {
    for path in paths {
        let mut here = &mut value;
        for (name, _) in &path[..path.len() - 1] {
            if here.is_null() {
                *here = Json::Object(Map::new());
            }
            let Json::Object(map) = here else { break };
            here = map.entry(name.clone()).or_insert(Json::Null);
        }
        if here.is_null() {
            *here = Json::Object(Map::new());
        }
    }
    value
}

/// The variables that are named: `var.value.NAME` and `var.json.NAME`.
fn variables(context: &Context<'_>, uses: &[&Use]) -> Value {
    let named = |kind: &str| {
        let names = uses.iter().filter(|used| used.root == "var").filter_map(|used| match used.path.as_slice() {
            [(found, _), (name, _), ..] if found == kind => Some(name.clone()),
            _ => None,
        });
        names.collect::<Vec<_>>()
    };
    let texts =
        named("value").into_iter().filter_map(|name| Some((name.clone(), Value::from((context.variables)(&name)?))));
    let texts = Value::from_pairs(texts);
    let parsed = named("json").into_iter().filter_map(|name| {
        let text = (context.variables)(&name)?;
        Some((name, from_json(&serde_json::from_str(&text).ok()?)))
    });
    Value::from_pairs([("value", texts), ("json", Value::from_pairs(parsed))])
}

pub fn ds(time: LocalTime) -> String {
    time.0.format("%Y-%m-%d").to_string()
}

pub fn ds_nodash(time: LocalTime) -> String {
    time.0.format("%Y%m%d").to_string()
}

pub fn ts_nodash(time: LocalTime) -> String {
    time.0.format("%Y%m%dT%H%M%S").to_string()
}

pub fn ts_nodash_with_tz(time: LocalTime) -> String {
    time.0.format("%Y%m%dT%H%M%S%z").to_string()
}
