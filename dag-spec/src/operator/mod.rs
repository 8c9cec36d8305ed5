//! Operators: what a task does.
//!
//! An operator is one file here and one line in [`operators!`]. The file holds the spec type, whose
//! declaration is also its schema and its reference, and the [`OperatorSpec`] that says what a launch
//! makes of it. What is missing does not compile.

mod bash;
mod copy_file;
mod empty;
mod exec;
mod move_file;
mod pod;
mod python;
mod spark;
mod spark_submit;
mod transfer;
mod trigger_dag;
mod validate_file;

pub use pod::check_image;
pub use spark::{SparkLayers, outer_templates};

use std::{collections::BTreeMap, sync::Arc};

use chrono_tz::Tz;
use gridflow_core::{DagId, ExecutorKind, RunId, TaskKind, Timestamp};
use serde_json::{Value, json};

use crate::{
    code::Code,
    dag::{TaskDefaults, TaskKeys},
    kubernetes::Level,
    read::{Cx, Definitions, Fields, Read, Shape, Spanned, Spec, object_schema},
    suggest,
    template::{RenderError, Renderer},
    yaml::Node,
};

/// What every operator says about itself.
pub trait OperatorSpec: Read {
    /// One line for lists.
    fn summary() -> &'static str;

    /// How the task is done.
    fn kind(&self) -> TaskKind;

    /// What is known of the output when the file is loaded.
    fn outputs() -> Outputs;

    /// Settings of its pod, for an operator that is one.
    fn pod(&self) -> Option<&Level> {
        None
    }

    /// What one attempt does.
    fn render(&self, launch: &Launch<'_>) -> Result<Rendered, RenderError>;
}

/// What is known of an output when the file is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outputs {
    /// The task has no output.
    Never,
    /// The task decides; an `outputs:` list may declare it.
    Unknown,
    /// Exactly these fields, each with its meaning.
    Declared(&'static [(&'static str, &'static str)]),
}

/// What rendering may use.
pub struct Launch<'a> {
    pub renderer: &'a Renderer,
    /// The files of the DAG version.
    pub files: &'a BTreeMap<String, Arc<[u8]>>,
    /// The rendered environment of the task.
    pub env: Vec<(String, String)>,
    /// `kubernetes:` of every level, outer ones first.
    pub levels: &'a [Arc<Level>],
    /// `DAG.TASK`, for systems that show what runs in them.
    pub name: String,
    /// The time zone of the DAG, for dates without one.
    pub zone: Tz,
}

/// What a launch does, with every template rendered.
#[derive(Debug, Clone, PartialEq)]
pub enum Rendered {
    /// A command of the machine, in a scratch folder that holds the files.
    Command { argv: Vec<String>, env: Vec<(String, String)>, files: Vec<(String, Arc<[u8]>)> },
    /// An operator of Gridflow's own: `gridflow operator NAME` with the spec.
    Operator { name: &'static str, spec: Value, env: Vec<(String, String)> },
    /// A pod of any image; what it is made of is [`crate::CompiledDag::render_pod`]'s to say.
    Pod { env: Vec<(String, String)>, files: Vec<(String, Arc<[u8]>)> },
    /// A Spark application.
    Spark(SparkLayers),
    /// A run of another DAG.
    TriggerDag(TriggerDagRun),
    /// Nothing.
    Empty,
}

/// The run that a `trigger_dag` task asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct TriggerDagRun {
    pub dag_id: DagId,
    pub conf: Value,
    pub run_id: Option<RunId>,
    pub logical_date: Option<Timestamp>,
    pub wait_for_completion: bool,
}

/// An operator, for the reference and the schema.
pub struct Description {
    pub key: &'static str,
    pub summary: &'static str,
    pub shape: Shape,
    pub outputs: Outputs,
}

macro_rules! operators {
    ($($variant:ident $key:literal $type:ty;)*) => {
        /// The operator of a task.
        #[derive(Debug, Clone)]
        pub enum Operator { $($variant(Box<$type>),)* }

        impl Operator {
            /// The keys of all operators.
            pub const NAMES: &[&'static str] = &[$($key,)*];

            pub fn name(&self) -> &'static str {
                match self { $(Self::$variant(_) => $key,)* }
            }

            pub fn kind(&self) -> TaskKind {
                match self { $(Self::$variant(spec) => spec.kind(),)* }
            }

            pub fn outputs(&self) -> Outputs {
                match self { $(Self::$variant(_) => <$type as OperatorSpec>::outputs(),)* }
            }

            /// Settings of its pod, for an operator that is one.
            pub fn pod(&self) -> Option<&Level> {
                match self { $(Self::$variant(spec) => spec.pod(),)* }
            }

            pub fn render(&self, launch: &Launch<'_>) -> Result<Rendered, RenderError> {
                match self { $(Self::$variant(spec) => spec.render(launch),)* }
            }

            fn read(name: &str, node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
                match name {
                    $($key => <$type as Read>::read(node, cx).map(|spec| Self::$variant(Box::new(spec))),)*
                    _ => None,
                }
            }

            /// What the reference and the schema say of each operator.
            pub fn descriptions(definitions: &mut Definitions) -> Vec<Description> {
                vec![$(Description {
                    key: $key,
                    summary: <$type as OperatorSpec>::summary(),
                    shape: <$type as Read>::shape(definitions),
                    outputs: <$type as OperatorSpec>::outputs(),
                },)*]
            }
        }
    };
}

operators! {
    Bash "bash" bash::Bash;
    Exec "exec" exec::Exec;
    Python "python" python::Python;
    Empty "empty" empty::Empty;
    TriggerDag "trigger_dag" trigger_dag::TriggerDag;
    ValidateFile "validate_file" validate_file::ValidateFile;
    CopyFile "copy_file" copy_file::CopyFile;
    MoveFile "move_file" move_file::MoveFile;
    Pod "pod" pod::Pod;
    Spark "spark" spark::Spark;
    SparkSubmit "spark_submit" spark_submit::SparkSubmit;
}

/// Operators of Airflow's and of later versions, with what to say to those who look for them.
const ELSEWHERE: &[(&str, &str)] = &[
    ("s3_copy", "copies in object storage"),
    ("s3_move", "moves in object storage"),
    ("sql", "SQL queries"),
    ("http", "HTTP requests"),
    ("quality_check", "quality checks"),
    ("for_each", "mapped tasks"),
];

impl Operator {
    /// Whether it is a program of Gridflow's own, which no other image has.
    pub fn runs_in_own_image(&self) -> bool {
        match self {
            Self::ValidateFile(_) | Self::CopyFile(_) | Self::MoveFile(_) => true,
            Self::Bash(_) | Self::Exec(_) | Self::Python(_) | Self::Empty(_) | Self::TriggerDag(_) => false,
            Self::Pod(_) | Self::Spark(_) | Self::SparkSubmit(_) => false,
        }
    }

    /// Names of pages of other systems that show its attempts while they run, as far as their addresses are known.
    pub fn extra_links(&self) -> &'static [&'static str] {
        match self {
            Self::Spark(_) => &[crate::spark::UI_LINK],
            Self::Bash(_) | Self::Exec(_) | Self::Python(_) | Self::Empty(_) | Self::TriggerDag(_) => &[],
            Self::ValidateFile(_) | Self::CopyFile(_) | Self::MoveFile(_) => &[],
            Self::Pod(_) | Self::SparkSubmit(_) => &[],
        }
    }

    /// A bare text is a shell command.
    pub fn shell(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        Self::read("bash", node, cx)
    }

    /// Finds the one operator among the keys of a task.
    pub fn read_from(task: &Spanned<String>, fields: &mut Fields<'_>, cx: &mut Cx<'_>) -> Option<Self> {
        let found: Vec<_> = Self::NAMES.iter().filter_map(|name| fields.entry(name)).collect();
        let mut read = None;
        for entry in &found {
            let one = Self::read(&entry.key, &entry.value, cx);
            read = read.or(one);
        }
        if let [first, second, ..] = found.as_slice() {
            let names = suggest::list(found.iter().map(|entry| entry.key.as_str()));
            cx.report(
                Code::SeveralOperators,
                second.key_span,
                format!("task `{}` has several operators: {names}", task.value),
            )
            .help = Some(format!("keep `{}`, and make a task of its own of the other", first.key));
        }
        if found.is_empty() {
            Self::missing(task, fields, cx);
        }
        read
    }

    fn missing(task: &Spanned<String>, fields: &mut Fields<'_>, cx: &mut Cx<'_>) {
        for (name, what) in ELSEWHERE {
            if let Some(entry) = fields.entry(name) {
                cx.report(
                    Code::NotAvailable,
                    entry.key_span,
                    format!("the operator `{name}` ({what}) is not available in this version"),
                )
                .help = Some(format!("available are {}", suggest::list(Self::NAMES.iter().copied())));
                return;
            }
        }
        // A misspelt operator is reported as an unknown key, once.
        if fields.unknown_keys().any(|key| suggest::nearest(key, Self::NAMES.iter().copied()).is_some()) {
            return;
        }
        cx.report(Code::NoOperator, task.span, format!("task `{}` has no operator", task.value)).help =
            Some(format!("add one of {}", suggest::list(Self::NAMES.iter().copied())));
    }

    /// The JSON Schema of a task: a command, or its keys and exactly one operator.
    pub fn task_schema(definitions: &mut Definitions) -> Value {
        if !definitions.schemas.contains_key("task") {
            definitions.refer::<TaskKeys>();
            let mut fields = TaskKeys::fields(definitions);
            fields.extend(TaskDefaults::fields(definitions));
            let mut schema = object_schema(TaskKeys::doc(), &fields);
            let mut one_of = Vec::new();
            for Description { key, summary, shape, .. } in Self::descriptions(definitions) {
                let mut operator = shape.schema;
                if let Value::Object(map) = &mut operator {
                    map.insert("description".into(), summary.into());
                }
                schema["properties"][key] = operator;
                one_of.push(json!({ "required": [key] }));
            }
            schema["oneOf"] = one_of.into();
            definitions.schemas.insert("task".into(), schema);
            definitions.refer::<TaskDefaults>();
        }
        json!({ "anyOf": [{ "type": "string", "description": "a shell command" }, { "$ref": "#/$defs/task" }] })
    }
}

/// The files of a DAG as they are laid into the scratch folder of an attempt.
pub fn staged(launch: &Launch<'_>) -> Vec<(String, Arc<[u8]>)> {
    launch.files.iter().map(|(path, bytes)| (staged_path(path), bytes.clone())).collect()
}

/// Where a file of the DAG lies in the scratch folder: `../x` becomes `__/x`, which stays inside.
pub fn staged_path(path: &str) -> String {
    let mut rest = path;
    let mut staged = String::new();
    while let Some(after) = rest.strip_prefix("../") {
        staged.push_str("__/");
        rest = after;
    }
    staged.push_str(rest);
    staged
}

/// A task whose command runs on this machine.
pub const LOCAL: TaskKind = TaskKind::Attempt(ExecutorKind::Local);
