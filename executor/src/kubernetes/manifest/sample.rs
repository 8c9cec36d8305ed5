//! For whom manifests are made in tests.

use std::sync::LazyLock;

use gridflow_core::{AttemptId, DagId, MapIndex, RunId, TaskId, TryNumber};
use uuid::Uuid;

use crate::identity::Identity;

static DAG: LazyLock<DagId> = LazyLock::new(|| "d".parse().expect("it is an id"));
static TASK: LazyLock<TaskId> = LazyLock::new(|| "t".parse().expect("it is an id"));
static RUN: LazyLock<RunId> = LazyLock::new(|| "r".parse().expect("it is an id"));

/// The first try of task `t` in run `r` of DAG `d`, attempt 7.
pub(super) fn identity() -> Identity<'static> {
    Identity {
        attempt: AttemptId(Uuid::from_u128(7)),
        dag_id: &DAG,
        task_id: &TASK,
        run_id: &RUN,
        map_index: MapIndex(-1),
        try_number: TryNumber(1),
        logical_date: None,
        owner: "me",
        traceparent: None,
    }
}
