//! From a task of a DAG version and the facts of its run to what an executor launches.
//!
//! Pure: the same version, facts and outputs render to the same spec, also after a takeover. The one
//! instant that templates see is the attempt's own creation, which its id carries.

mod hash;
mod outside;
mod pod;
mod process;
mod spark;

use std::{path::Path, sync::Arc};

use gridflow_core::{
    AttemptId, ExecutorKind, LaunchOrder, MapIndex, Task, TaskKind, TaskNo, Timestamp, TryNumber, Turn,
};
use gridflow_dag_spec::{CompiledDag, Context, RenderError, Rendered, RunContext, TaskInstanceContext, TriggerDagRun};
use gridflow_executor::{kubernetes, local};
use serde_json::{Map, Value, json};

use crate::{
    Cluster,
    memory::{RunFacts, RunMemory},
};

/// The file in the working directory that holds the spec of an operator of Gridflow's own.
const OPERATOR_SPEC_FILE: &str = ".gridflow-operator.json";

/// Files by their path in the working directory.
type Files = Vec<(String, Arc<[u8]>)>;

/// What rendering stands on.
pub(crate) struct Ground<'a> {
    pub compiled: &'a CompiledDag,
    pub facts: &'a RunFacts,
    pub runs: &'a RunMemory,
    /// The program that carries out operators.
    pub program: &'a Path,
    /// Where pods may run, the default one first.
    pub clusters: &'a [Cluster],
}

/// Which try of which task.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Try {
    pub task_no: TaskNo,
    pub map_index: MapIndex,
    pub number: TryNumber,
    pub attempt: AttemptId,
}

impl From<&LaunchOrder> for Try {
    fn from(order: &LaunchOrder) -> Self {
        let LaunchOrder { key, attempt, try_number, .. } = order;
        Self { task_no: key.task_no, map_index: key.map_index, number: *try_number, attempt: *attempt }
    }
}

/// What an executor launches.
#[derive(Debug, Clone)]
pub(crate) enum Launch {
    Process(Box<local::Launch>),
    Pod(Box<kubernetes::Launch>),
}

impl Launch {
    /// Stands for everything that decides what the attempt does, apart from the try it is.
    pub fn spec_hash(&self) -> [u8; 32] {
        match self {
            Self::Process(launch) => launch.spec_hash,
            Self::Pod(launch) => launch.spec_hash,
        }
    }
}

/// What one attempt launches; the error is for people and counts as the task's own failure.
pub(crate) fn launch(ground: &Ground<'_>, which: Try, turn: Turn) -> Result<Launch, String> {
    let task = ground.compiled.dag.task(which.task_no);
    match task.kind {
        TaskKind::Attempt(ExecutorKind::Local) => Ok(Launch::Process(Box::new(process::launch(ground, which, turn)?))),
        TaskKind::Attempt(ExecutorKind::Kubernetes) => Ok(Launch::Pod(Box::new(pod::launch(ground, which, turn)?))),
        TaskKind::Attempt(ExecutorKind::Spark) => Ok(Launch::Pod(Box::new(spark::launch(ground, which, turn)?))),
        TaskKind::Empty | TaskKind::TriggerDag { .. } => Err(nothing_to_launch(task)),
    }
}

fn nothing_to_launch(task: &Task) -> String {
    format!("the task `{}` has nothing to launch", task.id)
}

/// The run that a `trigger_dag` task asks for.
pub(crate) fn trigger_dag(ground: &Ground<'_>, which: Try) -> Result<TriggerDagRun, String> {
    match render(ground, which)? {
        Rendered::TriggerDag(run) => Ok(run),
        Rendered::Command { .. }
        | Rendered::Operator { .. }
        | Rendered::Pod { .. }
        | Rendered::Spark(_)
        | Rendered::Empty => Err("the task is no `trigger_dag`".to_owned()),
    }
}

fn render(ground: &Ground<'_>, which: Try) -> Result<Rendered, String> {
    with_context(ground, which, |context| ground.compiled.render(which.task_no, context))
}

/// What templates see of an attempt.
fn with_context<T>(
    ground: &Ground<'_>,
    which: Try,
    render: impl FnOnce(&Context<'_>) -> Result<T, RenderError>,
) -> Result<T, String> {
    let Ground { compiled, facts, runs, .. } = ground;
    let params = params(compiled, &facts.conf)?;
    let run = &facts.run;
    let outputs = |id: &str| {
        let task_no = compiled.dag.task_no(id)?;
        runs.output(run.key, task_no).map(|value| Value::clone(value))
    };
    let attempt_id = which.attempt.to_string();
    let context = Context {
        run: RunContext {
            run_id: run.run_id.as_str(),
            run_type: run.run_type,
            logical_date: run.logical_date,
            data_interval: run.data_interval,
            run_after: run.run_after,
            start_date: facts.started_at,
            conf: &facts.conf,
        },
        ti: TaskInstanceContext {
            try_number: which.number.0,
            map_index: which.map_index.0,
            attempt_id: &attempt_id,
            start_date: created_at(which.attempt),
        },
        params: &params,
        trigger: facts.trigger.as_deref(),
        outputs: &outputs,
        variables: &|_| None,
    };
    render(&context).map_err(|error| crate::chain(&error))
}

pub(crate) fn params(compiled: &CompiledDag, conf: &Value) -> Result<Map<String, Value>, String> {
    compiled.params(conf).map_err(|errors| {
        let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
        format!("the run's params are not valid: {}", errors.join("; "))
    })
}

/// The W3C trace context of an attempt: the run's trace, or one named after the run, with a span named after the
/// attempt, so that whatever the command reports is found from either.
fn traceparent(facts: &RunFacts, attempt: AttemptId) -> String {
    let mut given = facts.traceparent.as_deref().unwrap_or_default().split('-');
    let trace = given.nth(1).filter(|trace| trace.len() == 32);
    let trace = trace.map_or_else(|| facts.run.key.0.simple().to_string(), ToOwned::to_owned);
    let (_, span) = attempt.0.as_u64_pair();
    format!("00-{trace}-{span:016x}-01")
}

/// What a command finds in `$GRIDFLOW_CONTEXT`.
fn context_file(ground: &Ground<'_>, task: &Task, which: Try) -> Value {
    let facts = ground.facts;
    let run = &facts.run;
    json!({
        "dag_id": run.dag.as_str(),
        "run_id": run.run_id.as_str(),
        "run_type": run.run_type.as_str(),
        "task_id": task.id.as_str(),
        "map_index": which.map_index.0,
        "try_number": which.number.0,
        "attempt_id": which.attempt.to_string(),
        "logical_date": run.logical_date.map(|date| date.to_rfc3339()),
        "data_interval_start": run.data_interval.map(|interval| interval.start.to_rfc3339()),
        "data_interval_end": run.data_interval.map(|interval| interval.end.to_rfc3339()),
        "run_after": run.run_after.to_rfc3339(),
        "params": params(ground.compiled, &facts.conf).unwrap_or_default(),
        "trigger": facts.trigger.as_deref(),
    })
}

/// When the attempt was decided on: its id is a UUIDv7.
fn created_at(attempt: AttemptId) -> Timestamp {
    let (seconds, nanos) = attempt.0.get_timestamp().map_or((0, 0), |stamp| stamp.to_unix());
    Timestamp::from_timestamp(seconds.cast_signed(), nanos).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use gridflow_core::{DagVersionId, QueuedRun, RunKey, RunType};
    use uuid::Uuid;

    use super::*;

    fn facts(traceparent: Option<&str>) -> RunFacts {
        RunFacts {
            run: QueuedRun {
                key: RunKey(Uuid::from_u128(0x11)),
                dag: "d".parse().unwrap(),
                version: DagVersionId(Uuid::nil()),
                run_id: "r".parse().unwrap(),
                run_type: RunType::Manual,
                logical_date: None,
                data_interval: None,
                run_after: Timestamp::default(),
            },
            conf: Arc::new(Value::Null),
            trigger: None,
            started_at: None,
            traceparent: traceparent.map(ToOwned::to_owned),
        }
    }

    #[test]
    fn an_attempt_is_a_span_of_its_runs_trace() {
        let attempt = AttemptId(Uuid::from_u128(0x22));
        let own = "00-00000000000000000000000000000011-0000000000000022-01";
        assert_eq!(traceparent(&facts(None), attempt), own);
        assert_eq!(traceparent(&facts(Some("nonsense")), attempt), own);
        let given = facts(Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
        assert_eq!(traceparent(&given, attempt), "00-0af7651916cd43dd8448eb211c80319c-0000000000000022-01");
    }
}
