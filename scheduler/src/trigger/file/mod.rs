//! The file trigger: exactly one event for each file that lands in a folder.
//!
//! A file that is seen ripens (it stays the same for a while, or a marker appears beside it), is
//! committed as an event together with its dedup key, and from then on is known. Nothing depends on
//! a notification: after a start the folder is read, and what has no key yet is news.
//!
//! **Architecture Invariant:** files are only looked at, never moved or changed.

mod arrivals;
mod deliver;
mod hub;
mod look;
mod payload;
mod ripen;
mod scope;
mod task;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use gridflow_core::DagId;
use gridflow_dag_spec::{CompiledDag, FileTrigger, TriggerKind};
use gridflow_store::{Database, event::TriggerKey};
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use self::{arrivals::Arrivals, deliver::Receiver, hub::Hub, scope::Scope, task::Task};

/// The file triggers that there should be, by DAG and name.
pub type Wanted = BTreeMap<(DagId, String), Arc<FileTrigger>>;

/// The file triggers of a DAG.
pub fn wanted(dag: &CompiledDag) -> impl Iterator<Item = ((DagId, String), Arc<FileTrigger>)> {
    dag.triggers.iter().map(|trigger| match &trigger.kind {
        TriggerKind::File(file) => ((dag.dag.id().clone(), trigger.name.clone()), Arc::new(file.clone())),
    })
}

/// Runs all file triggers of a scheduler.
pub struct FileTriggers {
    /// Where relative folders begin: the root of the bundle.
    pub root: PathBuf,
    pub database: Database,
    pub wanted: watch::Receiver<Arc<Wanted>>,
    /// Told after each commit of new events.
    pub received: Arc<Notify>,
}

/// After a crash.
const AGAIN: Duration = Duration::from_secs(1);

struct Running {
    spec: Arc<FileTrigger>,
    /// Ends the trigger when dropped.
    _task: AbortOnDropHandle<()>,
}

impl FileTriggers {
    /// Runs until the shutdown, or until nobody can want another trigger.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let (hub, watching) = Hub::new();
        let work = async {
            let mut running = BTreeMap::new();
            loop {
                let wanted = self.wanted.borrow_and_update().clone();
                self.follow(&wanted, &mut running, &hub);
                if self.wanted.changed().await.is_err() {
                    return;
                }
            }
        };
        shutdown.run_until_cancelled(async { tokio::join!(work, watching) }).await;
    }

    /// Ends triggers that are not wanted any more or changed, and starts those that are new.
    fn follow(&self, wanted: &Wanted, running: &mut BTreeMap<(DagId, String), Running>, hub: &Hub) {
        running.retain(|key, running| wanted.get(key).is_some_and(|spec| *spec == running.spec));
        for (key, spec) in wanted {
            if running.contains_key(key) {
                continue;
            }
            match self.start(key, spec, hub) {
                Ok(task) => {
                    _ = running.insert(key.clone(), Running { spec: spec.clone(), _task: AbortOnDropHandle::new(task) })
                }
                Err(error) => {
                    tracing::error!(dag.id = %key.0, trigger = key.1, %error, "a file trigger has a pattern that can't be used")
                }
            }
        }
    }

    /// Starts a trigger.
    fn start(
        &self,
        (dag, name): &(DagId, String),
        spec: &FileTrigger,
        hub: &Hub,
    ) -> Result<JoinHandle<()>, globset::Error> {
        let scope = Scope::of(&self.root, spec)?;
        let trigger = TriggerKey { dag: dag.clone(), name: name.clone() };
        let (database, received) = (self.database.clone(), self.received.clone());
        let (hub, spec) = (hub.clone(), spec.clone());
        let task = move || Task {
            receiver: Receiver {
                database: database.clone(),
                trigger: trigger.clone(),
                scope: scope.clone(),
                dedup: spec.dedup,
            },
            existing: spec.existing,
            arrivals: Arrivals::new(scope.clone(), &spec),
            subscription: hub.subscribe(),
            received: received.clone(),
        };
        Ok(tokio::spawn(keep_running(task)))
    }
}

/// A trigger that crashes is a bug, but its files still wait: it begins anew and finds them.
async fn keep_running(task: impl Fn() -> Task) {
    loop {
        let task = task();
        let TriggerKey { dag, name } = task.receiver.trigger.clone();
        // A task of its own, so that a panic ends only it.
        let Err(error) = AbortOnDropHandle::new(tokio::spawn(task.run())).await else { return };
        tracing::error!(dag.id = %dag, trigger = name, "a file trigger crashed and begins anew: {error}");
        tokio::time::sleep(AGAIN).await;
    }
}
