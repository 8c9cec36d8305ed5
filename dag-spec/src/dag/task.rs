//! Tasks and groups of tasks.

use std::{num::NonZeroU32, time::Duration};

use gridflow_core::{PoolName, TriggerRule, WeightRule};
use serde_json::json;

use super::{Env, Executor};
use crate::{
    code::Code,
    kubernetes::Kubernetes,
    operator::Operator,
    read::{
        Cx, Date, Definitions, Fields, OneOrMany, Prose, Read, Shape, Spanned, Spec, Timeout, named, object_schema,
        spec,
    },
    source::Span,
    template::Template,
    yaml::{Entry, Node, NodeKind},
};

spec! {
    /// Keys that a task may have, and that `defaults:` and groups may set for their tasks.
    pub struct TaskDefaults "task-defaults" {
        /// When the task runs, given the states of the tasks it needs.
        pub trigger_rule: Option<Spanned<TriggerRule>> = "all_success",
        /// How often a failed task is tried again.
        pub retries: Option<u32> = "0",
        /// How long to wait before trying again.
        pub retry_delay: Option<Duration> = "300s",
        /// Multiplies the delay for each further try; `true` is 2.
        pub retry_exponential_backoff: Option<Backoff>,
        /// The longest delay that a multiplied one grows to.
        pub max_retry_delay: Option<Duration>,
        /// Ends a try that takes longer; it counts as failed.
        pub execution_timeout: Option<Timeout>,
        /// The pool that the task takes its slots from.
        pub pool: Option<PoolName> = "default_pool",
        /// How many slots the task takes.
        pub pool_slots: Option<NonZeroU32> = "1",
        /// Among tasks that could start, the heavier one starts first.
        pub priority_weight: Option<i32> = "1",
        /// How the weight that counts is made: `downstream`, `upstream` or `absolute`.
        pub weight_rule: Option<WeightRule> = "downstream",
        /// Whether the task waits until it has succeeded in the previous run.
        pub depends_on_past: Option<Spanned<bool>> = "false",
        /// Whether the task also waits for the tasks behind it in the previous run.
        pub wait_for_downstream: Option<Spanned<bool>> = "false",
        /// How many instances of the task may run at once, over all runs.
        pub max_active_tis_per_dag: Option<NonZeroU32>,
        /// How many instances of the task may run at once in one run.
        pub max_active_tis_per_dagrun: Option<NonZeroU32>,
        /// The task does not run in runs with an earlier logical date.
        pub start_date: Option<Date>,
        /// The task does not run in runs with a later logical date.
        pub end_date: Option<Date>,
        /// Environment variables; values may be templates. Merged by name with those of outer levels.
        pub env: Option<Env>,
        /// Exit codes that mean `skipped` instead of `failed`.
        pub skip_on_exit_code: Option<OneOrMany<i32>> = "99",
        /// Whether a command whose end is unknown, because its machine died, may simply run again.
        pub idempotent: Option<bool> = "false",
        /// The user that runs the command, where Gridflow may switch users.
        pub run_as: Option<String>,
        /// Where the process of the task runs: `local`, on the machine of the scheduler, or `kubernetes`, in a pod.
        pub executor: Option<Spanned<Executor>> = "local",
        /// How the pod of the task is made. Laid over what outer levels say.
        pub kubernetes: Option<Kubernetes>,
        /// How long a command may take to end after it was asked to, before it is killed.
        pub grace: Option<Duration> = "10s",
    }
}

spec! {
    /// Keys of one task, besides its operator and the keys of [task defaults](#task-defaults).
    pub struct TaskKeys "task" {
        /// The tasks that come before: a name or a list. The name of a group means its last tasks.
        pub needs: OneOrMany<Spanned<String>>,
        /// The fields of the output, so that templates which use them are checked.
        pub outputs: Option<Vec<String>>,
        /// A text about the task, in Markdown.
        pub doc_md: Option<Prose>,
    }
}

spec! {
    /// Keys of a group, besides `tasks`, `groups` and the keys of [task defaults](#task-defaults).
    pub struct GroupKeys "group" {
        /// The tasks that come before the first tasks of the group.
        pub needs: OneOrMany<Spanned<String>>,
        /// A line about the group.
        pub tooltip: Option<Prose>,
        /// A text about the group, in Markdown.
        pub doc_md: Option<Prose>,
    }
}

/// A delay's multiplier.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff(pub Option<f64>);

/// `tasks:`, in the order of the file.
#[derive(Debug, Clone, Default)]
pub struct TaskMap(pub Vec<TaskEntry>);

/// `groups:`, in the order of the file.
#[derive(Debug, Clone, Default)]
pub struct Groups(pub Vec<Group>);

/// A task as written.
#[derive(Debug, Clone)]
pub struct TaskEntry {
    pub id: Spanned<String>,
    pub keys: TaskKeys,
    pub own: TaskDefaults,
    /// `None` where it is missing or broken, which was reported.
    pub operator: Option<Operator>,
    /// The templates of the task.
    pub templates: Vec<Template>,
}

/// A group as written.
#[derive(Debug, Clone)]
pub struct Group {
    pub id: Spanned<String>,
    pub keys: GroupKeys,
    pub defaults: TaskDefaults,
    pub tasks: TaskMap,
    pub groups: Groups,
    pub templates: Vec<Template>,
}

impl Read for TaskMap {
    fn absent() -> Option<Self> {
        Some(Self::default())
    }

    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let NodeKind::Map(map) = &node.kind else {
            if node.is_null() {
                return Some(Self::default());
            }
            cx.wrong_type(node, "a map of task ids to tasks");
            if let (NodeKind::List(_), Some(last)) = (&node.kind, cx.diagnostics.last_mut()) {
                last.help = Some("write `ID: {OPERATOR: …}` instead of a list".into());
            }
            return None;
        };
        Some(Self(map.entries.iter().map(|entry| task(entry, cx)).collect()))
    }

    fn shape(definitions: &mut Definitions) -> Shape {
        let schema = Operator::task_schema(definitions);
        Shape::new("map of id to [`task`](#task)", json!({ "type": "object", "additionalProperties": schema }))
    }
}

fn task(entry: &Entry, cx: &mut Cx<'_>) -> TaskEntry {
    let outer = std::mem::take(&mut cx.templates);
    let id = Spanned { value: entry.key.clone(), span: entry.key_span };
    let (keys, own, operator) = match &entry.value.kind {
        NodeKind::Map(map) => {
            let mut fields = Fields::of(entry.key_span, map);
            let keys = TaskKeys::read_fields(&mut fields, cx);
            let own = TaskDefaults::read_fields(&mut fields, cx);
            let operator = Operator::read_from(&id, &mut fields, cx);
            fields.finish("a task", cx);
            (keys, own, operator)
        }
        NodeKind::Scalar(_) if !entry.value.is_null() => (None, None, Operator::shell(&entry.value, cx)),
        NodeKind::Poisoned => (None, None, None),
        NodeKind::Scalar(_) => {
            let message = format!("task `{}` has no operator", entry.key);
            cx.report(Code::NoOperator, entry.key_span, message).help =
                Some("write a shell command, or an operator such as `bash:` or `python:`".into());
            (None, None, None)
        }
        NodeKind::List(_) => {
            cx.wrong_type(&entry.value, "a task: a map, or a shell command");
            (None, None, None)
        }
    };
    let templates = std::mem::replace(&mut cx.templates, outer);
    TaskEntry {
        id,
        keys: keys.unwrap_or_else(TaskKeys::none),
        own: own.unwrap_or_else(TaskDefaults::none),
        operator,
        templates,
    }
}

impl Read for Groups {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let NodeKind::Map(map) = &node.kind else {
            cx.wrong_type(node, "a map of names to groups");
            return None;
        };
        Some(Self(map.entries.iter().filter_map(|entry| group(entry, cx)).collect()))
    }

    fn shape(definitions: &mut Definitions) -> Shape {
        if !definitions.schemas.contains_key("group") {
            definitions.refer::<GroupKeys>();
            let mut fields = GroupKeys::fields(definitions);
            fields.extend(TaskDefaults::fields(definitions));
            let mut schema = object_schema(GroupKeys::doc(), &fields);
            schema["properties"]["tasks"] = TaskMap::shape(definitions).schema;
            schema["properties"]["groups"] =
                json!({ "type": "object", "additionalProperties": { "$ref": "#/$defs/group" } });
            definitions.schemas.insert("group".into(), schema);
        }
        Shape::new(
            "map of name to [`group`](#group)",
            json!({ "type": "object", "additionalProperties": { "$ref": "#/$defs/group" } }),
        )
    }
}

fn group(entry: &Entry, cx: &mut Cx<'_>) -> Option<Group> {
    let NodeKind::Map(map) = &entry.value.kind else {
        cx.wrong_type(&entry.value, "a group: a map with `tasks`");
        return None;
    };
    let outer = std::mem::take(&mut cx.templates);
    let mut fields = Fields::of(entry.key_span, map);
    let keys = GroupKeys::read_fields(&mut fields, cx).unwrap_or_else(GroupKeys::none);
    let defaults = TaskDefaults::read_fields(&mut fields, cx).unwrap_or_else(TaskDefaults::none);
    let templates = std::mem::take(&mut cx.templates);
    let tasks = fields.read::<Option<TaskMap>>("tasks", None, cx).flatten().unwrap_or_default();
    let groups = fields.read::<Option<Groups>>("groups", None, cx).flatten().unwrap_or_default();
    fields.finish("a group", cx);
    cx.templates = outer;
    if tasks.0.is_empty() && groups.0.is_empty() {
        cx.report(Code::NoTasks, entry.key_span, format!("group `{}` has no tasks", entry.key));
    }
    Some(Group {
        id: Spanned { value: entry.key.clone(), span: entry.key_span },
        keys,
        defaults,
        tasks,
        groups,
        templates,
    })
}

impl Group {
    /// The templates of the group itself and of groups in it, without those of tasks.
    pub fn all_templates(&self) -> Vec<Template> {
        self.templates.iter().cloned().chain(self.groups.0.iter().flat_map(Self::all_templates)).collect()
    }
}

impl TaskKeys {
    fn none() -> Self {
        Self { needs: OneOrMany(Vec::new()), outputs: None, doc_md: None }
    }
}

impl GroupKeys {
    fn none() -> Self {
        Self { needs: OneOrMany(Vec::new()), tooltip: None, doc_md: None }
    }
}

impl TaskDefaults {
    /// Nothing set.
    pub fn none() -> Self {
        let map = crate::yaml::Map::default();
        let source = crate::source::Source::new("", "");
        let mut cx = Cx::new(&source, &crate::files::NoFiles);
        Self::read_fields(&mut Fields::of(Span::default(), &map), &mut cx)
            .expect("every key of the defaults is optional")
    }

    /// These keys of another file, whose places begin elsewhere.
    pub fn moved(mut self, by: usize) -> Self {
        let shift = |span: &mut Span| *span = Span::new(span.start + by, span.end + by);
        self.trigger_rule.iter_mut().for_each(|it| shift(&mut it.span));
        self.executor.iter_mut().for_each(|it| shift(&mut it.span));
        for flag in [&mut self.depends_on_past, &mut self.wait_for_downstream] {
            flag.iter_mut().for_each(|it| shift(&mut it.span));
        }
        for date in [&mut self.start_date, &mut self.end_date] {
            date.iter_mut().for_each(|it| shift(&mut it.span));
        }
        self
    }

    /// These keys, and those of an outer level where these say nothing. `env` is merged by name,
    /// `kubernetes` is laid over the outer one.
    pub fn over(&self, outer: &Self) -> Self {
        let env = match (&self.env, &outer.env) {
            (Some(own), Some(outer)) => Some(own.over(outer)),
            (own, outer) => own.clone().or_else(|| outer.clone()),
        };
        let kubernetes = match (&self.kubernetes, &outer.kubernetes) {
            (Some(own), Some(outer)) => Some(own.over(outer)),
            (own, outer) => own.clone().or_else(|| outer.clone()),
        };
        Self {
            trigger_rule: self.trigger_rule.clone().or_else(|| outer.trigger_rule.clone()),
            retries: self.retries.or(outer.retries),
            retry_delay: self.retry_delay.or(outer.retry_delay),
            retry_exponential_backoff: self.retry_exponential_backoff.or(outer.retry_exponential_backoff),
            max_retry_delay: self.max_retry_delay.or(outer.max_retry_delay),
            execution_timeout: self.execution_timeout.or(outer.execution_timeout),
            pool: self.pool.clone().or_else(|| outer.pool.clone()),
            pool_slots: self.pool_slots.or(outer.pool_slots),
            priority_weight: self.priority_weight.or(outer.priority_weight),
            weight_rule: self.weight_rule.or(outer.weight_rule),
            depends_on_past: self.depends_on_past.clone().or_else(|| outer.depends_on_past.clone()),
            wait_for_downstream: self.wait_for_downstream.clone().or_else(|| outer.wait_for_downstream.clone()),
            max_active_tis_per_dag: self.max_active_tis_per_dag.or(outer.max_active_tis_per_dag),
            max_active_tis_per_dagrun: self.max_active_tis_per_dagrun.or(outer.max_active_tis_per_dagrun),
            start_date: self.start_date.or(outer.start_date),
            end_date: self.end_date.or(outer.end_date),
            env,
            skip_on_exit_code: self.skip_on_exit_code.clone().or_else(|| outer.skip_on_exit_code.clone()),
            idempotent: self.idempotent.or(outer.idempotent),
            run_as: self.run_as.clone().or_else(|| outer.run_as.clone()),
            executor: self.executor.clone().or_else(|| outer.executor.clone()),
            kubernetes,
            grace: self.grace.or(outer.grace),
        }
    }
}

impl Read for Backoff {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        use crate::yaml::Core;

        let multiplier = match node.scalar().map(|scalar| scalar.core()) {
            Some(Core::Bool(true)) => Some(2.0),
            Some(Core::Bool(false)) => None,
            Some(Core::Integer(0)) => None,
            _ => Some(f64::read(node, cx)?),
        };
        if multiplier.is_some_and(|multiplier| !(1.0..=100.0).contains(&multiplier)) {
            cx.report(Code::OutOfRange, node.span, "the multiplier of the delay is between 1 and 100");
            return None;
        }
        Some(Self(multiplier))
    }

    fn shape(_: &mut Definitions) -> Shape {
        Shape::new("number or boolean", json!({ "type": ["number", "boolean"] }))
    }
}

impl Read for TriggerRule {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let names = Self::ALL.map(|rule| (rule.as_str(), rule));
        named(node, "trigger rule", &names, cx)
    }

    fn shape(_: &mut Definitions) -> Shape {
        let names = Self::ALL.map(|rule| format!("`{}`", rule.as_str()));
        Shape::new(names.join(", "), json!({ "enum": Self::ALL.map(Self::as_str) }))
    }
}

const WEIGHT_RULES: &[(&str, WeightRule)] =
    &[("downstream", WeightRule::Downstream), ("upstream", WeightRule::Upstream), ("absolute", WeightRule::Absolute)];

impl Read for WeightRule {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        named(node, "weight rule", WEIGHT_RULES, cx)
    }

    fn shape(_: &mut Definitions) -> Shape {
        Shape::new("weight rule", json!({ "enum": WEIGHT_RULES.iter().map(|(name, _)| *name).collect::<Vec<_>>() }))
    }
}

impl Read for PoolName {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let text = String::read(node, cx)?;
        match Self::parse(&text) {
            Ok(pool) => Some(pool),
            Err(error) => {
                cx.report(Code::InvalidId, node.span, error.to_string());
                None
            }
        }
    }

    fn shape(definitions: &mut Definitions) -> Shape {
        Shape::new("pool", String::shape(definitions).schema)
    }
}
