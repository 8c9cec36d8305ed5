//! A scheduler's process: takes over, turns, acts. It can die or freeze between any two of these.

use std::collections::{BTreeMap, VecDeque};

use gridflow_core::{
    Action, Answer, AttemptState, ChildRequest, DagChanged, DagId, DagVersionId, Event, InboxId, Need, Plan, PoolName,
    RunRequest, RunType, SealedPlan, Timestamp, TriggeredBy, Turn, World, WorldConfig, admit, recover, step,
};

use crate::{
    Mutation, check,
    cluster::{self, Cluster},
    db::{CommitError, Db},
    host::{Host, Message},
    rng::Rng,
    story::Story,
};

pub struct Leader {
    pub epoch: i64,
    turn: i64,
    pub world: World,
    /// Committed, not done yet.
    pub todo: VecDeque<Action>,
    recovered: Option<Plan>,
    dags: BTreeMap<DagId, Option<DagVersionId>>,
    pools: BTreeMap<PoolName, Option<u32>>,
    fetched: Vec<Event>,
}

/// What becomes of the process after a turn.
#[derive(PartialEq, Eq)]
pub enum Fate {
    Leads,
    /// It threw its memory away and stands by.
    StandsBy,
    Dies,
}

/// Where in a turn the process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    No,
    BeforeCommit,
    AfterCommit,
    /// The commit happened; its answer did not come.
    AnswerLost,
}

pub struct TurnContext<'a> {
    pub db: &'a mut Db,
    pub hosts: &'a mut [Host],
    pub cluster: &'a mut Cluster,
    /// Where this process runs.
    pub node: usize,
    pub rng: &'a mut Rng,
    pub config: &'a WorldConfig,
    pub mutation: Mutation,
    pub now: Timestamp,
    pub crash: Crash,
    /// How many of a hundred reports get through.
    pub share: u64,
    pub story: &'a mut Story,
}

impl Leader {
    pub fn take_over(db: &mut Db, host: &mut Host, config: &WorldConfig, mutation: Mutation, now: Timestamp) -> Self {
        db.epoch += 1;
        let config = WorldConfig { binding: Some(host.binding()), ..config.clone() };
        let (world, plan) = recover(db.recovery_rows(mutation), config, now);
        host.adopt(db, now);
        let mut todo = VecDeque::new();
        if mutation == Mutation::CancelsAnywhere {
            let canceling = db.open_attempts().filter(|row| row.to == AttemptState::Canceling);
            todo.extend(canceling.map(|row| {
                let (run, attempt, executor) = (row.run, row.attempt, row.executor);
                Action::Cancel { run, attempt, executor }
            }));
        }
        Self {
            epoch: db.epoch,
            turn: db.turn,
            world,
            todo,
            recovered: Some(plan),
            dags: db.dags.iter().map(|(dag, rec)| (dag.clone(), rec.current)).collect(),
            pools: db.pools.clone(),
            fetched: Vec::new(),
        }
    }

    /// One turn: all that waits, decided, committed, and left to be done.
    pub fn turn(&mut self, cx: &mut TurnContext<'_>) -> Result<Fate, String> {
        let mut plan = Plan::begin(Turn(self.turn + 1), cx.rng.next());
        if let Some(recovered) = self.recovered.take() {
            plan.absorb(recovered);
        }
        let (events, consumed) = self.gather(cx);
        for event in events {
            cx.story.note(|| format!("    event {event:?}"));
            step(&mut self.world, event, core_now(cx), &mut plan);
        }
        self.decide(cx, &mut plan);
        let sealed = plan.seal();
        if cx.crash == Crash::BeforeCommit {
            return Ok(Fate::Dies);
        }
        self.commit(cx, sealed, &consumed)
    }

    fn decide(&mut self, cx: &mut TurnContext<'_>, plan: &mut Plan) {
        loop {
            admit(&mut self.world, core_now(cx), plan);
            let needs = plan.take_needs();
            if needs.is_empty() {
                return;
            }
            for need in needs {
                let answer = answer(need, cx);
                cx.story.note(|| format!("    answer {answer:?}"));
                step(&mut self.world, Event::Answer(answer), core_now(cx), plan);
            }
        }
    }

    fn commit(&mut self, cx: &mut TurnContext<'_>, sealed: SealedPlan, consumed: &[InboxId]) -> Result<Fate, String> {
        let writes = sealed.writes().clone();
        for transition in &writes.transitions {
            cx.story.note(|| format!("    {transition:?}"));
        }
        // Somebody's request takes a run id between the question and the commit.
        if let Some(new) = writes.new_runs.first()
            && cx.share < 100
            && cx.rng.percent(3)
        {
            let key = gridflow_core::RunKey(uuid::Uuid::from_u128(u128::from(cx.rng.next())));
            let _taken = cx.db.insert_queued(gridflow_core::QueuedRun { key, ..new.queued.clone() });
        }
        let before = check::Before::of(cx.db, &writes, consumed);
        if cx.mutation == Mutation::ActsEarly {
            self.todo.extend(
                sealed.clone().open(gridflow_core::Committed {
                    epoch: gridflow_core::Epoch(self.epoch),
                    turn: Turn(self.turn + 1),
                }),
            );
            while !self.todo.is_empty() {
                self.act(usize::MAX, cx.db, &mut cx.hosts[cx.node], cx.cluster);
            }
        }
        let committed = match cx.db.commit(self.epoch, Turn(self.turn + 1), &sealed, consumed, cx.mutation) {
            Ok(committed) => committed,
            Err(CommitError::Fenced) => {
                cx.story.note(|| "    fenced".to_owned());
                return Ok(Fate::StandsBy);
            }
            Err(CommitError::Unique(text)) => {
                cx.story.note(|| format!("    unique: {text}"));
                return Ok(Fate::StandsBy);
            }
            Err(CommitError::Broken(text)) => return Err(text),
        };
        if cx.mutation == Mutation::NoFence && self.epoch != cx.db.epoch {
            return Err("FENCED: a deposed leader has committed".to_owned());
        }
        self.turn += 1;
        check::turn(cx, &before, &writes)?;
        check::memory(&self.world, cx)?;
        match cx.crash {
            Crash::No | Crash::BeforeCommit => {}
            Crash::AfterCommit => return Ok(Fate::Dies),
            Crash::AnswerLost if cx.mutation == Mutation::IgnoresLostAnswer => {
                self.turn -= 1;
                return Ok(Fate::Leads);
            }
            Crash::AnswerLost => return Ok(Fate::StandsBy),
        }
        if cx.mutation != Mutation::ActsEarly {
            self.todo.extend(sealed.open(committed));
        }
        Ok(Fate::Leads)
    }

    /// What waits for this leader, in no particular order.
    fn gather(&mut self, cx: &mut TurnContext<'_>) -> (Vec<Event>, Vec<InboxId>) {
        let mut events = self.changes(cx.db, cx.mutation);
        if cx.share == 100 || cx.rng.percent(50) {
            events.append(&mut self.fetched);
        }
        let mut consumed: Vec<InboxId> = cx.db.inbox.keys().copied().collect();
        if cx.share < 100 {
            consumed.retain(|_| cx.rng.percent(80)); // Lower ids may become visible later.
        }
        if cx.mutation == Mutation::ReadsPastIds {
            consumed.retain(|id| cx.db.inbox_highest < id.0);
            cx.db.inbox_highest = consumed.last().map_or(cx.db.inbox_highest, |id| id.0);
        }
        for id in &consumed {
            events.extend(cx.db.events_of(&cx.db.inbox[id]));
            if cx.mutation == Mutation::ForgetsInbox {
                cx.db.inbox.remove(id);
            }
        }
        events.extend(cx.hosts[cx.node].reports(cx.share, cx.rng));
        events.extend(cx.cluster.reports(cx.share, cx.rng));
        events.extend(requests(cx));
        if self.world.next_deadline().is_some_and(|at| at <= core_now(cx)) {
            events.push(Event::TimersDue);
        }
        (events, consumed)
    }

    /// DAGs and pools as the database has them now.
    fn changes(&mut self, db: &Db, mutation: Mutation) -> Vec<Event> {
        let mut events = Vec::new();
        for (dag, rec) in &db.dags {
            if self.dags.get(dag) != Some(&rec.current) {
                self.dags.insert(dag.clone(), rec.current);
                events.push(match rec.current {
                    Some(version) => Event::DagChanged(DagChanged {
                        version,
                        definition: db.versions[&version].clone(),
                        is_paused: rec.is_paused,
                        cursor: rec.cursor,
                    }),
                    None => Event::DagRemoved { dag: dag.clone() },
                });
            }
        }
        for (pool, slots) in &db.pools {
            if self.pools.get(pool) != Some(slots) {
                self.pools.insert(pool.clone(), *slots);
                let slots = slots.map(|slots| slots + u32::from(mutation == Mutation::CountsTooFar));
                events.push(Event::PoolChanged { pool: pool.clone(), slots });
            }
        }
        events
    }

    /// Does one of the committed actions.
    pub fn act(&mut self, process: usize, db: &Db, host: &mut Host, cluster: &mut Cluster) {
        let is_pod = |attempt| cluster::is_here(db.attempts.get(&attempt));
        match self.todo.pop_front() {
            None | Some(Action::RunEnded { .. } | Action::CancelElsewhere) => {}
            Some(Action::Launch(order)) if !order.executor.is_bound_to_node() => {
                cluster.mail.push((process, cluster::Message::Create(order.key.run, order.attempt)));
            }
            Some(Action::Confirm { run, attempt, claim, .. }) => {
                cluster.mail.push((process, cluster::Message::Confirm(run, attempt, claim)));
            }
            Some(Action::Cancel { run, attempt, executor }) if !executor.is_bound_to_node() => {
                cluster.mail.push((process, cluster::Message::Cancel(run, attempt)));
            }
            Some(Action::Acknowledge { attempt, .. }) if is_pod(attempt) => {
                cluster.mail.push((process, cluster::Message::Acknowledge(attempt)));
            }
            Some(Action::Launch(order)) => {
                host.mail.push((process, Message::Launch(order.key.run, order.attempt)));
            }
            Some(Action::Cancel { run, attempt, .. }) => host.mail.push((process, Message::Cancel(run, attempt))),
            Some(Action::Acknowledge { attempt, .. }) => host.mail.push((process, Message::Acknowledge(attempt))),
            Some(Action::FetchQueued { dag, after, limit }) => {
                let (runs, has_more) = db.queued_after(&dag, after, limit as usize);
                self.fetched.push(Event::QueuedFetched { dag, after, runs, has_more });
            }
        }
    }
}

/// The instant that the core is told.
fn core_now(cx: &TurnContext<'_>) -> Timestamp {
    let early = if cx.mutation == Mutation::WakesEarly { 600 } else { 0 };
    cx.now + chrono::TimeDelta::seconds(early)
}

/// T2: events that nobody has answered become run requests, one each or several together.
fn requests(cx: &mut TurnContext<'_>) -> Vec<Event> {
    let pending: Vec<_> = cx
        .db
        .events
        .iter()
        .filter(|(_, event)| event.outcome.is_none())
        .map(|(id, event)| (*id, event.dag.clone(), event.run_id.clone()))
        .collect();
    let mut requests = Vec::new();
    for (id, dag, run_id) in pending.into_iter().take(3) {
        let request = RunRequest {
            dag,
            run_id,
            run_type: RunType::Manual,
            triggered_by: TriggeredBy::Asset,
            logical_date: None,
            data_interval: None,
            run_after: None,
            conf: serde_json::json!({}).into(),
            trigger: None,
            events: vec![id],
            actor: None,
        };
        if cx.mutation == Mutation::AsksTwice {
            requests.push(Event::RunRequested(request.clone()));
        }
        requests.push(Event::RunRequested(request));
    }
    requests
}

fn answer(need: Need, cx: &mut TurnContext<'_>) -> Answer {
    match need {
        Need::Version { version } if cx.rng.percent(10) => {
            Answer::Version { version, definition: Err("its files are gone".to_owned()) }
        }
        Need::Version { version } => Answer::Version { version, definition: Ok(cx.db.versions[&version].clone()) },
        Need::Prepare(order) if cx.rng.percent(4) => {
            Answer::PrepareFailed { run: order.key.run, attempt: order.attempt, message: "`x` is undefined".to_owned() }
        }
        Need::Prepare(order) => Answer::Prepared { run: order.key.run, attempt: order.attempt, spec_hash: [1; 32] },
        Need::Taken { dag, logical_dates, run_ids } => {
            let (logical_dates, run_ids) = cx.db.taken(&dag, &logical_dates, &run_ids);
            Answer::Taken { dag, logical_dates, run_ids }
        }
        Need::Child { parent, dag, .. } => {
            // To any DAG of a higher number, so that there is no circle.
            let targets: Vec<_> = cx
                .db
                .dags
                .iter()
                .filter(|(id, _)| dag < **id)
                .filter_map(|(id, rec)| Some((id.clone(), rec.current?)))
                .collect();
            if targets.is_empty() || cx.rng.percent(5) {
                return Answer::Child { parent, request: Err("no such DAG".to_owned()) };
            }
            let (dag, version) = cx.rng.pick(&targets).clone();
            let number = cx.rng.below(40);
            let run_id = cx.rng.percent(30).then(|| format!("child_{number}").parse().expect("valid"));
            let conf = serde_json::json!({}).into();
            Answer::Child { parent, request: Ok(ChildRequest { dag, version, run_id, logical_date: None, conf }) }
        }
    }
}
