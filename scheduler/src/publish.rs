//! From what the folder holds to what the database and the core know of it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use chrono::Utc;
use gridflow_core::{DagChanged, Event};
use gridflow_dag_spec::{CompiledDag, render_json, render_text};
use gridflow_failpoint::{Point, reach};
use gridflow_store::api::DagDetails;
use gridflow_store::dag::{self, Change, ClearedErrors, Publication, PublishDag, TaskSummary, VersionFile};

use crate::{
    Error,
    bundle::{BundleChange, ImportError, LoadedDag, Published, Snapshot},
    lead::Lead,
    quarantine::Culprit,
};

pub(crate) type ImportErrors = BTreeMap<Arc<str>, ImportError>;

/// Writes what differs between the folder and what is published, in a fenced transaction of its own,
/// and queues what the core must hear.
pub(crate) async fn publish(lead: &mut Lead, snapshot: &Snapshot) -> Result<(), Error> {
    let change = BundleChange::between(&lead.published, snapshot);
    if change.is_empty() && change.import_errors == lead.import_errors {
        return Ok(());
    }
    let at = Utc::now();
    reach(Point::PublishBegun);
    let published = dag::publish(&mut lead.leader, &publication(&change), at).await?;
    reach(Point::PublishCommitted);
    for (loaded, published) in change.changed.iter().zip(published) {
        report(loaded, published.change);
        let live = Published { file: Arc::clone(&loaded.path), hash: loaded.hash() };
        lead.published.insert(published.dag.clone(), live);
        lead.versions.set_current(published.version, Arc::clone(&loaded.compiled));
        if lead.shared.quarantine.holds(&Culprit::Dag(published.dag.clone())) {
            continue;
        }
        lead.current.insert(published.dag.clone(), published.version);
        // Events may have waited for a DAG that was broken or gone.
        lead.dags_with_events.insert(published.dag);
        lead.pending.push_back(Event::DagChanged(DagChanged {
            version: published.version,
            definition: Arc::clone(&loaded.compiled.dag),
            is_paused: published.is_paused,
            cursor: published.cursor,
        }));
    }
    for dag in change.removed {
        tracing::info!(dag.id = %dag, "the DAG left its folder");
        lead.published.remove(&dag);
        lead.current.remove(&dag);
        lead.pending.push_back(Event::DagRemoved { dag });
    }
    for (file, error) in &change.import_errors {
        if lead.import_errors.get(file) != Some(error) {
            tracing::warn!(file = %file, "a DAG file can't be loaded: {}", error.message());
        }
    }
    lead.import_errors = change.import_errors;
    lead.triggers_changed();
    Ok(())
}

fn report(loaded: &LoadedDag, change: Change) {
    let what = match change {
        Change::Created => "a new DAG",
        Change::NewVersion => "a new version of a DAG",
        Change::Overwritten => "a DAG changed",
        Change::Returned => "a DAG is back",
        Change::Unchanged => return,
    };
    tracing::info!(dag.id = %loaded.id(), file = %loaded.path, "{what}");
}

fn publication(change: &BundleChange) -> Publication {
    let mut contents = HashMap::new();
    let dags = change.changed.iter().map(|loaded| publish_dag(loaded, &mut contents)).collect();
    let import_errors = change.import_errors.iter().map(|(file, error)| dag::ImportError {
        file: file.to_string(),
        dag: error.dag.clone(),
        message: render_text(&error.diagnostics),
        diagnostics: render_json(&error.diagnostics),
    });
    Publication {
        dags,
        removed: change.removed.clone(),
        contents,
        import_errors: import_errors.collect(),
        cleared: ClearedErrors::All,
    }
}

fn publish_dag(loaded: &LoadedDag, contents: &mut HashMap<[u8; 32], Arc<[u8]>>) -> PublishDag {
    let compiled: &CompiledDag = &loaded.compiled;
    let mut stored = |bytes: &Arc<[u8]>| {
        let hash = *blake3::hash(bytes).as_bytes();
        contents.entry(hash).or_insert_with(|| Arc::clone(bytes));
        hash
    };
    let files = compiled.files.iter().chain(&compiled.inherited);
    let files = files.map(|(path, bytes)| VersionFile { path: path.clone(), hash: stored(bytes), mode: 0o644 });
    let files = files.collect();
    let source = stored(&Arc::from(compiled.source.as_bytes()));
    let dag = &compiled.dag;
    let tasks = dag.tasks().map(|(no, task)| TaskSummary {
        task_id: task.id.to_string(),
        group_path: compiled.settings[no.0 as usize].group.clone().unwrap_or_default(),
        operator: compiled.operators[no.0 as usize].name().to_owned(),
        pool: task.pool.to_string(),
        pool_slots: task.pool_slots.get(),
        priority_weight: dag.priority_weight(no),
    });
    PublishDag {
        dag: dag.id().clone(),
        file: loaded.path.to_string(),
        hash: loaded.hash(),
        source,
        files,
        tasks: tasks.collect(),
        owner: compiled.owner.clone(),
        tags: compiled.tags.clone(),
        description: compiled.description.clone(),
        details: DagDetails::of(dag).to_json(),
        is_paused_at_creation: dag.parts().is_paused_at_creation,
    }
}
