//! A DAG file → a [`CompiledDag`], or everything that is wrong with it.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use gridflow_core::{Dag, DagId, DagParts, PoolName, Schedule, Task, TaskId, TaskKind, TaskNo, Timetable, WeightRule};

use crate::{
    Files,
    check::{self, FlatTask, Known},
    code::Code,
    compiled::{CompiledDag, TaskSettings},
    dag::{DagKeys, Env, Params, TaskDefaults, Triggers},
    diagnostic::Diagnostic,
    limit::{DIAGNOSTICS_MAX, YAML_BYTES_MAX},
    read::{Cx, Fields, OneOrMany, Spec},
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

    let tasks_span = map.get("tasks").map_or(cx.head(root), |entry| entry.key_span);
    let is_broken = map.get("tasks").is_some_and(|entry| entry.value.map().is_none() && !entry.value.is_null())
        || cx.diagnostics.iter().any(|diagnostic| diagnostic.code == Code::KeyNotText);
    let defaults = keys.defaults.clone().unwrap_or_else(TaskDefaults::none);
    let outer = TaskDefaults { env: None, ..TaskDefaults::none() };
    let base = defaults.over(&TaskDefaults { env: keys.env.clone(), ..outer });
    let groups = keys.groups.clone().unwrap_or_default();
    let group_templates: Vec<_> = groups.0.iter().flat_map(|group| group.all_templates()).collect();
    let (mut tasks, flat_groups) = check::flatten(keys.tasks.0.clone(), groups.0, &base, cx);
    if tasks.is_empty() && !is_broken {
        cx.report(Code::NoTasks, tasks_span, "the DAG has no tasks").help =
            Some("add one: `tasks: {hello: echo hello}`".into());
    }
    check::resolve(&mut tasks, &flat_groups, cx);
    let order = check::check_graph(&tasks, cx);
    for task in &tasks {
        check_settings(task, &keys, cx);
    }

    let params = keys.params.clone().unwrap_or_default();
    let triggers = keys.trigger.clone().unwrap_or_default();
    let known = Known {
        params: &params,
        has_params: keys.params.is_some() || map.get("params").is_none(),
        tasks: &tasks,
        order: order.as_deref(),
        has_trigger: map.get("trigger").is_some_and(|_| !triggers.others.is_empty() || triggers.schedule.is_none()),
    };
    let mut of_dag: Vec<_> = keys.env.iter().flat_map(|env| env.0.values().cloned()).collect();
    of_dag.extend(defaults.env.iter().flat_map(|env| env.0.values().cloned()));
    of_dag.extend(group_templates);
    check::check_templates(&known, &of_dag, cx);
    check::check_trigger_templates(&triggers.others, &triggers.templates(), cx);
    check_trigger_params(&triggers, &params, cx);

    if cx.diagnostics.iter().any(Diagnostic::is_error) {
        return None;
    }
    assemble(id?, keys, params, triggers, tasks, timetable, cx)
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

fn assemble(
    id: DagId,
    keys: DagKeys,
    params: Params,
    triggers: Triggers,
    tasks: Vec<FlatTask>,
    timetable: Timetable,
    cx: &mut Cx<'_>,
) -> Option<CompiledDag> {
    let zone = timetable.timezone;
    let core_tasks = tasks.iter().map(|task| core_task(task, zone)).collect::<Option<Vec<_>>>()?;
    let dag = Dag::new(DagParts {
        id,
        tasks: core_tasks,
        timetable,
        is_paused_at_creation: keys.paused,
        max_active_runs: keys.max_active_runs,
        max_active_tasks: keys.max_active_tasks,
        max_consecutive_failed_runs: NonZeroU32::new(keys.max_consecutive_failed_dag_runs),
        dagrun_timeout: keys.dagrun_timeout,
        fail_fast: keys.fail_fast,
    })
    .expect("the checks found no cycle, and edges are numbers of tasks");
    let settings = tasks.iter().map(settings).collect();
    let (operators, uses) = tasks
        .into_iter()
        .filter_map(|task| Some((task.operator?, (task.templates, task.settings.env.unwrap_or_default()))))
        .unzip();
    Some(CompiledDag::new(crate::compiled::Parts {
        dag: Arc::new(dag),
        operators,
        templates: uses,
        settings,
        params,
        triggers: triggers.others,
        env: keys.env.unwrap_or_default(),
        files: std::mem::take(&mut cx.files),
        source: cx.source.text.clone(),
        tags: keys.tags.0,
        owner: keys.owner,
        description: keys.description.map(|text| text.0),
        doc_md: keys.doc_md.map(|text| text.0),
    }))
}

fn core_task(task: &FlatTask, zone: chrono_tz::Tz) -> Option<Task> {
    let settings = &task.settings;
    let kind = task.operator.as_ref()?.kind();
    Some(Task {
        id: TaskId::parse(&task.id).ok()?,
        kind,
        upstream: task.upstream.iter().map(|(upstream, _)| TaskNo(*upstream as u32)).collect(),
        trigger_rule: task.rule(),
        retries: settings.retries.unwrap_or(0),
        retry_delay: settings.retry_delay.unwrap_or(Duration::from_secs(300)),
        retry_backoff: settings.retry_exponential_backoff.and_then(|backoff| backoff.0),
        retry_delay_max: settings.max_retry_delay,
        execution_timeout: settings.execution_timeout,
        pool: settings.pool.clone().unwrap_or_else(PoolName::default_pool),
        pool_slots: settings.pool_slots.unwrap_or(NonZeroU32::MIN),
        priority_weight: settings.priority_weight.unwrap_or(1),
        weight_rule: settings.weight_rule.unwrap_or(WeightRule::Downstream),
        max_active_per_dag: settings.max_active_tis_per_dag,
        max_active_per_run: settings.max_active_tis_per_dagrun,
        start_date: settings.start_date.map(|date| date.instant(zone)),
        end_date: settings.end_date.map(|date| date.instant(zone)),
        skip_exit_codes: match (kind, &settings.skip_on_exit_code) {
            (TaskKind::Attempt(_), Some(OneOrMany(codes))) => codes.clone(),
            (TaskKind::Attempt(_), None) => vec![99],
            (TaskKind::Empty | TaskKind::TriggerDag { .. }, _) => Vec::new(),
        },
    })
}

fn settings(task: &FlatTask) -> TaskSettings {
    TaskSettings {
        group: task.group.clone(),
        idempotent: task.settings.idempotent.unwrap_or(false),
        run_as: task.settings.run_as.clone(),
        grace: task.settings.grace.unwrap_or(Duration::from_secs(10)),
        doc_md: task.keys.doc_md.as_ref().map(|text| text.0.clone()),
    }
}

/// Environment variables with their templates, for those who render them.
pub type TaskTemplates = (Vec<crate::template::Template>, Env);
