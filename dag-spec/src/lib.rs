//! The language of DAG files: text → a tree of nodes with spans → a checked DAG, with every problem
//! of the file as a [`Diagnostic`].
//!
//! ```text
//! bytes ──yaml──▶ Node ──read──▶ DagKeys ──check──▶ CompiledDag ──render──▶ Rendered
//!           └──────────┴─────────────┴── diagnostics, all of them at once
//! ```
//!
//! The crate is pure: files beside the DAG come through [`Files`], time through [`Context`].
//! What may be written is declared once (`spec!`, `operators!`, `codes!`); reading, the JSON Schema
//! and the reference are made from those declarations.

mod assemble;
mod check;
pub mod clusters;
mod code;
mod compile;
mod compiled;
mod dag;
mod diagnostic;
mod files;
mod inherited;
mod kubernetes;
mod limit;
mod operator;
mod read;
mod schema;
mod source;
mod spark;
mod suggest;
mod template;
mod yaml;

#[cfg(test)]
mod tests;

pub use code::{Code, Page, UnknownCode};
pub use compile::{Compilation, compile};
pub use compiled::{CompiledDag, TaskGroup, TaskSettings};
pub use dag::{
    Dedup, EventDecision, Existing, FILE_TRIGGER_FIELDS, FileTrigger, OnPause, Param, ParamError, ParamType, Params,
    TriggerError, TriggerKind, TriggerSpec,
};
pub use diagnostic::{Diagnostic, Excerpt, Severity, render_json, render_text};
pub use files::{FileError, Files, NoFiles};
pub use inherited::{BUNDLE_FILE, SERVER_FILE};
pub use kubernetes::{POD_WORK_DIR, PodLayers, TASK_CONTAINER};
pub use limit::{FILE_BYTES_MAX, YAML_BYTES_MAX};
pub use operator::{Operator, Rendered, SparkLayers, TriggerDagRun};
pub use schema::{bundle_schema, clusters_schema, json_schema, reference_markdown};
pub use source::{Position, Span};
pub use spark::{API_VERSION as SPARK_API_VERSION, DRIVER_CONTAINER, EXECUTOR_CONTAINER, UI_LINK as SPARK_UI_LINK};
pub use template::{Context, RenderError, RunContext, TaskInstanceContext};
