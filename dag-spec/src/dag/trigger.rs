//! `trigger:`: what starts runs besides people and schedules.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::ScheduleSpec;
use crate::{
    code::Code,
    read::{Cx, Definitions, OneOrMany, Read, Shape, Size, Spanned, named, read_map, spec},
    source::Span,
    template::{RenderError, Renderer, Template, Tree},
    yaml::{Map as YamlMap, Node, NodeKind},
};

/// What `trigger:` holds.
#[derive(Debug, Clone, Default)]
pub struct Triggers {
    pub schedule: Option<(ScheduleSpec, Span)>,
    pub others: Vec<TriggerSpec>,
}

/// A trigger that turns outside events into runs.
#[derive(Debug, Clone)]
pub struct TriggerSpec {
    /// Unique in its DAG: with the DAG's id it is the trigger's identity.
    pub name: String,
    pub on_pause: OnPause,
    pub filter: Option<Template>,
    pub map: ParamMap,
    pub kind: TriggerKind,
    pub span: Span,
}

/// The kinds of trigger.
#[derive(Debug, Clone)]
pub enum TriggerKind {
    File(FileTrigger),
}

/// A folder that is watched for files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileTrigger {
    /// The folder, as written: absolute, or relative to the DAG file.
    pub path: String,
    /// Patterns of file names; any of them will do. None: every file.
    pub glob: Vec<String>,
    /// Endings of file names; any of them will do. None: every file.
    pub suffix: Vec<String>,
    pub recursive: bool,
    /// In bytes; [`crate::CompiledDag::map_event`] ignores files that are smaller …
    pub min_size: Option<Size>,
    /// … or larger.
    pub max_size: Option<Size>,
    /// A file is ripe when its size has not changed for so long …
    pub stable_for: Duration,
    /// … or, where this is set, when a file of its name and this ending lies beside it.
    pub marker: Option<String>,
    pub dedup: Dedup,
    pub existing: Existing,
}

/// When two sightings of a file are one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dedup {
    /// Same path, size, modification time and inode.
    Path,
    /// Same content.
    Content,
}

/// What becomes of files that are there before the trigger is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    Ignore,
    Fire,
}

/// What becomes of events while the DAG is paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnPause {
    /// They make queued runs.
    Keep,
    Drop,
}

/// What `{{ trigger.… }}` holds in a run that a file started.
pub const FILE_TRIGGER_FIELDS: &[(&str, &str)] = &[
    ("kind", "always `file`"),
    ("path", "the absolute path of the file"),
    ("uri", "the path as `file://…`"),
    ("name", "the name of the file, with its ending"),
    ("stem", "the name without its last ending"),
    ("suffix", "the last ending with its dot, or an empty text"),
    ("folder", "the absolute path of the folder that holds the file"),
    ("relative", "the path below the watched folder"),
    ("size", "bytes"),
    ("mtime", "when the file was last changed, in ISO 8601"),
    ("sha256", "the hash of the content, with `dedup: content`"),
];

/// Kinds that the language knows and this version does not have.
const PLANNED: &[&str] = &["s3", "kafka", "webhook", "asset"];

const DEDUP: &[(&str, Dedup)] = &[("path", Dedup::Path), ("content", Dedup::Content)];
const EXISTING: &[(&str, Existing)] = &[("ignore", Existing::Ignore), ("fire", Existing::Fire)];
const ON_PAUSE: &[(&str, OnPause)] = &[("keep", OnPause::Keep), ("drop", OnPause::Drop)];

spec! {
    /// Starts a run for each file that lands in a folder.
    pub struct FileTriggerKeys "trigger.file" {
        /// The folder to watch: an absolute path, or one relative to the DAG file.
        pub path: Spanned<String>,
        /// A pattern of file names, or a list of them: `*.csv`, `orders-??.json`.
        pub glob: OneOrMany<Spanned<String>>,
        /// An ending of file names, or a list of them: `.csv`.
        pub suffix: OneOrMany<String>,
        /// Whether folders inside are watched, too.
        pub recursive: bool = "false",
        /// Smaller files start no run: `1` leaves out empty ones.
        pub min_size: Option<Size>,
        /// Larger files start no run.
        pub max_size: Option<Size>,
        /// When a file is complete.
        pub ripen: Option<RipenKeys>,
        /// When two sightings are one event: `path` (same path, size, time and inode) or `content`.
        pub dedup: Dedup = "path",
        /// What becomes of files that are there before the trigger: `ignore` or `fire`.
        pub existing: Existing = "ignore",
        /// What becomes of files while the DAG is paused: `keep` (as queued runs) or `drop`.
        pub on_pause: OnPause = "keep",
        /// The name of the trigger; needed where a DAG has several of one kind.
        pub name: Option<Spanned<String>>,
        /// An expression over `trigger`; a file for which it does not hold starts no run.
        pub filter: Option<Template>,
        /// Params of the run, made from `trigger`.
        pub map: Option<ParamMap>,
    }
}

spec! {
    /// When a file that lands is complete.
    pub struct RipenKeys "trigger.file.ripen" {
        /// Its size has not changed for so long.
        pub stable_for: Duration = "2s",
        /// A file of the same name with this ending lies beside it: `.done`.
        pub marker: Option<String>,
    }
}

/// Values by name, with templates.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ParamMap(pub Vec<(String, Tree, Span)>);

impl Read for ParamMap {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let Some(map) = node.map() else {
            cx.wrong_type(node, "a map of params to values");
            return None;
        };
        let read: Vec<_> = map
            .entries
            .iter()
            .filter_map(|entry| Some((entry.key.clone(), Tree::read(&entry.value, cx)?, entry.key_span)))
            .collect();
        Some(Self(read))
    }

    fn shape(_: &mut Definitions) -> Shape {
        Shape::new("map of name to value, with templates", json!({ "type": "object" }))
    }
}

macro_rules! choice {
    ($type:ty, $what:literal, $names:ident) => {
        impl Read for $type {
            fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
                named(node, $what, $names, cx)
            }

            fn shape(_: &mut Definitions) -> Shape {
                let names: Vec<_> = $names.iter().map(|(name, _)| *name).collect();
                Shape::new(names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or "), json!({ "enum": names }))
            }
        }
    };
}

choice!(Dedup, "kind of `dedup`", DEDUP);
choice!(Existing, "kind of `existing`", EXISTING);
choice!(OnPause, "kind of `on_pause`", ON_PAUSE);

impl Read for Triggers {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let mut triggers = Self::default();
        match &node.kind {
            NodeKind::Map(map) => one(node, map, &mut triggers, cx),
            NodeKind::List(items) => {
                for item in items {
                    match &item.kind {
                        NodeKind::Map(map) => one(item, map, &mut triggers, cx),
                        NodeKind::Scalar(_) | NodeKind::List(_) | NodeKind::Poisoned => {
                            cx.wrong_type(item, "a map of one trigger")
                        }
                    }
                }
            }
            NodeKind::Scalar(_) | NodeKind::Poisoned => cx.wrong_type(node, "a map of one trigger, or a list of them"),
        }
        let mut names: Vec<&str> = Vec::new();
        for trigger in &triggers.others {
            if names.contains(&trigger.name.as_str()) {
                cx.report(
                    Code::DuplicateTask,
                    trigger.span,
                    format!("two triggers have the name `{}`", trigger.name),
                )
                .help = Some("give each of them a `name:` of its own; it is the trigger's identity".into());
            }
            names.push(&trigger.name);
        }
        Some(triggers)
    }

    fn shape(definitions: &mut Definitions) -> Shape {
        let schedule = ScheduleSpec::shape(definitions).schema;
        let file = definitions.refer::<FileTriggerKeys>();
        let one = json!({ "type": "object", "properties": { "schedule": schedule, "file": file }, "additionalProperties": false });
        let many = json!({ "type": "array", "items": one });
        Shape::new(
            "map of one trigger (`schedule`, [`file`](#trigger.file)), or list of such maps",
            json!({ "anyOf": [one, many] }),
        )
    }
}

fn one(node: &Node, map: &YamlMap, triggers: &mut Triggers, cx: &mut Cx<'_>) {
    if map.entries.len() != 1 {
        let message = format!("one trigger is a map with one key, this has {}", map.entries.len());
        cx.report(Code::KeyConflict, cx.head(node), message).help =
            Some("write several triggers as a list: `trigger: [{file: …}, {schedule: …}]`".into());
    }
    for entry in &map.entries {
        match entry.key.as_str() {
            "schedule" => {
                if let Some(schedule) = ScheduleSpec::read(&entry.value, cx) {
                    if triggers.schedule.is_some() {
                        cx.report(Code::KeyConflict, entry.key_span, "a DAG has one schedule").help =
                            Some("several cron expressions are written as `{cron: […]}`".into());
                    }
                    triggers.schedule = Some((schedule, entry.key_span));
                }
            }
            "file" => triggers.others.extend(file(&entry.value, entry.key_span, cx)),
            kind if PLANNED.contains(&kind) => {
                cx.report(
                    Code::NotAvailable,
                    entry.key_span,
                    format!("`{kind}` triggers are not available in this version"),
                )
                .help = Some("available are `file` and `schedule`".into());
            }
            _ => crate::read::unknown_key(entry, "`trigger`", &["schedule", "file"], cx),
        }
    }
}

fn file(node: &Node, span: Span, cx: &mut Cx<'_>) -> Option<TriggerSpec> {
    let keys: FileTriggerKeys = read_map(node, "`trigger.file`", cx)?;
    for glob in &keys.glob.0 {
        if let Err(reason) = check_glob(&glob.value) {
            cx.report(Code::BadPattern, glob.span, format!("`{}` is no pattern of file names: {reason}", glob.value));
        }
    }
    let ripen = keys.ripen.unwrap_or(RipenKeys { stable_for: Duration::from_secs(2), marker: None });
    Some(TriggerSpec {
        name: keys.name.map_or_else(|| "file".to_owned(), |name| name.value),
        on_pause: keys.on_pause,
        filter: keys.filter,
        map: keys.map.unwrap_or_default(),
        kind: TriggerKind::File(FileTrigger {
            path: keys.path.value,
            glob: keys.glob.0.into_iter().map(|glob| glob.value).collect(),
            suffix: keys.suffix.0,
            recursive: keys.recursive,
            min_size: keys.min_size,
            max_size: keys.max_size,
            stable_for: ripen.stable_for,
            marker: ripen.marker,
            dedup: keys.dedup,
            existing: keys.existing,
        }),
        span,
    })
}

fn check_glob(glob: &str) -> Result<(), &'static str> {
    if glob.contains('/') {
        return Err(
            "it is matched against the name of a file, which has no `/`; use `recursive: true` for folders inside",
        );
    }
    if glob.matches('[').count() != glob.matches(']').count() {
        return Err("a `[` is not closed");
    }
    Ok(())
}

/// What an event does.
#[derive(Debug, Clone, PartialEq)]
pub enum EventDecision {
    Ignore { reason: String },
    Fire { conf: Map<String, Value> },
}

/// Why an event could not be judged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TriggerError {
    #[error("the DAG has no trigger `{0}`")]
    Unknown(String),
    #[error("`filter` of trigger `{name}`")]
    Filter { name: String, source: RenderError },
    #[error("`map` of trigger `{name}`")]
    Map { name: String, source: RenderError },
}

impl Triggers {
    /// The templates of every `filter:` and `map:`.
    pub fn templates(&self) -> Vec<Template> {
        let of = |trigger: &TriggerSpec| {
            let mut templates: Vec<_> = trigger.filter.iter().cloned().collect();
            trigger.map.0.iter().for_each(|(_, value, _)| value.templates(&mut templates));
            templates
        };
        self.others.iter().flat_map(of).collect()
    }
}

impl TriggerSpec {
    /// What an event does, by `filter:` and `map:`.
    pub fn decide(&self, payload: &Value) -> Result<EventDecision, TriggerError> {
        let TriggerKind::File(file) = &self.kind;
        let size = payload.get("size").and_then(Value::as_u64);
        if let (Some(size), Some(min)) = (size, file.min_size)
            && size < min.0
        {
            return Ok(EventDecision::Ignore { reason: format!("{size} bytes are less than `min_size`") });
        }
        if let (Some(size), Some(max)) = (size, file.max_size)
            && max.0 < size
        {
            return Ok(EventDecision::Ignore { reason: format!("{size} bytes are more than `max_size`") });
        }
        let renderer = Renderer::over([("trigger", payload.clone())]);
        if let Some(filter) = &self.filter {
            let holds =
                renderer.is_true(filter).map_err(|source| TriggerError::Filter { name: self.name.clone(), source })?;
            if !holds {
                return Ok(EventDecision::Ignore { reason: format!("filter `{}` does not hold", filter.text.trim()) });
            }
        }
        let entries = self.map.0.iter().map(|(name, value, _)| Ok((name.clone(), value.render(&renderer)?)));
        let conf = entries
            .collect::<Result<Map<_, _>, _>>()
            .map_err(|source| TriggerError::Map { name: self.name.clone(), source })?;
        Ok(EventDecision::Fire { conf })
    }
}
