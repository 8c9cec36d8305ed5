//! One history: a storm of steps in random order, then calm until everything has ended.

use gridflow_core::{RunState, Timestamp, WorldConfig};

use crate::{
    Mutation, check,
    dags::{DAGS, POOLS, dag_id, without_schedule},
    db::Db,
    host::Host,
    people,
    rng::Rng,
    shell::{Crash, Fate, Leader, TurnContext},
};

pub struct Scenario {
    rng: Rng,
    db: Db,
    host: Host,
    processes: Vec<Process>,
    /// How far each process's clock is off, in seconds; clocks are set now and then.
    skews: Vec<i64>,
    now: Timestamp,
    config: WorldConfig,
    mutation: Mutation,
    pub history: Vec<String>,
}

enum Process {
    Down,
    StandsBy,
    Leads(Box<Leader>),
    /// Stopped by a signal; may go on after another has taken over.
    Frozen(Box<Leader>),
}

const CALM_STEPS_MAX: usize = 4_000;

impl Scenario {
    pub fn new(seed: u64, mutation: Mutation) -> Self {
        let mut rng = Rng::new(seed);
        let now = "2025-03-30T00:30:00Z".parse().expect("a constant"); // half an hour before Berlin's clocks jump
        let config = WorldConfig {
            parallelism: rng.between(1, 6) as u32,
            binding: None,
            losses_max: rng.between(0, 3) as u32,
            rows_max: *rng.pick(&[1, 10, 40, 4_000]),
            queued_max: *rng.pick(&[4, 8, 1_000]),
        };
        let mut db = Db { queued_max: config.queued_max, ..Db::default() };
        let mut history = vec![format!("seed {seed}: {config:?}")];
        for index in 0..DAGS {
            history.push(people::change_dag(&mut db, &dag_id(index), now, &mut rng));
        }
        for pool in &POOLS[..2] {
            db.pools.insert(pool.parse().expect("valid"), Some(rng.between(1, 4) as u32));
        }
        let processes = vec![Process::StandsBy, Process::StandsBy];
        let skews = vec![0, 0];
        Self { rng, db, host: Host::new(mutation), processes, skews, now, config, mutation, history }
    }

    pub fn play(&mut self) -> Result<(), String> {
        let steps = self.rng.between(60, 220);
        for _ in 0..steps {
            self.stormy_step()?;
        }
        self.calm()
    }

    fn stormy_step(&mut self) -> Result<(), String> {
        let process = self.rng.below(self.processes.len() as u64) as usize;
        match self.rng.below(100) {
            0..38 => self.turn(process, true),
            38..52 => self.deliver(),
            52..64 => self.act(process),
            64..76 => {
                let seconds = self.rng.between(0, 120);
                self.pass_time(Some(self.now + chrono::TimeDelta::seconds(seconds as i64)))
            }
            76..82 => self.pass_time(self.next_instant()),
            82..94 => {
                let text = people::request(&mut self.db, self.now, &mut self.rng);
                self.note(&text);
                Ok(())
            }
            _ => self.fault(process),
        }
    }

    fn fault(&mut self, process: usize) -> Result<(), String> {
        let state = std::mem::replace(&mut self.processes[process], Process::Down);
        self.processes[process] = match (state, self.rng.below(10)) {
            (Process::Leads(_) | Process::StandsBy | Process::Frozen(_), 0..3) => {
                self.note(&format!("process {process} is killed"));
                self.lose_mail(process);
                Process::Down
            }
            (Process::Leads(leader), 3..7) => {
                self.note(&format!("process {process} is stopped"));
                Process::Frozen(leader)
            }
            (Process::Frozen(leader), 3..7) => {
                self.note(&format!("process {process} goes on"));
                Process::Leads(leader)
            }
            (state, 7) => {
                self.note("the host is killed");
                self.host.kill();
                state
            }
            (_, 8) if self.rng.percent(30) => {
                self.note("the node reboots");
                self.host.reboot(self.now);
                self.processes.iter_mut().for_each(|process| *process = Process::Down);
                Process::Down
            }
            (state, 9) if self.rng.percent(50) => {
                self.skews[process] = self.rng.between(0, 120) as i64 - 60;
                self.note(&format!("the clock of process {process} is {} s off", self.skews[process]));
                state
            }
            (Process::Down, _) => {
                self.note(&format!("process {process} starts"));
                Process::StandsBy
            }
            (state, _) => state,
        };
        Ok(())
    }

    /// What a dead process had sent may arrive or not.
    fn lose_mail(&mut self, process: usize) {
        let rng = &mut self.rng;
        self.host.mail.retain(|(sender, _)| *sender != process || rng.percent(50));
    }

    fn turn(&mut self, process: usize, is_stormy: bool) -> Result<(), String> {
        let leads_now = |process: &Process| match process {
            Process::Leads(leader) => Some(leader.epoch),
            Process::Down | Process::StandsBy | Process::Frozen(_) => None,
        };
        if matches!(self.processes[process], Process::StandsBy) {
            let has_leader = self.processes.iter().filter_map(leads_now).any(|epoch| epoch == self.db.epoch);
            if has_leader {
                return Ok(());
            }
            self.note(&format!("process {process} takes over"));
            let now = self.clock_of(process);
            let leader = Leader::take_over(&mut self.db, &mut self.host, &self.config, self.mutation, now);
            self.processes[process] = Process::Leads(Box::new(leader));
        }
        if leads_now(&self.processes[process]).is_none() {
            return Ok(());
        }
        let crash = match self.rng.below(100) {
            _ if !is_stormy => Crash::No,
            0..2 => Crash::BeforeCommit,
            2..4 => Crash::AfterCommit,
            4..6 => Crash::AnswerLost,
            _ => Crash::No,
        };
        self.note(&format!("turn of process {process}, crash {crash:?}"));
        let now = self.clock_of(process);
        let Process::Leads(leader) = &mut self.processes[process] else { return Ok(()) };
        let mut cx = TurnContext {
            db: &mut self.db,
            host: &mut self.host,
            rng: &mut self.rng,
            config: &self.config,
            mutation: self.mutation,
            now,
            crash,
            share: if is_stormy { 40 } else { 100 },
            history: &mut self.history,
        };
        match leader.turn(&mut cx)? {
            Fate::Leads => {}
            Fate::StandsBy => self.processes[process] = Process::StandsBy,
            Fate::Dies => {
                self.lose_mail(process);
                self.processes[process] = Process::Down;
            }
        }
        Ok(())
    }

    fn clock_of(&self, process: usize) -> Timestamp {
        self.now + chrono::TimeDelta::seconds(self.skews[process])
    }

    fn act(&mut self, process: usize) -> Result<(), String> {
        if let Process::Leads(leader) = &mut self.processes[process] {
            leader.act(process, &self.db, &mut self.host);
        }
        Ok(())
    }

    fn deliver(&mut self) -> Result<(), String> {
        if self.host.mail.is_empty() {
            return Ok(());
        }
        let index = self.rng.below(self.host.mail.len() as u64) as usize;
        self.host.deliver(index, self.now, &self.db, &mut self.rng)?;
        check::processes(&self.db, &self.host)
    }

    fn next_instant(&self) -> Option<Timestamp> {
        let deadlines = self.processes.iter().filter_map(|process| match process {
            Process::Leads(leader) => leader.world.next_deadline(),
            Process::Down | Process::StandsBy | Process::Frozen(_) => None,
        });
        deadlines.chain(self.host.next_end()).min()
    }

    fn pass_time(&mut self, to: Option<Timestamp>) -> Result<(), String> {
        if let Some(to) = to {
            self.now = self.now.max(to);
            self.host.pass_time(self.now);
        }
        Ok(())
    }

    /// Faults stop, pools are ample, schedules end, nothing is paused: every run must end.
    fn calm(&mut self) -> Result<(), String> {
        self.note("calm");
        for pool in POOLS {
            self.db.pools.insert(pool.parse().expect("valid"), Some(100));
        }
        for index in 0..DAGS {
            self.settle_dag(index);
        }
        self.processes = vec![Process::StandsBy];
        self.skews = vec![0];
        for _ in 0..CALM_STEPS_MAX {
            self.turn(0, false)?;
            while let Process::Leads(leader) = &self.processes[0]
                && !leader.todo.is_empty()
            {
                self.act(0)?;
            }
            while !self.host.mail.is_empty() {
                self.deliver()?;
            }
            self.pass_time(Some(self.now))?;
            if self.is_over() {
                return check::end(&self.db, &self.host, &self.config);
            }
            let has_more = matches!(&self.processes[0], Process::Leads(leader) if leader.world.has_more());
            if !has_more {
                self.pass_time(self.next_instant())?;
            }
        }
        Err(format!("NO-STUCK: {}", self.unfinished()))
    }

    fn settle_dag(&mut self, index: usize) {
        let dag = dag_id(index);
        let rec = &self.db.dags[&dag];
        let last = rec.current.or_else(|| {
            let of_dag = |version: &&gridflow_core::DagVersionId| *self.db.versions[*version].id() == dag;
            self.db.versions.keys().find(of_dag).copied()
        });
        let definition = without_schedule(&self.db.versions[&last.expect("each DAG has had a version")]);
        let version = gridflow_core::DagVersionId(uuid::Uuid::from_u128(index as u128 + 1));
        self.db.versions.insert(version, definition.into());
        self.db.dags.get_mut(&dag).expect("known").current = Some(version);
        people::pause(&mut self.db, dag, false, &mut self.rng);
    }

    fn is_over(&self) -> bool {
        self.db.inbox.is_empty()
            && self.db.events.values().all(|event| event.outcome.is_some())
            && self.db.runs.values().all(|run| run.state.is_finished())
            && self.db.open_attempts().next().is_none()
    }

    fn unfinished(&self) -> String {
        let Process::Leads(leader) = &self.processes[0] else { return "nobody leads".to_owned() };
        let mut out = format!(
            "next deadline {:?}, inbox {}, open attempts {}",
            leader.world.next_deadline(),
            self.db.inbox.len(),
            self.db.open_attempts().count()
        );
        for run in self.db.runs.values().filter(|run| run.state == RunState::Queued) {
            out +=
                &format!("\nrun {}: {:?}", run.queued.key, gridflow_core::explain_run(&leader.world, run.queued.key));
        }
        for ti in self.db.tis.values().filter(|ti| !ti.to.is_finished()) {
            let why = gridflow_core::explain(&leader.world, ti.key);
            out += &format!("\n{:?} is {}: {why:?}", ti.key, ti.to.as_str());
        }
        out
    }

    fn note(&mut self, text: &str) {
        self.history.push(format!("{}  {text}", self.now.format("%H:%M:%S")));
    }
}
