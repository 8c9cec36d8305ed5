//! A checked DAG with everything that a launch needs.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use gridflow_core::{Dag, ExecutorKind, TaskKind, TaskNo};
use serde_json::{Map, Value, json};

use crate::{
    dag::{Env, EventDecision, ParamError, Params, TriggerError, TriggerSpec},
    diagnostic::Diagnostic,
    kubernetes::{Level, PodLayers, is_wrapped, pod_layers},
    operator::{Launch, Operator, Rendered, outer_templates},
    template::{Context, RenderError, Renderer, Scope, Template},
};

/// A DAG version: the graph for decisions, and what its tasks do.
#[derive(Debug)]
pub struct CompiledDag {
    pub dag: Arc<Dag>,
    /// By task number, as everything else about tasks.
    pub operators: Vec<Operator>,
    pub settings: Vec<TaskSettings>,
    /// Outer groups before those in them.
    pub groups: Vec<TaskGroup>,
    pub params: Params,
    /// Triggers besides the schedule, which is part of `dag`.
    pub triggers: Vec<TriggerSpec>,
    pub env: Env,
    /// Every file that the DAG refers to, by its path relative to the DAG file.
    pub files: BTreeMap<String, Arc<[u8]>>,
    /// What it has from outside its file, by paths that begin with `/`: part of the version, and of no task's folder.
    pub inherited: BTreeMap<String, Arc<[u8]>>,
    pub source: Arc<str>,
    /// BLAKE3 of the YAML and all files, in hex.
    pub hash: String,
    pub tags: Vec<String>,
    pub owner: Option<String>,
    pub description: Option<String>,
    pub doc_md: Option<String>,
    pub warnings: Vec<Diagnostic>,
    templates: Vec<TaskTemplates>,
    view: Value,
}

/// What executors and pages need to know of a task, beside the graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskSettings {
    /// The whole name of the group that the task is part of.
    pub group: Option<String>,
    /// Whether a command whose end is unknown may simply run again.
    pub idempotent: bool,
    /// The user that runs the command.
    pub run_as: Option<String>,
    /// Between being asked to end and being killed.
    pub grace: Duration,
    pub doc_md: Option<String>,
}

/// A group of tasks, for pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskGroup {
    /// The whole name; tasks of the group begin with it and a dot.
    pub id: String,
    pub tooltip: Option<String>,
    pub doc_md: Option<String>,
}

/// What rendering a task needs besides its operator.
#[derive(Debug)]
pub(crate) struct TaskTemplates {
    /// The templates written in the task.
    pub own: Vec<Template>,
    /// Its whole environment.
    pub env: Env,
    /// `kubernetes:` of every level, outer ones first.
    pub levels: Vec<Arc<Level>>,
}

/// What a [`CompiledDag`] is made from.
pub(crate) struct Parts {
    pub dag: Arc<Dag>,
    pub operators: Vec<Operator>,
    pub templates: Vec<TaskTemplates>,
    pub settings: Vec<TaskSettings>,
    pub groups: Vec<TaskGroup>,
    pub params: Params,
    pub triggers: Vec<TriggerSpec>,
    pub env: Env,
    pub files: BTreeMap<String, Arc<[u8]>>,
    pub source: Arc<str>,
    pub tags: Vec<String>,
    pub owner: Option<String>,
    pub description: Option<String>,
    pub doc_md: Option<String>,
}

impl CompiledDag {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts {
            dag,
            operators,
            templates,
            settings,
            groups,
            params,
            triggers,
            env,
            files,
            source,
            tags,
            owner,
            description,
            doc_md,
        } = parts;
        let view = json!({
            "dag_id": dag.id().as_str(),
            "owner": owner,
            "description": description,
            "tags": tags,
            "timezone": dag.timetable().timezone.name(),
            "doc_md": doc_md,
        });
        let hash = hash(&source, &files);
        let (inherited, files) = files.into_iter().partition(|(path, _)| path.starts_with('/'));
        Self {
            dag,
            operators,
            settings,
            groups,
            params,
            triggers,
            env,
            files,
            inherited,
            source,
            hash,
            tags,
            owner,
            description,
            doc_md,
            warnings: Vec::new(),
            templates,
            view,
        }
    }

    /// What one attempt of a task does.
    ///
    /// # Panics
    /// If the number is not of this DAG: numbers come only from its `dag`.
    pub fn render(&self, task_no: TaskNo, context: &Context<'_>) -> Result<Rendered, RenderError> {
        let at = task_no.0 as usize;
        let TaskTemplates { own, env, levels, .. } = &self.templates[at];
        // A process needs nothing of what outer levels say of pods, so their templates cannot hinder it.
        let is_spark = self.operators[at].kind() == TaskKind::Attempt(ExecutorKind::Spark);
        let of_levels = if is_spark { &levels[..] } else { &[] };
        let templates = own.iter().chain(env.0.values()).chain(outer_templates(of_levels));
        let renderer = self.renderer(task_no, context, templates)?;
        let env = env.0.iter().map(|(name, value)| Ok((name.clone(), renderer.text(value)?)));
        let env = env.collect::<Result<Vec<_>, RenderError>>()?;
        let zone = self.dag.timetable().timezone;
        let name = format!("{}.{}", self.dag.id().as_str(), self.dag.task(task_no).id.as_str());
        self.operators[at].render(&Launch { renderer: &renderer, files: &self.files, env, levels, name, zone })
    }

    /// The pod of one attempt of a task whose executor is Kubernetes.
    ///
    /// # Panics
    /// If the number is not of this DAG: numbers come only from its `dag`.
    pub fn render_pod(&self, task_no: TaskNo, context: &Context<'_>) -> Result<PodLayers, RenderError> {
        let at = task_no.0 as usize;
        let TaskTemplates { own, levels, .. } = &self.templates[at];
        let operator = &self.operators[at];
        let of_levels = levels.iter().flat_map(|level| &level.templates);
        let renderer = self.renderer(task_no, context, own.iter().chain(of_levels))?;
        let levels: Vec<&Level> = levels.iter().map(AsRef::as_ref).chain(operator.pod()).collect();
        let layers = pod_layers(&levels, &renderer)?;
        // A process brings its command along; a pod may leave it to the image, and a patch may give it one.
        let is_wrapped = operator.pod().is_none() || layers.json_patch.is_some() || is_wrapped(&layers.layers);
        Ok(PodLayers { is_wrapped, ..layers })
    }

    /// What renders some templates of a task.
    fn renderer<'t>(
        &self,
        task_no: TaskNo,
        context: &Context<'_>,
        templates: impl Iterator<Item = &'t Template>,
    ) -> Result<Renderer, RenderError> {
        let task = self.dag.task(task_no);
        let task_view = json!({
            "task_id": task.id.as_str(),
            "owner": self.owner,
            "retries": task.retries,
            "pool": task.pool.as_str(),
            "trigger_rule": task.trigger_rule.as_str(),
            "doc_md": self.settings[task_no.0 as usize].doc_md,
        });
        let scope = Scope {
            zone: self.dag.timetable().timezone,
            dag: &self.view,
            task: &task_view,
            dag_id: self.dag.id().as_str(),
            task_id: task.id.as_str(),
        };
        Renderer::new(context, &scope, templates.flat_map(|template| &template.uses))
    }

    /// The params of a run: what it was given over the defaults, all checked.
    pub fn params(&self, conf: &Value) -> Result<Map<String, Value>, Vec<ParamError>> {
        self.params.resolve(conf)
    }

    /// What an event of a trigger does.
    pub fn map_event(&self, trigger_name: &str, payload: &Value) -> Result<EventDecision, TriggerError> {
        let trigger = self.triggers.iter().find(|trigger| trigger.name == trigger_name);
        trigger.ok_or_else(|| TriggerError::Unknown(trigger_name.to_owned()))?.decide(payload)
    }
}

fn hash(source: &str, files: &BTreeMap<String, Arc<[u8]>>) -> String {
    let mut hasher = blake3::Hasher::new();
    // Each part behind its length, so that no two sets of parts read the same.
    let mut part = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    part(source.as_bytes());
    for (path, bytes) in files {
        part(path.as_bytes());
        part(bytes);
    }
    hasher.finalize().to_hex().to_string()
}
