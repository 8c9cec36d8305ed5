//! Who an attempt is: what every executor tells its command in the environment.

use gridflow_core::{AttemptId, DagId, MapIndex, RunId, TaskId, TryNumber};

/// Marks every process of an attempt; what is left of one is found by it.
pub const ATTEMPT_VARIABLE: &str = "GRIDFLOW_ATTEMPT_ID";

#[derive(Debug, Clone, Copy)]
pub struct Identity<'a> {
    pub attempt: AttemptId,
    pub dag_id: &'a DagId,
    pub task_id: &'a TaskId,
    pub run_id: &'a RunId,
    pub map_index: MapIndex,
    pub try_number: TryNumber,
    pub logical_date: Option<&'a str>,
    pub owner: &'a str,
    pub traceparent: Option<&'a str>,
}

impl Identity<'_> {
    /// The variables that every command is promised, apart from those that name its files.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let try_number = self.try_number.to_string();
        let mut env = vec![
            (ATTEMPT_VARIABLE, self.attempt.to_string()),
            ("GRIDFLOW_DAG_ID", self.dag_id.to_string()),
            ("GRIDFLOW_TASK_ID", self.task_id.to_string()),
            ("GRIDFLOW_RUN_ID", self.run_id.to_string()),
            ("GRIDFLOW_TRY_NUMBER", try_number.clone()),
            ("GRIDFLOW_MAP_INDEX", self.map_index.0.to_string()),
            ("AIRFLOW_CTX_DAG_ID", self.dag_id.to_string()),
            ("AIRFLOW_CTX_TASK_ID", self.task_id.to_string()),
            ("AIRFLOW_CTX_DAG_RUN_ID", self.run_id.to_string()),
            ("AIRFLOW_CTX_TRY_NUMBER", try_number),
            ("AIRFLOW_CTX_DAG_OWNER", self.owner.to_owned()),
        ];
        if let Some(date) = self.logical_date {
            env.push(("GRIDFLOW_LOGICAL_DATE", date.to_owned()));
            env.push(("AIRFLOW_CTX_LOGICAL_DATE", date.to_owned()));
        }
        if let Some(parent) = self.traceparent {
            env.push(("TRACEPARENT", parent.to_owned()));
        }
        env
    }
}
