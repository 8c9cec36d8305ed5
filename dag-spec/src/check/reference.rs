//! What templates refer to, against what the DAG has.

use std::collections::HashMap;

use gridflow_core::TriggerRule;

use super::FlatTask;
use crate::{
    code::Code,
    dag::{FILE_TRIGGER_FIELDS, Params, TriggerSpec},
    operator::Outputs,
    read::Cx,
    source::Span,
    suggest,
    template::{Attributes, DATE_ATTRIBUTES, DATE_METHODS, Template, Use, VARIABLES},
};

/// What templates of a DAG may refer to.
pub struct Known<'a> {
    pub params: &'a Params,
    /// `None` where params could not be read: nothing is said about them.
    pub has_params: bool,
    pub tasks: &'a [FlatTask],
    /// Upstreams first; `None` where there are cycles, and nothing is said about paths.
    pub order: Option<&'a [usize]>,
    pub has_trigger: bool,
}

/// Checks the templates of every task, and those of the DAG's `env` and `defaults`.
pub fn check_templates(known: &Known<'_>, of_dag: &[Template], cx: &mut Cx<'_>) {
    let index: HashMap<&str, usize> = known.tasks.iter().enumerate().map(|(at, task)| (task.id.as_str(), at)).collect();
    let mut paths = Paths { known, cache: HashMap::new() };
    for used in of_dag.iter().flat_map(|template| &template.uses) {
        if used.root == "tasks" {
            cx.report(
                Code::OutputWithoutNeed,
                used.span,
                "outputs of tasks are not possible here: this holds for every task, also for those before",
            )
            .help = Some("say it on the task that needs the output".into());
        } else {
            check_use(used, known, &index, cx);
        }
    }
    for (at, task) in known.tasks.iter().enumerate() {
        for used in task.templates.iter().flat_map(|template| &template.uses) {
            check_use(used, known, &index, cx);
            if used.root == "tasks" {
                check_output(used, at, &index, &mut paths, cx);
            }
        }
    }
}

/// Checks `filter:` and `map:` of triggers, which see the event and nothing else.
pub fn check_trigger_templates(triggers: &[TriggerSpec], templates: &[Template], cx: &mut Cx<'_>) {
    if triggers.is_empty() {
        return;
    }
    for used in templates.iter().flat_map(|template| &template.uses) {
        if used.root == "trigger" {
            check_trigger_field(used, cx);
        } else {
            let message =
                format!("`{}` is not known here: `filter` and `map` see `trigger` and nothing else", used.root);
            cx.report(Code::UnknownVariable, used.root_span, message);
        }
    }
}

fn check_use(used: &Use, known: &Known<'_>, index: &HashMap<&str, usize>, cx: &mut Cx<'_>) {
    let Some(variable) = VARIABLES.iter().find(|variable| variable.name == used.root) else {
        unknown_variable(used, known, index, cx);
        return;
    };
    match (&variable.attributes, used.root.as_str()) {
        (Attributes::Dag, "params") => check_param(used, known, cx),
        (Attributes::Dag, "trigger") if !known.has_trigger && !used.guarded => {
            cx.report(Code::NoTrigger, used.root_span, "the DAG has no trigger, so there is no `trigger`").help =
                Some("add `trigger:`, or pass the value as a param".into());
        }
        (Attributes::Dag, "trigger") => check_trigger_field(used, cx),
        (Attributes::Dag, _) => {}
        (attributes, name) => check_attributes(name, attributes, used, &used.path, cx),
    }
}

fn unknown_variable(used: &Use, known: &Known<'_>, index: &HashMap<&str, usize>, cx: &mut Cx<'_>) {
    let gone = match used.root.as_str() {
        "execution_date" => Some("it is `logical_date` since Airflow 3"),
        "next_ds" | "next_execution_date" => Some("use `data_interval_end | ds`"),
        "prev_ds" | "prev_execution_date" | "yesterday_ds" => Some("use `logical_date.subtract(days=1) | ds`"),
        "tomorrow_ds" => Some("use `logical_date.add(days=1) | ds`"),
        "macros" => {
            Some("macros are not available in this version; dates have methods such as `logical_date.add(days=1)`")
        }
        "conn" => Some("connections are not available in this version"),
        "conf" => Some("what a run was given is `dag_run.conf`, and checked in `params`"),
        "env" => Some("environment variables are read by the command itself: `$NAME`"),
        _ => None,
    };
    let is_param = known.params.0.contains_key(&used.root);
    let help = match gone {
        Some(gone) => Some(gone.to_owned()),
        None if is_param => Some(format!("did you mean `params.{}`?", used.root)),
        None if index.contains_key(used.root.as_str()) => Some(format!("did you mean `tasks.{}`?", used.root)),
        None => suggest::did_you_mean(&used.root, VARIABLES.iter().map(|variable| variable.name)),
    };
    cx.report(Code::UnknownVariable, used.root_span, format!("there is no variable `{}`", used.root)).help = help;
}

fn check_attributes(name: &str, attributes: &Attributes, used: &Use, path: &[(String, Span)], cx: &mut Cx<'_>) {
    let Some(((first, span), rest)) = path.split_first() else { return };
    match attributes {
        Attributes::Any | Attributes::Dag => {}
        // Texts and numbers have methods, which are known when they are called.
        Attributes::None if used.called && rest.is_empty() => {}
        Attributes::None => {
            cx.report(Code::UnknownAttribute, *span, format!("`{name}` has no attribute `{first}`"));
        }
        Attributes::Date => {
            let is_call = used.called && rest.is_empty();
            let known = if is_call { DATE_METHODS } else { DATE_ATTRIBUTES };
            if !known.contains(&first.as_str()) {
                let help = if DATE_METHODS.contains(&first.as_str()) {
                    Some(format!("call it: `{first}()`"))
                } else {
                    suggest::did_you_mean(first, known.iter().copied())
                };
                cx.report(Code::UnknownAttribute, *span, format!("a date has no `{first}`")).help = help;
            }
        }
        Attributes::These(known) => match known.iter().find(|(known, _)| known == first) {
            Some((_, inner)) => check_attributes(first, inner, used, rest, cx),
            None => {
                let help = suggest::did_you_mean(first, known.iter().map(|(name, _)| *name))
                    .unwrap_or_else(|| format!("it has {}", suggest::list(known.iter().map(|(name, _)| *name))));
                cx.report(Code::UnknownAttribute, *span, format!("`{name}` has no attribute `{first}`")).help =
                    Some(help);
            }
        },
    }
}

fn check_param(used: &Use, known: &Known<'_>, cx: &mut Cx<'_>) {
    let Some((name, span)) = used.path.first() else {
        if let Some(dynamic) = used.dynamic {
            cx.report(Code::DynamicName, dynamic, "the name of a param must be written out, so that it can be checked");
        }
        return;
    };
    if !known.has_params || known.params.0.contains_key(name) || is_method(used, 1) {
        return;
    }
    let names = known.params.0.keys().map(String::as_str);
    let help = suggest::did_you_mean(name, names)
        .unwrap_or_else(|| format!("declare it: `params: {{{name}: {{type: string}}}}`"));
    cx.report(Code::UnknownParam, *span, format!("there is no param `{name}`")).help = Some(help);
}

/// Whether the name at a place of the path is called: a method of the value before it.
fn is_method(used: &Use, place: usize) -> bool {
    used.called && used.path.len() == place
}

fn check_trigger_field(used: &Use, cx: &mut Cx<'_>) {
    let Some((field, span)) = used.path.first().filter(|_| !is_method(used, 1)) else { return };
    if !FILE_TRIGGER_FIELDS.iter().any(|(name, _)| name == field) {
        let names = FILE_TRIGGER_FIELDS.iter().map(|(name, _)| *name);
        let help =
            suggest::did_you_mean(field, names.clone()).unwrap_or_else(|| format!("it has {}", suggest::list(names)));
        cx.report(Code::UnknownAttribute, *span, format!("`trigger` has no `{field}`")).help = Some(help);
    }
}

fn check_output(used: &Use, at: usize, index: &HashMap<&str, usize>, paths: &mut Paths<'_>, cx: &mut Cx<'_>) {
    let Some((id, span)) = used.path.first() else {
        let message = "the name of a task must be written out: `tasks.ID` or `tasks['group.id']`";
        cx.report(Code::DynamicName, used.dynamic.unwrap_or(used.span), message);
        return;
    };
    let tasks = paths.known.tasks;
    let Some(&source) = index.get(id.as_str()) else {
        let sibling = tasks[at]
            .group
            .as_ref()
            .map(|group| format!("{group}.{id}"))
            .filter(|whole| index.contains_key(whole.as_str()));
        let dotted =
            used.path.get(1).map(|(next, _)| format!("{id}.{next}")).filter(|whole| index.contains_key(whole.as_str()));
        let help = match sibling.or(dotted) {
            Some(whole) => Some(format!("a task of a group is written `tasks['{whole}']`")),
            None => suggest::did_you_mean(id, index.keys().copied()),
        };
        cx.report(Code::UnknownTaskInTemplate, *span, format!("there is no task `{id}`")).help = help;
        return;
    };
    check_field(used, &tasks[source], cx);
    if tasks[at].has_broken_needs || paths.known.order.is_none() {
        return;
    }
    let (is_behind, is_sure) = paths.look(source, at);
    if !is_behind {
        let message = if source == at {
            format!("task `{id}` uses its own output")
        } else {
            format!("task `{}` uses the output of `{id}` without waiting for it", tasks[at].id)
        };
        cx.report(Code::OutputWithoutNeed, used.span, message).help =
            (source != at).then(|| format!("add `{id}` to its `needs`"));
    } else if !is_sure && !used.guarded {
        let message = format!(
            "task `{}` can run although `{id}` has no output: it may have failed or been skipped",
            tasks[at].id
        );
        let written = cx.slice(used.span).to_owned();
        cx.report(Code::OutputMayBeMissing, used.span, message).help =
            Some(format!("say what stands in for it: `{written} | default(…)`"));
    }
}

fn check_field(used: &Use, task: &FlatTask, cx: &mut Cx<'_>) {
    let Some((field, span)) = used.path.get(1) else {
        if let (Some(Outputs::Never), false) = (task.operator.as_ref().map(|operator| operator.outputs()), used.guarded)
        {
            cx.report(Code::UnknownOutput, used.span, format!("task `{}` has no output", task.id));
        }
        return;
    };
    let declared: Vec<&str> = match (task.operator.as_ref().map(|operator| operator.outputs()), &task.keys.outputs) {
        (_, Some(declared)) => declared.iter().map(String::as_str).collect(),
        (Some(Outputs::Declared(fields)), None) => fields.iter().map(|(name, _)| *name).collect(),
        (Some(Outputs::Never), None) => Vec::new(),
        (Some(Outputs::Unknown) | None, None) => return,
    };
    if declared.contains(&field.as_str()) || is_method(used, 2) {
        return;
    }
    let help = suggest::did_you_mean(field, declared.iter().copied()).or_else(|| match declared.len() {
        0 => None,
        _ => Some(format!("its fields are {}", suggest::list(declared.iter().copied()))),
    });
    cx.report(Code::UnknownOutput, *span, format!("the output of task `{}` has no field `{field}`", task.id)).help =
        help;
}

/// Which tasks come behind a task, and which of them run only if it succeeded.
struct Paths<'a> {
    known: &'a Known<'a>,
    cache: HashMap<usize, Vec<(bool, bool)>>,
}

impl Paths<'_> {
    /// Whether `at` comes behind `source`, and whether `source` surely succeeded when `at` runs.
    fn look(&mut self, source: usize, at: usize) -> (bool, bool) {
        let tasks = self.known.tasks;
        let direct = tasks[at].upstream.iter().any(|(upstream, _)| *upstream == source);
        if direct && tasks[at].rule() == TriggerRule::AllSuccess {
            return (true, true);
        }
        let order = self.known.order.unwrap_or_default();
        self.cache.entry(source).or_insert_with(|| behind(source, tasks, order))[at]
    }
}

fn behind(source: usize, tasks: &[FlatTask], order: &[usize]) -> Vec<(bool, bool)> {
    let mut found = vec![(false, false); tasks.len()];
    for &at in order {
        let upstream = &tasks[at].upstream;
        let is_behind = upstream.iter().any(|(upstream, _)| *upstream == source || found[*upstream].0);
        // An upstream that succeeded proves `source` if it is it, or if it could only run behind it.
        let proves = |upstream: usize| upstream == source || found[upstream].1;
        let is_sure = is_behind
            && match tasks[at].rule() {
                TriggerRule::AllSuccess => upstream.iter().any(|(upstream, _)| proves(*upstream)),
                TriggerRule::OneSuccess | TriggerRule::NoneFailedMinOneSuccess | TriggerRule::AllDoneMinOneSuccess => {
                    upstream.iter().all(|(upstream, _)| proves(*upstream))
                }
                TriggerRule::AllFailed
                | TriggerRule::AllDone
                | TriggerRule::AllDoneSetupSuccess
                | TriggerRule::OneFailed
                | TriggerRule::OneDone
                | TriggerRule::NoneFailed
                | TriggerRule::NoneSkipped
                | TriggerRule::AllSkipped
                | TriggerRule::Always => false,
            };
        found[at] = (is_behind, is_sure);
    }
    found
}
