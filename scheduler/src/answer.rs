//! What the core must know before a turn can be committed, found out.
//!
//! Rendering is pure; the rest is at most one read per kind of question and round.

use std::sync::Arc;

use gridflow_core::{
    Answer, AttemptId, ChildRequest, DagId, DagVersionId, LaunchOrder, Need, Plan, RunId, RunKey, TaskInstanceKey,
    Timestamp, TryNumber, Turn,
};
use gridflow_executor::kubernetes;

use crate::{
    Error,
    lead::Lead,
    prepare::{self, Ground, Launch, Try},
};

pub(crate) async fn answers(
    lead: &mut Lead,
    plan: &Plan,
    needs: Vec<Need>,
    now: Timestamp,
) -> Result<Vec<Answer>, Error> {
    load_facts(lead, plan, &needs, now).await?;
    let mut answers = Vec::with_capacity(needs.len());
    for need in needs {
        answers.push(match need {
            Need::Version { version } => {
                let compiled = lead.versions.load(&mut lead.reader, version).await?;
                Answer::Version { version, definition: compiled.map(|compiled| Arc::clone(&compiled.dag)) }
            }
            Need::Prepare(order) => prepared(lead, &order, plan.turn()).await?,
            Need::Child { parent, version, try_number, .. } => {
                Answer::Child { parent, request: child(lead, parent, version, try_number).await? }
            }
            Need::Taken { dag, logical_dates, run_ids } => taken(lead, dag, logical_dates, run_ids).await?,
        });
    }
    Ok(answers)
}

async fn prepared(lead: &mut Lead, order: &LaunchOrder, turn: Turn) -> Result<Answer, Error> {
    let (run, attempt) = (order.key.run, order.attempt);
    Ok(match render(lead, order, turn).await? {
        Ok(launch) => {
            let spec_hash = launch.spec_hash();
            lead.prepared.insert(attempt, launch);
            Answer::Prepared { run, attempt, spec_hash }
        }
        Err(message) => Answer::PrepareFailed { run, attempt, message },
    })
}

/// Renders an attempt that is committed already: after a takeover, or when its launch was not kept.
pub(crate) async fn render_again(lead: &mut Lead, order: &LaunchOrder) -> Result<Result<Launch, String>, Error> {
    if !lead.runs.knows(order.key.run) {
        for run in gridflow_store::run::get_all(&mut lead.reader, &[order.key.run]).await? {
            lead.runs.remember_stored(run);
        }
    }
    // What is outside carries the turn that committed it, never a later one: turns that only repeat
    // launches leave no trace in the database, and a node ahead of it means that it went back in time.
    let Some(committed) = lead.committed.get(&order.attempt).copied() else {
        return render(lead, order, Turn::default()).await;
    };
    let rendered = render(lead, order, committed.turn).await?;
    Ok(rendered.map(|launch| match (launch, committed.spec_hash) {
        // Another version of the program may render the same attempt differently: what was committed counts.
        (Launch::Pod(launch), Some(spec_hash)) => Launch::Pod(Box::new(kubernetes::Launch { spec_hash, ..*launch })),
        (launch, _) => launch,
    }))
}

async fn render(lead: &mut Lead, order: &LaunchOrder, turn: Turn) -> Result<Result<Launch, String>, Error> {
    let compiled = match lead.versions.load(&mut lead.reader, order.version).await? {
        Ok(compiled) => compiled,
        Err(message) => return Ok(Err(message)),
    };
    let Some(facts) = lead.runs.facts(order.key.run) else { return Ok(Err("its run is not in the database".into())) };
    let config = &lead.shared.config;
    let ground = Ground {
        compiled: &compiled,
        facts: &facts,
        runs: &lead.runs,
        program: &config.program,
        clusters: &lead.clusters,
    };
    Ok(prepare::launch(&ground, order.into(), turn))
}

/// What a `trigger_dag` task asks for, checked against the target as it is now.
async fn child(
    lead: &mut Lead,
    parent: TaskInstanceKey,
    version: DagVersionId,
    number: TryNumber,
) -> Result<Result<ChildRequest, String>, Error> {
    let compiled = match lead.versions.load(&mut lead.reader, version).await? {
        Ok(compiled) => compiled,
        Err(message) => return Ok(Err(message)),
    };
    let Some(facts) = lead.runs.facts(parent.run) else { return Ok(Err("its run is not in the database".into())) };
    let config = &lead.shared.config;
    let ground = Ground {
        compiled: &compiled,
        facts: &facts,
        runs: &lead.runs,
        program: &config.program,
        clusters: &lead.clusters,
    };
    // No attempt exists; the run's own key stands in, so that the rendering repeats exactly.
    let attempt = AttemptId(parent.run.0);
    let which = Try { task_no: parent.task_no, map_index: parent.map_index, number, attempt };
    Ok(prepare::trigger_dag(&ground, which).and_then(|wanted| {
        let Some((version, target)) = lead.current(&wanted.dag_id) else {
            return Err(format!("there is no DAG `{}`", wanted.dag_id));
        };
        prepare::params(target, &wanted.conf)?;
        Ok(ChildRequest {
            dag: wanted.dag_id,
            version,
            run_id: wanted.run_id,
            logical_date: wanted.logical_date,
            conf: Arc::new(wanted.conf),
        })
    }))
}

/// Facts about the runs that will be rendered: those of this very turn are not in the database yet.
async fn load_facts(lead: &mut Lead, plan: &Plan, needs: &[Need], now: Timestamp) -> Result<(), Error> {
    let wanted = needs.iter().filter_map(|need| match need {
        Need::Prepare(order) => Some(order.key.run),
        Need::Child { parent, .. } => Some(parent.run),
        Need::Version { .. } | Need::Taken { .. } => None,
    });
    let mut wanted: Vec<RunKey> = wanted.collect();
    wanted.sort_unstable();
    wanted.dedup();
    let mut missing: Vec<RunKey> = wanted.iter().copied().filter(|run| !lead.runs.knows(*run)).collect();
    for run in plan.new_runs() {
        if let Ok(place) = missing.binary_search(&run.queued.key) {
            missing.remove(place);
            lead.runs.remember(run);
        }
    }
    missing.retain(|run| match lead.letters.remove(run) {
        Some((run, facts)) => {
            lead.runs.remember_queued(run, facts);
            false
        }
        None => true,
    });
    if !missing.is_empty() {
        for run in gridflow_store::run::get_all(&mut lead.reader, &missing).await? {
            lead.runs.remember_stored(run);
        }
    }
    for run in wanted {
        // One without a start has its first tasks rendered in the very turn that starts it.
        lead.runs.starts(run, Some(now));
    }
    Ok(())
}

async fn taken(
    lead: &mut Lead,
    dag: DagId,
    logical_dates: Vec<Timestamp>,
    run_ids: Vec<RunId>,
) -> Result<Answer, Error> {
    let taken = gridflow_store::run::taken(&mut lead.reader, &dag, &logical_dates, &run_ids).await?;
    Ok(Answer::Taken { dag, logical_dates: taken.logical_dates, run_ids: taken.run_ids })
}
