//! What the core asks of a local run.

use std::sync::Arc;

use gridflow_core::{
    Answer, AttemptId, ChildRequest, DagVersionId, LaunchOrder, Need, Plan, RunKey, TaskInstanceKey, Timestamp,
    TryNumber, step,
};

use super::{Change, engine::Engine};
use crate::prepare::{self, Ground, Launch, Try};

impl<F: FnMut(&Change)> Engine<F> {
    /// Finds out what a plan needs to know. A DAG that is found on the way is told to the core at once.
    pub(super) fn answer(&mut self, need: Need, now: Timestamp, plan: &mut Plan) -> Answer {
        match need {
            Need::Version { version } => Answer::Version { version, definition: self.dags.definition(version) },
            Need::Prepare(order) => self.prepare(&order),
            Need::Child { parent, version, try_number, .. } => {
                let request = self.child(parent, version, try_number, now, plan);
                Answer::Child { parent, request }
            }
            Need::Taken { dag, logical_dates, run_ids } => {
                let (logical_dates, run_ids) = self.rows.taken(&dag, &logical_dates, &run_ids);
                Answer::Taken { dag, logical_dates, run_ids }
            }
        }
    }

    fn prepare(&mut self, order: &LaunchOrder) -> Answer {
        let (run, attempt) = (order.key.run, order.attempt);
        let launch = self.ground(run, order.version, |ground| prepare::launch(ground, order.into(), self.turn));
        match launch {
            Ok(Launch::Process(launch)) => {
                let spec_hash = launch.spec_hash;
                self.prepared.insert(attempt, *launch);
                Answer::Prepared { run, attempt, spec_hash }
            }
            Ok(Launch::Pod(_)) => unreachable!("a local run has no cluster"),
            Err(message) => Answer::PrepareFailed { run, attempt, message },
        }
    }

    /// What a `trigger_dag` task asks for, checked against its target in the same folder.
    fn child(
        &mut self,
        parent: TaskInstanceKey,
        version: DagVersionId,
        number: TryNumber,
        now: Timestamp,
        plan: &mut Plan,
    ) -> Result<ChildRequest, String> {
        // No attempt exists; the run's own key stands in.
        let attempt = AttemptId(parent.run.0);
        let which = Try { task_no: parent.task_no, map_index: parent.map_index, number, attempt };
        let wanted = self.ground(parent.run, version, |ground| prepare::trigger_dag(ground, which))?;
        let (version, news) = self.dags.find(&wanted.dag_id)?;
        for event in news {
            step(&mut self.world, event, now, plan);
        }
        let target = self.dags.compiled(version).ok_or("the version is not of this run")?;
        prepare::params(target, &wanted.conf)?;
        Ok(ChildRequest {
            dag: wanted.dag_id,
            version,
            run_id: wanted.run_id,
            logical_date: wanted.logical_date,
            conf: Arc::new(wanted.conf),
        })
    }

    fn ground<T>(
        &self,
        run: RunKey,
        version: DagVersionId,
        render: impl FnOnce(&Ground<'_>) -> Result<T, String>,
    ) -> Result<T, String> {
        let compiled = self.dags.compiled(version).ok_or("the version is not of this run")?;
        let facts = self.runs.facts(run).ok_or("the run is not known")?;
        render(&Ground { compiled, facts: &facts, runs: &self.runs, program: &self.program, clusters: &[] })
    }
}
