//! What the process around an operator knows about its attempt.

use std::path::PathBuf;

use serde_json::{Map, Value};

use super::error::Error;

/// Who asks, and where the output goes.
#[derive(Debug, Clone, Default)]
pub struct Context {
    /// Where the output JSON goes. Without it the output is dropped.
    pub output: Option<PathBuf>,
    dag_id: Option<String>,
    run_id: Option<String>,
    task_id: Option<String>,
}

impl Context {
    /// Reads a task's environment variables.
    pub fn from_vars(vars: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut context = Self::default();
        for (name, value) in vars {
            match name.as_str() {
                "GRIDFLOW_OUTPUT" => context.output = Some(PathBuf::from(value)),
                "AIRFLOW_CTX_DAG_ID" => context.dag_id = Some(value),
                "AIRFLOW_CTX_DAG_RUN_ID" => context.run_id = Some(value),
                "AIRFLOW_CTX_TASK_ID" => context.task_id = Some(value),
                _ => {}
            }
        }
        context
    }

    /// The names of the DAG, run and task, as far as they are known.
    pub(super) fn names(&self) -> Map<String, Value> {
        [("dag_id", &self.dag_id), ("run_id", &self.run_id), ("task_id", &self.task_id)]
            .into_iter()
            .filter_map(|(key, value)| Some((key.to_owned(), Value::from(value.clone()?))))
            .collect()
    }

    /// Names the run among all runs.
    pub(super) fn run(&self) -> String {
        format!("{}/{}", self.dag_id.as_deref().unwrap_or_default(), self.run_id.as_deref().unwrap_or_default())
    }

    pub(super) fn write_output(&self, output: &Value) -> Result<(), Error> {
        let Some(path) = &self.output else { return Ok(()) };
        std::fs::write(path, output.to_string()).map_err(Error::io("write the output to", path))
    }
}
