//! The log leads to the present state, by allowed steps only.

use std::collections::BTreeMap;

use gridflow_core::{AttemptId, AttemptState, MapIndex, RunKey, RunState, TaskNo, TaskState, Transition};
use sqlx::PgConnection;

use super::{Extent, known::Finding};
use crate::{Error, transition_log};

/// States of one run, its task instances and its attempts.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct States {
    run: Option<RunState>,
    tis: BTreeMap<(TaskNo, MapIndex), TaskState>,
    attempts: BTreeMap<AttemptId, AttemptState>,
}

/// Replays the newest runs.
pub(super) async fn newest(conn: &mut PgConnection, extent: Extent) -> Result<Vec<Finding>, Error> {
    let runs =
        sqlx::query!("SELECT id, dag_id, run_id, state FROM dag_run ORDER BY id DESC LIMIT $1", i64::from(extent.runs))
            .fetch_all(&mut *conn)
            .await?;
    let (mut illegal, mut different) = (Vec::new(), Vec::new());
    for run in runs {
        let key = RunKey(run.id);
        let name = format!("{} {}", run.dag_id, run.run_id);
        let log = transition_log::of_run(conn, key).await?;
        let (replayed, wrong) = replay(log.iter().flat_map(|entry| &entry.changes));
        illegal.extend(wrong.into_iter().map(|wrong| format!("{name}: {wrong}")));
        let mut present = present(conn, key).await?;
        present.run = RunState::parse(&run.state);
        different.extend(difference(&replayed, &present).map(|text| format!("{name}: {text}")));
    }
    let named =
        |name, subjects: Vec<String>| (!subjects.is_empty()).then(|| Finding::new(name, shortened(subjects, extent)));
    Ok([named("log-illegal", illegal), named("log-differs", different)].into_iter().flatten().collect())
}

fn shortened(mut subjects: Vec<String>, extent: Extent) -> Vec<String> {
    let more = subjects.len().saturating_sub(extent.subjects as usize);
    if 0 < more {
        subjects.truncate(extent.subjects as usize);
        subjects.push(format!("and {more} more"));
    }
    subjects
}

/// A state that this program can't read is left out, and so differs.
async fn present(conn: &mut PgConnection, run: RunKey) -> Result<States, Error> {
    let tis = sqlx::query!("SELECT task_no, map_index, state FROM task_instance WHERE dag_run_id = $1", run.0)
        .fetch_all(&mut *conn)
        .await?;
    let attempts =
        sqlx::query!("SELECT attempt_id, state FROM attempt WHERE dag_run_id = $1", run.0).fetch_all(conn).await?;
    let task_no = |no: i32| TaskNo(u32::try_from(no).unwrap_or(u32::MAX));
    Ok(States {
        run: None,
        tis: tis
            .into_iter()
            .filter_map(|ti| Some(((task_no(ti.task_no), MapIndex(ti.map_index)), TaskState::parse(&ti.state)?)))
            .collect(),
        attempts: attempts
            .into_iter()
            .filter_map(|attempt| Some((AttemptId(attempt.attempt_id), AttemptState::parse(&attempt.state)?)))
            .collect(),
    })
}

/// The states at the end of a log, and each step of it that is not allowed. A run that was asked for over the API
/// is queued before its log begins.
fn replay<'a>(changes: impl Iterator<Item = &'a Transition>) -> (States, Vec<String>) {
    let mut states = States::default();
    let mut wrong = Vec::new();
    for change in changes {
        let is_allowed = match change {
            Transition::Run { from, to, .. } => {
                let before = states.run.replace(*to);
                let follows = before == *from || (before.is_none() && *from == Some(RunState::Queued));
                follows && from.is_none_or(|from| from.may_become(*to))
            }
            Transition::TaskInstance { key, from, to, .. } => {
                let before = states.tis.insert((key.task_no, key.map_index), *to);
                before == *from && from.is_none_or(|from| from.may_become(*to))
            }
            Transition::Attempt { attempt, from, to, .. } => {
                let before = states.attempts.insert(*attempt, *to);
                before == *from && from.is_none_or(|from| from.may_become(*to))
            }
        };
        if !is_allowed {
            wrong.push(format!("{change:?}"));
        }
    }
    // Queued over the API and never taken: no log at all.
    states.run = states.run.or(Some(RunState::Queued));
    (states, wrong)
}

/// The first thing that differs.
fn difference(replayed: &States, present: &States) -> Option<String> {
    if replayed.run != present.run {
        return Some(format!("the log says {:?}, the run is {:?}", replayed.run, present.run));
    }
    let ti = present.tis.keys().chain(replayed.tis.keys()).find(|key| replayed.tis.get(*key) != present.tis.get(*key));
    if let Some(key) = ti {
        let (log, row) = (replayed.tis.get(key), present.tis.get(key));
        return Some(format!("task {}: the log says {log:?}, the row {row:?}", key.0));
    }
    let differs = |id: &&AttemptId| replayed.attempts.get(*id) != present.attempts.get(*id);
    let id = present.attempts.keys().chain(replayed.attempts.keys()).find(differs)?;
    let (log, row) = (replayed.attempts.get(id), present.attempts.get(id));
    Some(format!("attempt {id}: the log says {log:?}, the row {row:?}"))
}

#[cfg(test)]
mod tests {
    use gridflow_core::{TaskInstanceKey, TryNumber};
    use uuid::Uuid;

    use super::*;

    const RUN: RunKey = RunKey(Uuid::from_u128(1));

    fn ti(from: Option<TaskState>, to: TaskState) -> Transition {
        let key = TaskInstanceKey { run: RUN, task_no: TaskNo(0), map_index: MapIndex::UNMAPPED };
        Transition::TaskInstance { key, from, to, try_number: TryNumber(1) }
    }

    #[test]
    fn a_log_of_allowed_steps_leads_to_its_end() {
        let log = [
            Transition::Run { run: RUN, from: Some(RunState::Queued), to: RunState::Running },
            ti(None, TaskState::NoStatus),
            ti(Some(TaskState::NoStatus), TaskState::Skipped),
            Transition::Run { run: RUN, from: Some(RunState::Running), to: RunState::Success },
        ];
        let (states, wrong) = replay(log.iter());
        assert_eq!(wrong, [""; 0]);
        assert_eq!(states.run, Some(RunState::Success));
        assert_eq!(difference(&states, &states.clone()), None);
    }

    #[test]
    fn a_step_that_is_not_allowed_or_does_not_follow_is_named() {
        let illegal = [ti(None, TaskState::NoStatus), ti(Some(TaskState::NoStatus), TaskState::Running)];
        assert_eq!(replay(illegal.iter()).1.len(), 1);
        let gap = [ti(None, TaskState::NoStatus), ti(Some(TaskState::Scheduled), TaskState::Queued)];
        assert_eq!(replay(gap.iter()).1.len(), 1);
    }

    #[test]
    fn a_row_that_the_log_does_not_know_is_a_difference() {
        let (states, _) = replay([].iter());
        let mut present = states.clone();
        present.attempts.insert(AttemptId(Uuid::from_u128(2)), AttemptState::Running);
        let text = difference(&states, &present).expect("it differs");
        assert!(text.contains("the log says None, the row Some(Running)"), "{text}");
    }
}
