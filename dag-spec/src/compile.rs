//! A DAG file → a [`CompiledDag`], or everything that is wrong with it.

use std::sync::Arc;

use gridflow_core::{DagId, Schedule, Timetable};

use crate::{
    Files,
    assemble::{Checked, assemble},
    check::{self, FlatTask, Known},
    code::Code,
    compiled::{CompiledDag, TaskGroup},
    dag::{DagKeys, Group, Params, TaskDefaults, Triggers},
    diagnostic::Diagnostic,
    inherited::{self, Inherited},
    kubernetes::Kubernetes,
    limit::{DIAGNOSTICS_MAX, YAML_BYTES_MAX},
    read::{Cx, Fields, Spec},
    source::{Source, Span},
    yaml::{self, Node},
};

/// What compiling a file gives. With an error among the diagnostics there is no DAG.
#[derive(Debug, Clone)]
pub struct Compilation {
    pub dag: Option<Arc<CompiledDag>>,
    /// Sorted by place.
    pub diagnostics: Vec<Diagnostic>,
}

impl Compilation {
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }
}

/// Compiles a DAG file. `path` is how messages name it; its last part is the id of a DAG that has no
/// `dag:`. Nothing is read but `files`.
pub fn compile(path: &str, text: &[u8], files: &dyn Files) -> Compilation {
    let source = match decode(path, text) {
        Ok(source) => source,
        Err(diagnostic) => return Compilation { dag: None, diagnostics: vec![*diagnostic] },
    };
    let mut cx = Cx::new(&source, files);
    let mut diagnostics = Vec::new();
    let root = yaml::parse(&source, &mut diagnostics);
    cx.diagnostics = diagnostics;
    let dag = match &root {
        Some(root) => lower(path, root, &mut cx),
        None => {
            if cx.diagnostics.is_empty() {
                cx.report(Code::EmptyFile, Span::default(), "the file is empty").help =
                    Some("a DAG needs `tasks:`".into());
            }
            None
        }
    };
    let mut diagnostics = cx.diagnostics;
    let main = source.file.clone();
    diagnostics.sort_by(|a, b| {
        (a.file != main, &a.file, a.span.start, a.code).cmp(&(b.file != main, &b.file, b.span.start, b.code))
    });
    diagnostics.dedup();
    diagnostics.truncate(DIAGNOSTICS_MAX);
    let dag = dag.filter(|_| !diagnostics.iter().any(Diagnostic::is_error)).map(|mut dag| {
        dag.warnings = diagnostics.clone();
        Arc::new(dag)
    });
    Compilation { dag, diagnostics }
}

fn decode(path: &str, text: &[u8]) -> Result<Source, Box<Diagnostic>> {
    if YAML_BYTES_MAX < text.len() {
        let message =
            format!("the file has {} bytes, more than the {YAML_BYTES_MAX} that a DAG file may have", text.len());
        let help = "move scripts and data into files beside it";
        return Err(Box::new(Diagnostic::of_file(path, Code::TooLarge, message).help(help)));
    }
    match std::str::from_utf8(text) {
        // A byte order mark is no part of the text.
        Ok(text) => Ok(Source::new(path, text.strip_prefix('\u{feff}').unwrap_or(text))),
        Err(error) => {
            let at = error.valid_up_to();
            let source = Source::new(path, &String::from_utf8_lossy(text));
            let message = format!("byte {at} (0x{:02x}) is not UTF-8", text[at]);
            Err(Box::new(
                Diagnostic::new(&source, Code::NotUtf8, Span::new(at, at + 1), message).help("save the file as UTF-8"),
            ))
        }
    }
}

/// The DAG of a tree. Every check runs, whatever the others found; `None` says that one of them did.
fn lower(path: &str, root: &Node, cx: &mut Cx<'_>) -> Option<CompiledDag> {
    let Some(map) = root.map() else {
        cx.wrong_type(root, "a map with `tasks:`");
        return None;
    };
    let mut fields = Fields::new(root, map, cx);
    let keys = DagKeys::read_fields(&mut fields, cx);
    fields.finish("a DAG", cx);
    let keys = keys?;
    let id = dag_id(path, &keys, cx);
    let timetable = timetable(&keys, map, cx);
    for pattern in &keys.files.0 {
        cx.matching(&pattern.value, pattern.span);
    }
    let inherited = inherited::read(cx);
    let (tasks, groups, order) = graph(&keys, &inherited.defaults, map, cx);
    for task in &tasks {
        check_settings(task, &keys, cx);
        check::check_place(task, cx);
    }
    check_references((&keys, &inherited), map, &tasks, order.as_deref(), cx);
    if cx.diagnostics.iter().any(Diagnostic::is_error) {
        return None;
    }
    assemble(Checked { id: id?, keys, tasks, groups, timetable }, cx)
}

type Graph = (Vec<FlatTask>, Vec<TaskGroup>, Option<Vec<usize>>);

/// The tasks laid flat, and an order with upstreams first unless there are cycles.
fn graph(keys: &DagKeys, inherited: &TaskDefaults, map: &yaml::Map, cx: &mut Cx<'_>) -> Graph {
    let is_broken = map.get("tasks").is_some_and(|entry| entry.value.map().is_none() && !entry.value.is_null())
        || cx.diagnostics.iter().any(|diagnostic| diagnostic.code == Code::KeyNotText);
    let of_dag = TaskDefaults {
        env: keys.env.clone(),
        executor: keys.executor.clone(),
        kubernetes: keys.kubernetes.clone(),
        ..TaskDefaults::none()
    };
    let of_dag = of_dag.over(inherited);
    let defaults = keys.defaults.as_ref().map_or_else(|| of_dag.clone(), |defaults| defaults.over(&of_dag));
    let groups = keys.groups.clone().unwrap_or_default();
    let (mut tasks, groups) = check::flatten(keys.tasks.0.clone(), groups.0, &defaults, cx);
    if tasks.is_empty() && !is_broken {
        let start = map.entries.first().map_or(Span::default(), |entry| entry.key_span);
        let span = map.get("tasks").map_or(start, |entry| entry.key_span);
        cx.report(Code::NoTasks, span, "the DAG has no tasks").help =
            Some("add one: `tasks: {hello: echo hello}`".into());
    }
    check::resolve(&mut tasks, &groups, cx);
    let order = check::check_graph(&tasks, cx);
    (tasks, groups.describe(), order)
}

/// Checks what templates refer to, everywhere.
fn check_references(
    (keys, inherited): (&DagKeys, &Inherited),
    map: &yaml::Map,
    tasks: &[FlatTask],
    order: Option<&[usize]>,
    cx: &mut Cx<'_>,
) {
    let none = (Params::default(), Triggers::default());
    let params = keys.params.as_ref().unwrap_or(&none.0);
    let triggers = keys.trigger.as_ref().unwrap_or(&none.1);
    let known = Known {
        params,
        has_params: keys.params.is_some() || map.get("params").is_none(),
        tasks,
        order,
        // A trigger that could not be read may well be one.
        has_trigger: map.get("trigger").is_some() && (!triggers.others.is_empty() || triggers.schedule.is_none()),
    };
    let of_defaults = keys.defaults.iter().filter_map(|defaults| defaults.env.as_ref());
    let mut of_dag: Vec<_> = keys.env.iter().chain(of_defaults).flat_map(|env| env.0.values().cloned()).collect();
    let kubernetes = keys.defaults.iter().filter_map(|defaults| defaults.kubernetes.as_ref()).chain(&keys.kubernetes);
    of_dag.extend(kubernetes.flat_map(Kubernetes::templates).cloned());
    of_dag.extend(inherited.templates.iter().cloned());
    of_dag.extend(keys.groups.iter().flat_map(|groups| &groups.0).flat_map(Group::all_templates));
    check::check_templates(&known, &of_dag, cx);
    check::check_trigger_templates(&triggers.others, &triggers.templates(), cx);
    check_trigger_params(triggers, params, cx);
}

fn dag_id(path: &str, keys: &DagKeys, cx: &mut Cx<'_>) -> Option<DagId> {
    let name = path.rsplit('/').next().unwrap_or(path);
    let stem = name.strip_suffix(".yaml").or_else(|| name.strip_suffix(".yml")).unwrap_or(name);
    let (text, span) = keys.dag.as_ref().map_or((stem, Span::default()), |id| (id.value.as_str(), id.span));
    match DagId::parse(text) {
        Ok(id) => Some(id),
        Err(error) => {
            let help = match keys.dag {
                Some(_) => None,
                None => Some("the id comes from the name of the file; give one with `dag:`".to_owned()),
            };
            cx.report(Code::InvalidId, span, error.to_string()).help = help;
            None
        }
    }
}

fn timetable(keys: &DagKeys, map: &yaml::Map, cx: &mut Cx<'_>) -> Timetable {
    let of_trigger = keys.trigger.as_ref().and_then(|triggers| triggers.schedule.clone());
    if let (Some(_), Some((_, span))) = (map.get("schedule"), &of_trigger) {
        cx.report(Code::KeyConflict, *span, "the schedule is written twice: `schedule` and `trigger.schedule`").help =
            Some("remove one of them".into());
    }
    let schedule = keys.schedule.clone().or(of_trigger.map(|(schedule, _)| schedule));
    let zone = keys.timezone;
    let start_date = keys.start_date.map(|date| date.instant(zone));
    let end_date = keys.end_date.map(|date| date.instant(zone));
    if let (Some(start), Some(end), Some(date)) = (start_date, end_date, keys.end_date)
        && end < start
    {
        cx.report(Code::EmptyWindow, date.span, "`end_date` is before `start_date`");
    }
    Timetable {
        schedule: schedule.map_or(Schedule::Manual, |schedule| schedule.resolve(zone)),
        timezone: zone,
        start_date,
        end_date,
        catchup: keys.catchup,
    }
}

fn check_settings(task: &FlatTask, keys: &DagKeys, cx: &mut Cx<'_>) {
    let zone = keys.timezone;
    if let (Some(start), Some(end)) = (task.settings.start_date, task.settings.end_date)
        && end.instant(zone) < start.instant(zone)
    {
        cx.report(Code::EmptyWindow, end.span, format!("`end_date` of task `{}` is before its `start_date`", task.id));
    }
    let flags = [
        ("depends_on_past", &task.settings.depends_on_past),
        ("wait_for_downstream", &task.settings.wait_for_downstream),
    ];
    for (key, flag) in flags {
        if let Some(flag) = flag.as_ref().filter(|flag| flag.value) {
            cx.report(Code::NotAvailable, flag.span, format!("`{key}` is not available in this version")).help =
                Some("`max_active_runs: 1` keeps runs from overlapping".into());
        }
    }
}

/// `map:` fills params, so it names params.
fn check_trigger_params(triggers: &Triggers, params: &Params, cx: &mut Cx<'_>) {
    for trigger in &triggers.others {
        for (name, _, span) in trigger.map.0.iter().filter(|(name, ..)| !params.0.contains_key(name)) {
            let help = crate::suggest::did_you_mean(name, params.0.keys().map(String::as_str))
                .unwrap_or_else(|| format!("declare it: `params: {{{name}: {{type: string}}}}`"));
            cx.report(Code::UnknownParam, *span, format!("`map` fills the param `{name}`, which does not exist"))
                .help = Some(help);
        }
    }
}
