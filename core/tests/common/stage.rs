//! Several DAGs and runs on one world, and who is launched when.

use std::{collections::BTreeMap, sync::Arc};

use gridflow_core::{
    Action, Answer, AttemptOutcome, ChildRequest, Committed, Dag, DagChanged, DagId, DagParts, DagVersionId, Epoch,
    Event, LaunchOrder, MapIndex, Need, Plan, QueuedRun, RunId, RunKey, RunType, ScheduleCursor, TaskInstanceKey,
    Timestamp, Turn, Usage, World, WorldConfig, Writes, admit, step,
};
use uuid::Uuid;

use super::{now, parse_dag};

pub struct Stage {
    pub world: World,
    pub now: Timestamp,
    pub dags: BTreeMap<DagId, (DagVersionId, Arc<Dag>)>,
    /// What `trigger_dag` tasks ask for, by their DAG.
    pub children: BTreeMap<DagId, ChildRequest>,
    /// Committed and not ended, in the order of launch.
    pub launched: Vec<LaunchOrder>,
    /// Other actions of the last turn.
    pub actions: Vec<Action>,
    runs: u128,
    versions: u128,
    turn: i64,
}

impl Stage {
    pub fn new(config: WorldConfig) -> Self {
        let mut stage = Self {
            world: World::new(config),
            now: now(),
            dags: BTreeMap::new(),
            children: BTreeMap::new(),
            launched: vec![],
            actions: vec![],
            runs: 0,
            versions: 0,
            turn: 0,
        };
        stage.pool("default_pool", 128);
        stage
    }

    pub fn pool(&mut self, name: &str, slots: u32) -> Writes {
        self.turn(vec![Event::PoolChanged { pool: name.parse().expect("valid"), slots: Some(slots) }])
    }

    pub fn dag(&mut self, name: &str, text: &str) {
        let (dag, _) = parse_dag(text);
        let id: DagId = name.parse().expect("valid");
        let definition = Arc::new(Dag::new(DagParts { id: id.clone(), ..dag.parts().clone() }).expect("a DAG"));
        self.versions += 1;
        let version = DagVersionId(Uuid::from_u128(self.versions));
        self.dags.insert(id, (version, definition.clone()));
        let cursor = ScheduleCursor::default();
        self.turn(vec![Event::DagChanged(DagChanged { version, definition, is_paused: false, cursor })]);
    }

    pub fn queued(&mut self, dag: &str) -> QueuedRun {
        self.runs += 1;
        let dag: DagId = dag.parse().expect("valid");
        QueuedRun {
            key: RunKey(Uuid::from_u128(self.runs)),
            version: self.dags[&dag].0,
            dag,
            run_id: RunId::parse(&format!("manual_{}", self.runs)).expect("valid"),
            run_type: RunType::Manual,
            logical_date: None,
            data_interval: None,
            run_after: self.now,
        }
    }

    /// Queues so many runs of a DAG and turns once.
    pub fn run(&mut self, dag: &str, count: usize) -> Vec<RunKey> {
        let runs: Vec<QueuedRun> = (0..count).map(|_| self.queued(dag)).collect();
        let keys = runs.iter().map(|run| run.key).collect();
        self.turn(runs.into_iter().map(Event::RunQueued).collect());
        keys
    }

    pub fn turn(&mut self, events: Vec<Event>) -> Writes {
        self.turn += 1;
        let mut plan = Plan::begin(Turn(self.turn), self.turn as u64);
        for event in events {
            step(&mut self.world, event, self.now, &mut plan);
        }
        loop {
            admit(&mut self.world, self.now, &mut plan);
            let needs = plan.take_needs();
            if needs.is_empty() {
                break;
            }
            for need in needs {
                let answer = self.answer(need);
                step(&mut self.world, Event::Answer(answer), self.now, &mut plan);
            }
        }
        let sealed = plan.seal();
        let writes = sealed.writes().clone();
        self.actions.clear();
        for action in sealed.open(Committed { epoch: Epoch(1), turn: Turn(self.turn) }) {
            if let Action::Launch(order) = action {
                self.launched.push(order);
            } else {
                self.actions.push(action);
            }
        }
        writes
    }

    /// Turns while the world says that there is more to do.
    pub fn turns(&mut self) -> usize {
        let mut turns = 0;
        while self.world.has_more() {
            self.turn(vec![]);
            turns += 1;
        }
        turns
    }

    /// Ends the attempt that was launched first.
    pub fn finish_first(&mut self, code: i32) -> Writes {
        let order = self.launched.remove(0);
        self.turn(vec![finished(&order, code, self.now)])
    }

    /// Who is launched and has not ended: `dag.task`.
    pub fn launched(&self) -> Vec<String> {
        self.launched.iter().map(|order| self.name(order)).collect()
    }

    pub fn name(&self, order: &LaunchOrder) -> String {
        let task = &self.dags[&order.dag].1.task(order.key.task_no).id;
        format!("{}.{task}", order.dag)
    }

    pub fn key(&self, run: RunKey, dag: &str, task: &str) -> TaskInstanceKey {
        let dag: DagId = dag.parse().expect("valid");
        let task_no = self.dags[&dag].1.task_no(task).expect("a task");
        TaskInstanceKey { run, task_no, map_index: MapIndex::UNMAPPED }
    }

    fn answer(&self, need: Need) -> Answer {
        match need {
            Need::Prepare(order) => Answer::Prepared { run: order.key.run, attempt: order.attempt, spec_hash: [1; 32] },
            Need::Taken { dag, run_ids, .. } => {
                // Ids that begin so are taken in every test.
                let run_ids = run_ids.into_iter().filter(|id| id.as_str().starts_with("taken")).collect();
                Answer::Taken { dag, logical_dates: vec![], run_ids }
            }
            Need::Version { version } => {
                let known = self.dags.values().find(|(known, _)| *known == version);
                let definition = known.map(|(_, dag)| dag.clone()).ok_or("its files are gone".to_owned());
                Answer::Version { version, definition }
            }
            Need::Child { parent, dag, .. } => {
                let request = self.children.get(&dag).cloned().ok_or("no such DAG".to_owned());
                Answer::Child { parent, request }
            }
        }
    }
}

pub fn finished(order: &LaunchOrder, code: i32, at: Timestamp) -> Event {
    Event::AttemptFinished {
        run: order.key.run,
        attempt: order.attempt,
        at,
        outcome: AttemptOutcome::Exited { code },
        usage: Usage::default(),
        output: None,
    }
}
