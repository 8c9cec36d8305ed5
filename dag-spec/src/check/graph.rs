//! Groups and tasks → one flat list with numbered edges.

use std::collections::{HashMap, HashSet};

use gridflow_core::{TaskId, TriggerRule};

use crate::{
    code::Code,
    compiled::TaskGroup,
    dag::{Group, TaskDefaults, TaskEntry, TaskKeys},
    kubernetes::Kubernetes,
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
    /// What the task itself says of where it runs.
    pub own: OwnPlace,
    pub operator: Option<Operator>,
    /// Templates written in the task itself.
    pub templates: Vec<Template>,
    /// Direct upstreams, with the place that names them.
    pub upstream: Vec<(usize, Span)>,
    /// Whether some of `needs` could not be understood; conclusions from its absence would be noise.
    pub has_broken_needs: bool,
}

/// What a task itself says of where it runs, with the places that say it.
#[derive(Debug, Default)]
pub struct OwnPlace {
    pub executor: Option<Span>,
    pub has_kubernetes: bool,
    pub image: Option<Span>,
    pub has_run_as: bool,
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
    tooltip: Option<String>,
    doc_md: Option<String>,
}

impl FlatGroups {
    /// The groups for pages.
    pub fn describe(&self) -> Vec<TaskGroup> {
        let describe = |group: &FlatGroup| TaskGroup {
            id: group.id.clone(),
            tooltip: group.tooltip.clone(),
            doc_md: group.doc_md.clone(),
        };
        self.0.iter().map(describe).collect()
    }
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
            own: OwnPlace {
                executor: task.own.executor.as_ref().map(|executor| executor.span),
                has_kubernetes: task.own.kubernetes.is_some(),
                image: task.own.kubernetes.as_ref().and_then(Kubernetes::image_span),
                has_run_as: task.own.run_as.is_some(),
            },
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
        flat_groups.0.push(FlatGroup {
            id: id.clone(),
            needs: inner.keys.needs.0,
            parent: group.map(str::to_owned),
            tooltip: inner.keys.tooltip.map(|text| text.0),
            doc_md: inner.keys.doc_md.map(|text| text.0),
        });
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

/// Needs of one task, with the places that name them.
type Needs = Vec<(Need, Span)>;

/// The names that `needs` may use.
struct Names<'a> {
    ids: Vec<String>,
    tasks: HashMap<String, usize>,
    groups: HashMap<&'a str, usize>,
    /// By group: what the ids of its tasks begin with.
    prefixes: Vec<String>,
    /// By group: its tasks, also those of groups in it.
    members: Vec<Vec<usize>>,
}

/// Finds what every `needs` names and numbers the edges.
pub fn resolve(tasks: &mut [FlatTask], groups: &FlatGroups, cx: &mut Cx<'_>) {
    let names = Names::new(tasks, groups);
    let mut needs: Vec<Needs> = tasks.iter_mut().enumerate().map(|(at, task)| names.own_needs(at, task, cx)).collect();
    inherit(&mut needs, groups, &names, cx);
    let lasts: Vec<Vec<usize>> = (0..groups.0.len()).map(|group| names.lasts(group, &needs)).collect();
    for (at, (task, own)) in tasks.iter_mut().zip(&needs).enumerate() {
        for (need, span) in own {
            match need {
                Need::Task(upstream) => task.upstream.push((*upstream, *span)),
                Need::Group(group) if names.inside(Need::Task(at), *group) => {
                    let message = format!("task `{}` needs the group that it is part of", task.id);
                    cx.report(Code::NeedsItself, *span, message);
                }
                Need::Group(group) => task.upstream.extend(lasts[*group].iter().map(|last| (*last, *span))),
            }
        }
        // A task may be named by itself and by its group.
        let mut seen = HashSet::new();
        task.upstream.retain(|(upstream, _)| seen.insert(*upstream));
    }
}

/// Makes the needs of a group those of its first tasks, inner groups first: they stand behind their
/// outer ones.
fn inherit(needs: &mut [Needs], groups: &FlatGroups, names: &Names<'_>, cx: &mut Cx<'_>) {
    for (at, group) in groups.0.iter().enumerate().rev() {
        for name in &group.needs {
            let Some(need) = names.find(name, group.parent.as_deref(), &group.id, cx) else { continue };
            if names.inside(need, at) {
                cx.report(Code::NeedsItself, name.span, format!("group `{}` needs itself", group.id));
                continue;
            }
            let is_first = |member: &usize| !needs[*member].iter().any(|(need, _)| names.inside(*need, at));
            let firsts: Vec<usize> = names.members[at].iter().copied().filter(is_first).collect();
            for first in firsts {
                if needs[first].iter().all(|(known, _)| *known != need) {
                    needs[first].push((need, name.span));
                }
            }
        }
    }
}

impl<'a> Names<'a> {
    fn new(tasks: &[FlatTask], groups: &'a FlatGroups) -> Self {
        let ids: Vec<String> = tasks.iter().map(|task| task.id.clone()).collect();
        let prefixes: Vec<String> = groups.0.iter().map(|group| format!("{}.", group.id)).collect();
        let of = |prefix: &String| (0..ids.len()).filter(|at| ids[*at].starts_with(prefix)).collect();
        let members = prefixes.iter().map(of).collect();
        Self {
            // Of two tasks with one id the first counts.
            tasks: ids.iter().enumerate().rev().map(|(at, id)| (id.clone(), at)).collect(),
            groups: groups.0.iter().enumerate().map(|(at, group)| (group.id.as_str(), at)).collect(),
            ids,
            prefixes,
            members,
        }
    }

    fn find(&self, name: &Spanned<String>, group: Option<&str>, own: &str, cx: &mut Cx<'_>) -> Option<Need> {
        for candidate in candidates(&name.value, group) {
            if let Some(task) = self.tasks.get(&candidate) {
                return Some(Need::Task(*task));
            }
            if let Some(group) = self.groups.get(candidate.as_str()) {
                return Some(Need::Group(*group));
            }
        }
        let known = self.ids.iter().map(String::as_str).chain(self.groups.keys().copied()).filter(|id| *id != own);
        let help = suggest::did_you_mean(&name.value, known);
        cx.report(Code::UnknownTask, name.span, format!("there is no task `{}`", name.value)).help = help;
        None
    }

    fn own_needs(&self, at: usize, task: &mut FlatTask, cx: &mut Cx<'_>) -> Needs {
        let mut own: Needs = Vec::new();
        for name in &task.keys.needs.0 {
            match self.find(name, task.group.as_deref(), &task.id, cx) {
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
        own
    }

    fn inside(&self, need: Need, group: usize) -> bool {
        match need {
            Need::Task(task) => self.ids[task].starts_with(&self.prefixes[group]),
            Need::Group(inner) => inner == group || self.prefixes[inner].starts_with(&self.prefixes[group]),
        }
    }

    /// The last tasks of a group: those that no other of its tasks needs.
    fn lasts(&self, group: usize, needs: &[Needs]) -> Vec<usize> {
        let mut needed = HashSet::new();
        for (need, _) in self.members[group].iter().flat_map(|member| &needs[*member]) {
            match need {
                Need::Task(task) => drop(needed.insert(*task)),
                Need::Group(inner) if *inner != group => needed.extend(&self.members[*inner]),
                Need::Group(_) => {}
            }
        }
        self.members[group].iter().copied().filter(|member| !needed.contains(member)).collect()
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
