//! What was checked → a [`CompiledDag`].

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use chrono_tz::Tz;
use gridflow_core::{
    Dag, DagId, DagParts, ExecutorKind, PoolName, Task, TaskId, TaskKind, TaskNo, Timetable, WeightRule,
};

use crate::{
    check::FlatTask,
    compiled::{CompiledDag, Parts, TaskGroup, TaskSettings, TaskTemplates},
    dag::DagKeys,
    operator::Operator,
    read::{Cx, OneOrMany},
};

/// The parts of a file that every check has passed.
pub struct Checked {
    pub id: DagId,
    pub keys: DagKeys,
    pub tasks: Vec<FlatTask>,
    pub groups: Vec<TaskGroup>,
    pub timetable: Timetable,
}

pub fn assemble(checked: Checked, cx: &mut Cx<'_>) -> Option<CompiledDag> {
    let Checked { id, keys, tasks, groups, timetable } = checked;
    let zone = timetable.timezone;
    let core_tasks = tasks.iter().map(|task| core_task(task, zone)).collect::<Option<Vec<_>>>()?;
    let dag = Dag::new(DagParts {
        id,
        tasks: core_tasks,
        timetable,
        is_paused_at_creation: keys.paused,
        max_active_runs: keys.max_active_runs,
        max_active_tasks: keys.max_active_tasks,
        max_consecutive_failed_runs: NonZeroU32::new(keys.max_consecutive_failed_dag_runs),
        dagrun_timeout: keys.dagrun_timeout.map(|timeout| timeout.0),
        fail_fast: keys.fail_fast,
    })
    .expect("the checks found no cycle, and edges are numbers of tasks");
    let settings = tasks.iter().map(settings).collect();
    let (operators, uses) = tasks.into_iter().filter_map(rendering).unzip();
    Some(CompiledDag::new(Parts {
        dag: Arc::new(dag),
        operators,
        templates: uses,
        settings,
        groups,
        params: keys.params.unwrap_or_default(),
        triggers: keys.trigger.unwrap_or_default().others,
        env: keys.env.unwrap_or_default(),
        files: std::mem::take(&mut cx.files),
        source: cx.source.text.clone(),
        tags: keys.tags.0,
        owner: keys.owner,
        description: keys.description.map(|text| text.0),
        doc_md: keys.doc_md.map(|text| text.0),
    }))
}

fn core_task(task: &FlatTask, zone: Tz) -> Option<Task> {
    let settings = &task.settings;
    let kind = match (task.operator.as_ref()?.kind(), &settings.executor) {
        // Where a process runs is the task's choice; what is no process has none.
        (TaskKind::Attempt(ExecutorKind::Local), Some(executor)) => TaskKind::Attempt(executor.value.0),
        (kind, _) => kind,
    };
    Some(Task {
        id: TaskId::parse(&task.id).ok()?,
        kind,
        upstream: task.upstream.iter().map(|(upstream, _)| TaskNo(*upstream as u32)).collect(),
        trigger_rule: task.rule(),
        retries: settings.retries.unwrap_or(0),
        retry_delay: settings.retry_delay.unwrap_or(Duration::from_secs(300)),
        retry_backoff: settings.retry_exponential_backoff.and_then(|backoff| backoff.0),
        retry_delay_max: settings.max_retry_delay,
        execution_timeout: settings.execution_timeout.map(|timeout| timeout.0),
        pool: settings.pool.clone().unwrap_or_else(PoolName::default_pool),
        pool_slots: settings.pool_slots.unwrap_or(NonZeroU32::MIN),
        priority_weight: settings.priority_weight.unwrap_or(1),
        weight_rule: settings.weight_rule.unwrap_or(WeightRule::Downstream),
        max_active_per_dag: settings.max_active_tis_per_dag,
        max_active_per_run: settings.max_active_tis_per_dagrun,
        start_date: settings.start_date.map(|date| date.instant(zone)),
        end_date: settings.end_date.map(|date| date.instant(zone)),
        skip_exit_codes: match (kind, &settings.skip_on_exit_code) {
            (TaskKind::Attempt(_), Some(OneOrMany(codes))) => codes.clone(),
            (TaskKind::Attempt(_), None) => vec![99],
            (TaskKind::Empty | TaskKind::TriggerDag { .. }, _) => Vec::new(),
        },
    })
}

fn rendering(task: FlatTask) -> Option<(Operator, TaskTemplates)> {
    let levels = task.settings.kubernetes.map_or_else(Vec::new, |kubernetes| kubernetes.0);
    let env = task.settings.env.unwrap_or_default();
    Some((task.operator?, TaskTemplates { own: task.templates, env, levels }))
}

fn settings(task: &FlatTask) -> TaskSettings {
    TaskSettings {
        group: task.group.clone(),
        idempotent: task.settings.idempotent.unwrap_or(false),
        run_as: task.settings.run_as.clone(),
        grace: task.settings.grace.unwrap_or(Duration::from_secs(10)),
        doc_md: task.keys.doc_md.as_ref().map(|text| text.0.clone()),
    }
}
