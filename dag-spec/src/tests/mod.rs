//! Tests of the whole language: YAML in, diagnostics or rendered launches out.

mod clusters;
mod dag;
mod diagnostics;
mod inherited;
mod kubernetes;
mod pages;
mod python;
mod render;
mod robust;
mod schema;
mod spark;

use std::{collections::BTreeMap, sync::Arc};

use gridflow_core::{DataInterval, RunType, Timestamp};
use serde_json::{Value, json};

use crate::{
    Compilation, CompiledDag, Context, NoFiles, Rendered, RunContext, TaskInstanceContext, compile, render_text,
};

/// Diagnostics of a file as people see them.
fn diagnose(yaml: &str) -> String {
    diagnose_with(yaml, &[])
}

fn diagnose_with(yaml: &str, files: &[(&str, &str)]) -> String {
    let Compilation { diagnostics, .. } =
        compile("dags/demo.yaml", yaml.trim_start_matches('\n').as_bytes(), &in_memory(files));
    render_text(&diagnostics)
}

fn in_memory(files: &[(&str, &str)]) -> BTreeMap<String, Arc<[u8]>> {
    files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().into())).collect()
}

fn compiled(yaml: &str) -> Arc<CompiledDag> {
    let Compilation { dag, diagnostics } =
        compile("dags/demo.yaml", yaml.trim_start_matches('\n').as_bytes(), &NoFiles);
    dag.unwrap_or_else(|| panic!("{}", render_text(&diagnostics)))
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A launch to render, with everything that a test may want to say about it.
struct Launch {
    logical_date: Option<Timestamp>,
    conf: Value,
    trigger: Option<Value>,
    outputs: Value,
    variables: Value,
}

impl Default for Launch {
    fn default() -> Self {
        Self {
            logical_date: Some(at("2025-01-31T06:00:00Z")),
            conf: json!({}),
            trigger: None,
            outputs: json!({}),
            variables: json!({}),
        }
    }
}

impl Launch {
    fn render(&self, dag: &CompiledDag, task: &str) -> Result<Rendered, crate::RenderError> {
        self.with(dag, |context| dag.render(dag.dag.task_no(task).unwrap(), context))
    }

    fn pod(&self, dag: &CompiledDag, task: &str) -> Result<crate::PodLayers, crate::RenderError> {
        self.with(dag, |context| dag.render_pod(dag.dag.task_no(task).unwrap(), context))
    }

    fn with<T>(&self, dag: &CompiledDag, render: impl FnOnce(&Context<'_>) -> T) -> T {
        let params = dag.params(&self.conf).unwrap();
        let context = Context {
            run: RunContext {
                run_id: "manual__2025-01-31T06:00:00+00:00",
                run_type: RunType::Manual,
                logical_date: self.logical_date,
                data_interval: self.logical_date.map(|date| DataInterval { start: date, end: date }),
                run_after: at("2025-01-31T06:00:01Z"),
                start_date: None,
                conf: &self.conf,
            },
            ti: TaskInstanceContext {
                try_number: 2,
                map_index: -1,
                attempt_id: "0194b5c1",
                start_date: at("2025-01-31T06:00:02Z"),
            },
            params: &params,
            trigger: self.trigger.as_ref(),
            outputs: &|id| self.outputs.get(id).cloned(),
            variables: &|name| self.variables.get(name).and_then(Value::as_str).map(str::to_owned),
        };
        render(&context)
    }

    /// The command line of a task, or what is wrong with it.
    fn command(&self, dag: &CompiledDag, task: &str) -> String {
        match self.render(dag, task) {
            Ok(Rendered::Command { argv, .. }) => argv.join(" "),
            Ok(other) => format!("{other:?}"),
            Err(error) => format!("error: {error}"),
        }
    }
}

/// What a template renders to in a command.
fn rendered(template: &str) -> String {
    let dag = compiled(&format!("tasks:\n  a:\n    exec: [{}]\n", crate::yaml::quoted(template)));
    Launch::default().command(&dag, "a")
}
