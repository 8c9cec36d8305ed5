//! Groups and tasks → one flat list with numbered edges.

use std::collections::HashMap;

use gridflow_core::{TaskId, TriggerRule};

use crate::{
    code::Code,
    dag::{Group, TaskDefaults, TaskEntry, TaskKeys},
    limit::TASKS_MAX,
    operator::Operator,
    read::{Cx, Spanned},
    source::Span,
    suggest,
    template::Template,
};

/// A task with its whole id and everything that outer levels say about it.
#[derive(Debug)]
pub struct FlatTask {
    pub id: String,
    pub span: Span,
    /// The whole name of its group.
    pub group: Option<String>,
    pub keys: TaskKeys,
    pub settings: TaskDefaults,
    pub operator: Option<Operator>,
    /// Templates written in the task itself.
    pub templates: Vec<Template>,
    /// Direct upstreams, with the place that names them.
    pub upstream: Vec<(usize, Span)>,
    /// Whether some of `needs` could not be understood; conclusions from its absence would be noise.
    pub has_broken_needs: bool,
}

impl FlatTask {
    pub fn rule(&self) -> TriggerRule {
        self.settings.trigger_rule.as_ref().map_or(TriggerRule::default(), |rule| rule.value)
    }
}

/// Groups by their whole names.
#[derive(Debug, Default)]
pub struct FlatGroups(Vec<FlatGroup>);

#[derive(Debug)]
struct FlatGroup {
    id: String,
    needs: Vec<Spanned<String>>,
    parent: Option<String>,
}

/// Lays groups flat. Ids are checked here.
pub fn flatten(
    tasks: Vec<TaskEntry>,
    groups: Vec<Group>,
    defaults: &TaskDefaults,
    cx: &mut Cx<'_>,
) -> (Vec<FlatTask>, FlatGroups) {
    let mut flat = Vec::new();
    let mut flat_groups = FlatGroups::default();
    add(None, tasks, groups, defaults, &mut flat, &mut flat_groups, cx);
    let mut seen: HashMap<&str, Span> = HashMap::new();
    for task in &flat {
        if let Some(first) = seen.insert(&task.id, task.span) {
            let line = cx.source.position(first.start).line;
            cx.report(Code::DuplicateTask, task.span, format!("two tasks have the id `{}`", task.id)).help =
                Some(format!("the first one is on line {line}"));
        }
    }
    if TASKS_MAX < flat.len() {
        cx.report(
            Code::TooMany,
            flat[TASKS_MAX].span,
            format!("a DAG has at most {TASKS_MAX} tasks, this has {}", flat.len()),
        );
    }
    (flat, flat_groups)
}

fn add(
    group: Option<&str>,
    tasks: Vec<TaskEntry>,
    groups: Vec<Group>,
    outer: &TaskDefaults,
    flat: &mut Vec<FlatTask>,
    flat_groups: &mut FlatGroups,
    cx: &mut Cx<'_>,
) {
    let whole = |id: &str| group.map_or_else(|| id.to_owned(), |group| format!("{group}.{id}"));
    for task in tasks {
        let id = whole(&task.id.value);
        check_id(&task.id, &id, cx);
        flat.push(FlatTask {
            id,
            span: task.id.span,
            group: group.map(str::to_owned),
            settings: task.own.over(outer),
            keys: task.keys,
            operator: task.operator,
            templates: task.templates,
            upstream: Vec::new(),
            has_broken_needs: false,
        });
    }
    for inner in groups {
        let id = whole(&inner.id.value);
        check_id(&inner.id, &id, cx);
        let defaults = inner.defaults.over(outer);
        flat_groups.0.push(FlatGroup { id: id.clone(), needs: inner.keys.needs.0, parent: group.map(str::to_owned) });
        add(Some(&id), inner.tasks.0, inner.groups.0, &defaults, flat, flat_groups, cx);
    }
}

fn check_id(written: &Spanned<String>, whole: &str, cx: &mut Cx<'_>) {
    if written.value.contains('.') {
        cx.report(
            Code::InvalidId,
            written.span,
            format!("`{}` has a `.`, which separates a group from its tasks", written.value),
        )
        .help = Some(format!("write `{}`, or put the task into a group", written.value.replace('.', "_")));
        return;
    }
    if let Err(error) = TaskId::parse(whole) {
        let fixed: String =
            written.value.chars().map(|c| if c.is_alphanumeric() || "_-".contains(c) { c } else { '_' }).collect();
        cx.report(Code::InvalidId, written.span, error.to_string()).help =
            (!fixed.is_empty()).then(|| format!("write `{fixed}`"));
    }
}

/// What a name in `needs` means.
#[derive(Clone, Copy, PartialEq)]
enum Need {
    Task(usize),
    Group(usize),
}

/// Finds what every `needs` names and numbers the edges.
pub fn resolve(tasks: &mut [FlatTask], groups: &FlatGroups, cx: &mut Cx<'_>) {
    let index: HashMap<String, usize> =
        tasks.iter().enumerate().rev().map(|(at, task)| (task.id.clone(), at)).collect();
    let group_index: HashMap<&str, usize> =
        groups.0.iter().enumerate().map(|(at, group)| (group.id.as_str(), at)).collect();
    let find = |name: &Spanned<String>, group: Option<&str>, own: &str, cx: &mut Cx<'_>| -> Option<Need> {
        for candidate in candidates(&name.value, group) {
            if let Some(task) = index.get(&candidate) {
                return Some(Need::Task(*task));
            }
            if let Some(group) = group_index.get(candidate.as_str()) {
                return Some(Need::Group(*group));
            }
        }
        let known = index.keys().map(String::as_str).filter(|id| *id != own);
        let help = suggest::did_you_mean(&name.value, known);
        cx.report(Code::UnknownTask, name.span, format!("there is no task `{}`", name.value)).help = help;
        None
    };
    let mut needs: Vec<Vec<(Need, Span)>> = Vec::with_capacity(tasks.len());
    for (at, task) in tasks.iter_mut().enumerate() {
        let mut own: Vec<(Need, Span)> = Vec::new();
        for name in &task.keys.needs.0 {
            match find(name, task.group.as_deref(), &task.id, cx) {
                Some(Need::Task(upstream)) if upstream == at => {
                    cx.report(Code::NeedsItself, name.span, format!("task `{}` needs itself", task.id));
                }
                Some(need) if own.iter().any(|(known, _)| *known == need) => {
                    cx.report(Code::DuplicateNeed, name.span, format!("`{}` is needed twice", name.value)).help =
                        Some("remove one of them".into());
                }
                Some(need) => own.push((need, name.span)),
                None => task.has_broken_needs = true,
            }
        }
        needs.push(own);
    }
    let members = |group: usize| -> Vec<usize> {
        let prefix = format!("{}.", groups.0[group].id);
        tasks.iter().enumerate().filter(|(_, task)| task.id.starts_with(&prefix)).map(|(at, _)| at).collect()
    };
    let members: Vec<Vec<usize>> = (0..groups.0.len()).map(members).collect();
    let inside = |need: Need, group: usize| match need {
        Need::Task(task) => members[group].contains(&task),
        Need::Group(inner) => inner == group || groups.0[inner].id.starts_with(&format!("{}.", groups.0[group].id)),
    };
    // Inner groups come behind their outer ones; from the inside out, a group's needs become those
    // of its first tasks.
    for at in (0..groups.0.len()).rev() {
        let group = &groups.0[at];
        for name in &group.needs {
            let Some(need) = find(name, group.parent.as_deref(), &group.id, cx) else { continue };
            if inside(need, at) {
                cx.report(Code::NeedsItself, name.span, format!("group `{}` needs itself", group.id));
                continue;
            }
            let firsts: Vec<_> = members[at]
                .iter()
                .copied()
                .filter(|member| !needs[*member].iter().any(|(need, _)| inside(*need, at)))
                .collect();
            for first in firsts {
                if needs[first].iter().all(|(known, _)| *known != need) {
                    needs[first].push((need, name.span));
                }
            }
        }
    }
    // The last tasks of a group: those that no other of its tasks needs.
    let lasts = |group: usize| -> Vec<usize> {
        let needed = |member: usize| {
            members[group].iter().any(|other| {
                needs[*other].iter().any(|(need, _)| match need {
                    Need::Task(task) => *task == member,
                    Need::Group(inner) => *inner != group && members[*inner].contains(&member),
                })
            })
        };
        members[group].iter().copied().filter(|member| !needed(*member)).collect()
    };
    let lasts: Vec<Vec<usize>> = (0..groups.0.len()).map(lasts).collect();
    for (at, own) in needs.into_iter().enumerate() {
        for (need, span) in own {
            let upstreams = match need {
                Need::Task(task) => vec![task],
                Need::Group(group) if members[group].contains(&at) => {
                    cx.report(
                        Code::NeedsItself,
                        span,
                        format!("task `{}` needs the group that it is part of", tasks[at].id),
                    );
                    continue;
                }
                Need::Group(group) => lasts[group].clone(),
            };
            for upstream in upstreams {
                if tasks[at].upstream.iter().all(|(known, _)| *known != upstream) {
                    tasks[at].upstream.push((upstream, span));
                }
            }
        }
    }
}

/// The ids that a name may stand for, nearest first: a sibling, then those of outer groups.
fn candidates(name: &str, group: Option<&str>) -> Vec<String> {
    let mut out = Vec::new();
    let mut outer = group;
    while let Some(group) = outer {
        out.push(format!("{group}.{name}"));
        outer = group.rsplit_once('.').map(|(outer, _)| outer);
    }
    out.push(name.to_owned());
    out
}
