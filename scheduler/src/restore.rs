//! From the database's rows to a leader that is ready for its first turn.

use std::{
    collections::{BTreeMap, HashMap},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use chrono::Utc;
use gridflow_core::{
    AttemptRow, AttemptState, Dag, DagId, DagRow, DagVersionId, FinishedRunRow, NodeBinding, Plan, RecoveryRows,
    RunKey, Turn, World, WorldConfig, recover_watched,
};
use gridflow_dag_spec::CompiledDag;
use gridflow_executor::kubernetes;
use gridflow_failpoint::{Point, reach};
use gridflow_store::{
    Inconsistency, Leader, Reader, dag, dag_version,
    hold::{self, Hold},
    node::{self, Node},
    recovery, run, xcom,
};

use crate::{
    Error, Shared,
    bundle::{FileState, LoadedDag, Published, Snapshot},
    executors::{Executors, Reports},
    host::{self, Host},
    lead::{Committed, Lead, Life, Unmentioned},
    memory::RunMemory,
    node::hostname,
    quarantine::Culprit,
    turn::panic_text,
    version::{VersionCache, compile},
};

/// Compiled versions; the error says why this program can't read one.
type Definitions = HashMap<DagVersionId, Result<Arc<Dag>, String>>;

/// What a term begins as.
pub(crate) enum Restored {
    Lead(Box<Lead>),
    /// Nothing may be decided: the database went back in time, and nobody has accepted that yet.
    Held(Leader, Hold),
}

/// Hears out this node's host, and reads everything that is unfinished.
pub(crate) async fn restore(shared: &Arc<Shared>, mut leader: Leader) -> Result<Restored, Error> {
    let host = host::meet(shared, &mut leader).await?;
    let binding = NodeBinding { node: shared.node, boot: host.boot.clone() };
    let me = Node { binding: binding.clone(), hostname: hostname(), turn_highest: host.turn_max };
    node::report(&mut *shared.database.reader().await?, &me, Some(leader.pass())).await?;
    if let Some(hold) = held(shared, &mut leader, host.turn_max).await? {
        return Ok(Restored::Held(leader, hold));
    }
    let lead = read(shared, leader, host, binding).await?;
    Ok(Restored::Lead(Box::new(lead)))
}

/// The stop that is there, or has to be placed: something outside carries a turn that the database does not know.
async fn held(shared: &Shared, leader: &mut Leader, own_max: Turn) -> Result<Option<Hold>, Error> {
    let mut reader = shared.database.reader().await?;
    if let Some(hold) = hold::get(&mut reader).await? {
        return Ok(Some(hold));
    }
    let inside = leader.turn_at_takeover();
    let ahead = match hold::ahead(&mut reader, shared.node, inside).await? {
        None if inside < own_max => Some((shared.node, own_max)),
        ahead => ahead,
    };
    let Some((node, outside)) = ahead else { return Ok(None) };
    let hold = Hold { node, outside, inside, since: Utc::now() };
    hold::place(leader, &hold).await?;
    Ok(Some(hold))
}

async fn read(shared: &Arc<Shared>, mut leader: Leader, host: Host, binding: NodeBinding) -> Result<Lead, Error> {
    let rows = recovery::read(&mut leader, recovery::Limits::default()).await?;
    reach(Point::RecoveryRead);
    let mut reader = shared.database.reader().await?;
    for wrong in &rows.unreadable {
        tracing::error!("a row is left out: {wrong}");
    }
    let mut versions = VersionCache::default();
    let published = load_published(shared, &mut reader, &mut versions).await?;
    let definitions = load_versions(&rows.versions, &mut reader, &mut versions).await?;
    let mut unmentioned = HashMap::new();
    let mut committed = HashMap::new();
    let mut outside = Vec::new();
    let open = rows.runs.iter().flat_map(|run| &run.open_attempts);
    for attempt in open {
        let AttemptRow { queued_turn: turn, spec_hash, .. } = *attempt;
        committed.insert(attempt.attempt, Committed { turn, spec_hash });
        if !attempt.executor.is_bound_to_node() {
            outside.push(pod_of(attempt));
        }
        let Some(theirs) = &attempt.binding else { continue };
        if theirs.node != binding.node {
            continue;
        }
        let life = if theirs.boot == binding.boot { Life::ThisBoot } else { Life::DeadBoot };
        // What is queued for this boot is launched again anyway: its claim says whether it ran.
        if life == Life::DeadBoot || attempt.state != AttemptState::Queued {
            unmentioned.insert(attempt.attempt, Unmentioned { run: attempt.key.run, life });
        }
    }
    let mut runs = RunMemory::default();
    for xcom in rows.xcoms {
        if xcom.name == xcom::RETURN_VALUE
            && let Some(value) = xcom.value
        {
            runs.set_output(xcom.key, Arc::new(value));
        }
    }
    let current = |dag: &recovery::Dag| {
        let version = dag.current.filter(|_| !shared.quarantine.holds(&Culprit::Dag(dag.dag.clone())))?;
        Some((version, definitions.get(&version)?.clone().ok()?))
    };
    let dags_with_events = rows.dags.iter().map(|dag| dag.dag.clone()).filter(|_| !rows.events.is_empty()).collect();
    let mut finished = load_finished(&rows.dags, &definitions, &mut reader).await?;
    let dags = rows.dags.iter().map(|dag| {
        let recovery::Dag { is_paused, cursor, queued_count, .. } = *dag;
        let finished = finished.remove(&dag.dag).unwrap_or_default();
        DagRow { dag: dag.dag.clone(), current: current(dag), is_paused, cursor, queued_count, finished }
    });
    let core_rows = RecoveryRows {
        dags: dags.collect(),
        versions: definitions.into_iter().collect(),
        pools: rows.pools,
        runs: rows.runs,
        queued: rows.queued,
        aside: aside(shared, &rows.quarantined),
    };
    let config = WorldConfig {
        parallelism: shared.config.parallelism,
        binding: Some(binding.clone()),
        losses_max: shared.config.losses_max,
        ..WorldConfig::default()
    };
    let (world, recovered) = recover_guarded(core_rows, config)?;
    let aside: Vec<(RunKey, String)> = world.quarantined().map(|(run, reason)| (run, reason.to_owned())).collect();
    for (run, reason) in &aside {
        tracing::error!(dag_run.key = %run, "a run is set aside: {reason}");
    }
    run::explain(&mut leader, &aside).await?;
    reach(Point::Recovered);
    tracing::info!(epoch = %leader.epoch(), turn = %leader.turn(), runs = world.active_runs(), "leading");
    let Host { executor, reports, told, .. } = host;
    let mut later_clusters = shared.config.clusters.clone();
    let clusters = Arc::clone(&later_clusters.borrow_and_update());
    let (handle, pod_reports) = shared.start_pods(&clusters, outside).await?.unzip();
    let executors = Executors { local: executor, pods: handle, beside: Arc::default() };
    let reports = Reports { local: reports, pods: pod_reports };
    let mut lead = Lead::new(Arc::clone(shared), (leader, reader), (world, recovered), (executors, reports, told));
    lead.clusters = clusters;
    lead.later_clusters = later_clusters;
    lead.published = published;
    lead.versions = versions;
    lead.runs = runs;
    lead.unmentioned = unmentioned;
    lead.committed = committed;
    lead.dags_with_events = dags_with_events;
    for row in rows.dags {
        if let Some(version) = row.current
            && !shared.quarantine.holds(&Culprit::Dag(row.dag.clone()))
        {
            lead.current.insert(row.dag, version);
        }
    }
    Ok(lead)
}

/// What the Kubernetes executor must know of an attempt that is under way.
fn pod_of(row: &AttemptRow) -> kubernetes::Open {
    kubernetes::Open {
        attempt: row.attempt,
        run: row.key.run,
        executor: row.executor,
        state: row.state,
        claim: row.claim.clone(),
        place: row.place.clone(),
        queued_turn: row.queued_turn,
    }
}

/// Runs that must be left as they are: a decision about them panicked, or a row of them can't be read.
fn aside(shared: &Shared, unreadable: &[(RunKey, Inconsistency)]) -> Vec<(RunKey, String)> {
    let unreadable = unreadable.iter().map(|(run, wrong)| (*run, format!("a row of it can't be read: {wrong}")));
    shared.quarantine.runs().into_iter().chain(unreadable).collect()
}

/// A run that makes recovery panic must not keep the others from being recovered: the next term knows it.
fn recover_guarded(rows: RecoveryRows, config: WorldConfig) -> Result<(World, Plan), Error> {
    let mut at_work = None;
    catch_unwind(AssertUnwindSafe(|| recover_watched(rows, config, Utc::now(), &mut at_work))).map_err(|panic| {
        let about = at_work.map(Culprit::Run).into_iter().collect();
        Error::Panicked { about, message: panic_text(&*panic) }
    })
}

/// The finished runs that count towards failures in a row, of DAGs that limit those.
async fn load_finished(
    dags: &[recovery::Dag],
    definitions: &Definitions,
    reader: &mut Reader,
) -> Result<HashMap<DagId, Vec<FinishedRunRow>>, Error> {
    let limit = |dag: &recovery::Dag| {
        let definition = definitions.get(&dag.current?)?.as_ref().ok()?;
        Some((dag.dag.clone(), definition.parts().max_consecutive_failed_runs?.get()))
    };
    let wanted: Vec<_> = dags.iter().filter_map(limit).collect();
    let mut finished: HashMap<DagId, Vec<FinishedRunRow>> = HashMap::new();
    if !wanted.is_empty() {
        for (dag, run) in run::newest_finished(reader, &wanted).await? {
            finished.entry(dag).or_default().push(run);
        }
    }
    Ok(finished)
}

/// What is published, and its compiled form where the folder still holds the same bytes.
async fn load_published(
    shared: &Shared,
    reader: &mut Reader,
    versions: &mut VersionCache,
) -> Result<BTreeMap<DagId, Published>, Error> {
    let snapshot = shared.snapshots.borrow().clone();
    let in_folder: HashMap<[u8; 32], Arc<CompiledDag>> = snapshot
        .as_deref()
        .into_iter()
        .flat_map(dags_of)
        .map(|loaded| (loaded.hash(), Arc::clone(&loaded.compiled)))
        .collect();
    let mut published = BTreeMap::new();
    for row in dag::live(reader).await? {
        if let Some(compiled) = in_folder.get(&row.hash) {
            versions.set_current(row.version, Arc::clone(compiled));
        }
        published.insert(row.dag, Published { file: row.file.into(), hash: row.hash });
    }
    Ok(published)
}

/// The definitions of all versions that unfinished runs or DAGs stand on.
async fn load_versions(
    wanted: &[DagVersionId],
    reader: &mut Reader,
    versions: &mut VersionCache,
) -> Result<Definitions, Error> {
    let missing: Vec<_> = wanted.iter().copied().filter(|version| versions.get(*version).is_none()).collect();
    let mut definitions = HashMap::new();
    for source in dag_version::sources(reader, &missing).await? {
        match source {
            Ok(source) => match compile(&source) {
                Ok(compiled) => versions.set_current(source.id, compiled),
                Err(message) => {
                    tracing::error!("{message}");
                    definitions.insert(source.id, Err(message));
                }
            },
            Err(wrong) => tracing::error!("a DAG version is left out: {wrong}"),
        }
    }
    for version in wanted {
        if let Some(compiled) = versions.get(*version) {
            definitions.insert(*version, Ok(Arc::clone(&compiled.dag)));
        }
    }
    Ok(definitions)
}

fn dags_of(snapshot: &Snapshot) -> impl Iterator<Item = &Arc<LoadedDag>> {
    snapshot.files.values().filter_map(|state| match state {
        FileState::Dag(loaded) => Some(loaded),
        FileState::Broken(_) | FileState::Ignored => None,
    })
}
