//! What the leader remembers beside the core's world: facts and outputs that templates read.
//!
//! Everything here can be read again from the database; it is thrown away with the world.

use std::{collections::HashMap, sync::Arc};

use gridflow_core::{NewRun, QueuedRun, RunKey, TaskInstanceKey, TaskNo};
use gridflow_store::{inbox::Facts, run::Run};
use serde_json::Value;

/// What templates may ask of a run.
#[derive(Debug, Clone)]
pub(crate) struct RunFacts {
    pub run: QueuedRun,
    pub conf: Arc<Value>,
    pub trigger: Option<Arc<Value>>,
    pub started_at: Option<gridflow_core::Timestamp>,
    pub traceparent: Option<String>,
}

#[derive(Debug, Default)]
pub(crate) struct RunMemory {
    facts: HashMap<RunKey, Arc<RunFacts>>,
    outputs: HashMap<RunKey, HashMap<TaskNo, Arc<Value>>>,
}

impl RunMemory {
    pub fn knows(&self, run: RunKey) -> bool {
        self.facts.contains_key(&run)
    }

    pub fn facts(&self, run: RunKey) -> Option<Arc<RunFacts>> {
        self.facts.get(&run).cloned()
    }

    pub fn remember(&mut self, run: &NewRun) {
        let facts = RunFacts {
            run: run.queued.clone(),
            conf: Arc::clone(&run.conf),
            trigger: run.trigger.clone(),
            started_at: None,
            traceparent: run.traceparent.clone(),
        };
        self.facts.insert(run.queued.key, Arc::new(facts));
    }

    pub fn remember_stored(&mut self, run: Run) {
        let facts = RunFacts {
            conf: Arc::new(run.conf),
            trigger: run.trigger.map(Arc::new),
            started_at: run.started_at,
            traceparent: run.traceparent,
            run: run.queued,
        };
        self.facts.insert(facts.run.key, Arc::new(facts));
    }

    /// A run that waits to start, by what came with its letter.
    pub fn remember_queued(&mut self, run: QueuedRun, facts: Facts) {
        let Facts { conf, trigger, traceparent } = facts;
        let facts =
            RunFacts { conf: Arc::new(conf), trigger: trigger.map(Arc::new), started_at: None, traceparent, run };
        self.facts.insert(facts.run.key, Arc::new(facts));
    }

    /// A run that is known keeps the first start it gets.
    pub fn starts(&mut self, run: RunKey, at: Option<gridflow_core::Timestamp>) {
        if let Some(facts) = self.facts.get_mut(&run).filter(|facts| facts.started_at.is_none()) {
            Arc::make_mut(facts).started_at = at;
        }
    }

    pub fn set_output(&mut self, key: TaskInstanceKey, value: Arc<Value>) {
        self.outputs.entry(key.run).or_default().insert(key.task_no, value);
    }

    /// The output of a task that is not mapped.
    pub fn output(&self, run: RunKey, task_no: TaskNo) -> Option<&Arc<Value>> {
        self.outputs.get(&run)?.get(&task_no)
    }

    pub fn forget(&mut self, run: RunKey) {
        self.facts.remove(&run);
        self.outputs.remove(&run);
    }
}

#[cfg(test)]
mod tests {
    use gridflow_core::{DagVersionId, RunType, Timestamp};
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_run_keeps_the_first_start_that_is_told() {
        let run = QueuedRun {
            key: RunKey(Uuid::from_u128(1)),
            dag: "d".parse().unwrap(),
            version: DagVersionId(Uuid::nil()),
            run_id: "r".parse().unwrap(),
            run_type: RunType::Manual,
            logical_date: None,
            data_interval: None,
            run_after: Timestamp::default(),
        };
        let mut memory = RunMemory::default();
        memory.starts(run.key, None);
        memory.remember_queued(run.clone(), Facts { conf: Value::Null, trigger: None, traceparent: None });
        memory.starts(run.key, None);
        assert_eq!(memory.facts(run.key).unwrap().started_at, None);
        let start = Timestamp::from_timestamp(7, 0);
        memory.starts(run.key, start);
        memory.starts(run.key, Timestamp::from_timestamp(8, 0));
        assert_eq!(memory.facts(run.key).unwrap().started_at, start);
    }
}
