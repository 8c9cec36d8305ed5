//! One history: a storm of steps in random order, then calm until everything has ended.

use gridflow_core::{RunState, Timestamp, WorldConfig};

use crate::{
    Mutation, check,
    cluster::Cluster,
    dags::{DAGS, POOLS, dag_id, without_schedule},
    db::Db,
    host::Host,
    people,
    rng::Rng,
    shell::{Crash, Fate, Leader, TurnContext},
    story::Story,
};

pub struct Scenario {
    rng: Rng,
    db: Db,
    /// One for each node.
    hosts: Vec<Host>,
    cluster: Cluster,
    processes: Vec<Process>,
    /// The node of each process.
    node_of: Vec<usize>,
    /// Where the newest leader took over.
    leading_node: usize,
    /// How far each process's clock is off, in seconds; clocks are set now and then.
    skews: Vec<i64>,
    now: Timestamp,
    config: WorldConfig,
    mutation: Mutation,
    pub story: Story,
}

enum Process {
    Down,
    StandsBy,
    Leads(Box<Leader>),
    /// Stopped by a signal; may go on after another has taken over.
    Frozen(Box<Leader>),
}

/// Until all is over. Runs that trigger runs, and are tried again, need thousands.
const CALM_STEPS_MAX: usize = 100_000;
/// Without the end of another run.
const IDLE_STEPS_MAX: usize = 4_000;

impl Scenario {
    pub fn new(seed: u64, mutation: Mutation, mut story: Story) -> Self {
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
        story.note(|| format!("seed {seed}: {config:?}"));
        for index in 0..DAGS {
            people::change_dag(&mut db, &dag_id(index), now, &mut rng, &mut story);
        }
        for pool in &POOLS[..2] {
            db.pools.insert(pool.parse().expect("valid"), Some(rng.between(1, 4) as u32));
        }
        let node_of: Vec<usize> = rng.pick::<&[usize]>(&[&[0, 0], &[0, 1], &[0, 0, 1]]).to_vec();
        let nodes = node_of[node_of.len() - 1] + 1;
        Self {
            db,
            hosts: (0..nodes).map(|node| Host::new(node, mutation)).collect(),
            cluster: Cluster::new(mutation),
            processes: node_of.iter().map(|_| Process::StandsBy).collect(),
            skews: vec![0; node_of.len()],
            node_of,
            leading_node: 0,
            rng,
            now,
            config,
            mutation,
            story,
        }
    }

    pub fn play(&mut self) -> Result<(), String> {
        let steps = self.rng.between(60, 180);
        for _ in 0..steps {
            self.stormy_step()?;
        }
        self.calm()
    }

    fn stormy_step(&mut self) -> Result<(), String> {
        let process = self.rng.below(self.processes.len() as u64) as usize;
        match self.rng.below(100) {
            0..38 => self.turn(process, true),
            38..48 => self.deliver(self.node_of[process]),
            48..52 => self.deliver_to_cluster(),
            52..64 => self.act(process),
            64..76 => {
                let seconds = self.rng.between(0, 120);
                self.pass_time(Some(self.now + chrono::TimeDelta::seconds(seconds as i64)))
            }
            76..82 => self.pass_time(self.next_instant()),
            82..94 => {
                people::request(&mut self.db, self.now, &mut self.rng, &mut self.story);
                Ok(())
            }
            _ => self.fault(process),
        }
    }

    fn fault(&mut self, process: usize) -> Result<(), String> {
        let node = self.node_of[process];
        let state = std::mem::replace(&mut self.processes[process], Process::Down);
        self.processes[process] = match (state, self.rng.below(10)) {
            (Process::Leads(leader) | Process::Frozen(leader), 0..3) => {
                let todo = leader.todo.len();
                self.note(|| format!("process {process} is killed with {todo} actions to do"));
                self.lose_mail(process);
                Process::Down
            }
            (Process::StandsBy, 0..3) => {
                self.note(|| format!("process {process} is killed"));
                self.lose_mail(process);
                Process::Down
            }
            (Process::Leads(leader), 3..7) => {
                self.note(|| format!("process {process} is stopped"));
                Process::Frozen(leader)
            }
            (Process::Frozen(leader), 3..7) => {
                self.note(|| format!("process {process} goes on"));
                Process::Leads(leader)
            }
            (state, 7) => {
                self.note(|| "the host is killed".to_owned());
                self.hosts[node].kill();
                state
            }
            (_, 8) if self.rng.percent(30) => {
                self.note(|| format!("node {node} reboots"));
                self.hosts[node].reboot(self.now);
                let of_node = |(other, _): &(&usize, &mut Process)| **other == node;
                let dead = self.node_of.iter().zip(&mut self.processes).filter(of_node);
                dead.for_each(|(_, process)| *process = Process::Down);
                Process::Down
            }
            (state, 9) if self.rng.percent(50) => {
                let most = if self.rng.percent(20) { 4_000 } else { 60 };
                let skew = self.rng.between(0, 2 * most) as i64 - most as i64;
                self.note(|| format!("the clock of process {process} is set to {skew} s off"));
                self.skews[process] = skew;
                state
            }
            (state, 9) => {
                self.note(|| "somebody interferes with a pod".to_owned());
                self.cluster.interfere(self.now, &mut self.rng);
                state
            }
            (Process::Down, _) => {
                self.note(|| format!("process {process} starts"));
                Process::StandsBy
            }
            (state, _) => state,
        };
        Ok(())
    }

    /// What a dead process had sent may arrive or not.
    fn lose_mail(&mut self, process: usize) {
        let rng = &mut self.rng;
        let host = &mut self.hosts[self.node_of[process]];
        host.mail.retain(|(sender, _)| *sender != process || rng.percent(50));
        self.cluster.mail.retain(|(sender, _)| *sender != process || rng.percent(50));
    }

    fn turn(&mut self, process: usize, is_stormy: bool) -> Result<(), String> {
        let leads_now = |process: &Process| match process {
            Process::Leads(leader) => Some(leader.epoch),
            Process::Down | Process::StandsBy | Process::Frozen(_) => None,
        };
        if matches!(self.processes[process], Process::StandsBy) {
            let has_leader = self.processes.iter().filter_map(leads_now).any(|epoch| epoch == self.db.epoch);
            if has_leader {
                self.tend(process, is_stormy);
                return Ok(());
            }
            self.note(|| format!("process {process} takes over"));
            let now = self.clock_of(process);
            self.leading_node = self.node_of[process];
            let host = &mut self.hosts[self.leading_node];
            let leader = Leader::take_over(&mut self.db, host, &self.config, self.mutation, now);
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
        self.note(|| format!("turn of process {process}, crash {crash:?}"));
        let now = self.clock_of(process);
        let Process::Leads(leader) = &mut self.processes[process] else { return Ok(()) };
        let mut cx = TurnContext {
            db: &mut self.db,
            hosts: &mut self.hosts,
            cluster: &mut self.cluster,
            node: self.node_of[process],
            rng: &mut self.rng,
            config: &self.config,
            mutation: self.mutation,
            now,
            crash,
            share: if is_stormy { 40 } else { 100 },
            story: &mut self.story,
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

    /// A standby looks after its own node, unless the leader does.
    fn tend(&mut self, process: usize, is_stormy: bool) {
        let node = self.node_of[process];
        if node != self.leading_node {
            self.note(|| format!("process {process} tends node {node}"));
            let (share, now) = (if is_stormy { 40 } else { 100 }, self.clock_of(process));
            self.hosts[node].tend(process, now, &mut self.db, share, &mut self.rng);
        }
    }

    fn clock_of(&self, process: usize) -> Timestamp {
        self.now + chrono::TimeDelta::seconds(self.skews[process])
    }

    fn act(&mut self, process: usize) -> Result<(), String> {
        if let Process::Leads(leader) = &mut self.processes[process] {
            if leader.epoch < self.db.epoch && !leader.todo.is_empty() {
                self.story.note(|| format!("process {process} acts for a past epoch"));
            }
            leader.act(process, &self.db, &mut self.hosts[self.node_of[process]], &mut self.cluster);
        }
        Ok(())
    }

    fn deliver(&mut self, node: usize) -> Result<(), String> {
        let host = &mut self.hosts[node];
        if host.mail.is_empty() {
            return Ok(());
        }
        let index = self.rng.below(host.mail.len() as u64) as usize;
        host.deliver(index, self.now, &self.db, &mut self.rng, &mut self.story)?;
        check::processes(&self.db, &self.hosts, &self.cluster)
    }

    fn deliver_to_cluster(&mut self) -> Result<(), String> {
        if self.cluster.mail.is_empty() {
            return Ok(());
        }
        let index = self.rng.below(self.cluster.mail.len() as u64) as usize;
        self.cluster.deliver(index, self.now, &self.db, &mut self.rng, &mut self.story)?;
        check::processes(&self.db, &self.hosts, &self.cluster)
    }

    fn next_instant(&self) -> Option<Timestamp> {
        let deadlines = self.processes.iter().filter_map(|process| match process {
            Process::Leads(leader) => leader.world.next_deadline(),
            Process::Down | Process::StandsBy | Process::Frozen(_) => None,
        });
        let hosts = self.hosts.iter().filter_map(Host::next_end);
        deadlines.chain(hosts).chain(self.cluster.next_end()).min()
    }

    fn pass_time(&mut self, to: Option<Timestamp>) -> Result<(), String> {
        if let Some(to) = to {
            self.now = self.now.max(to);
            self.hosts.iter_mut().for_each(|host| host.pass_time(self.now));
            self.cluster.pass_time(self.now);
        }
        Ok(())
    }

    /// Faults stop, pools are ample, schedules end, nothing is paused: every run must end.
    fn calm(&mut self) -> Result<(), String> {
        self.note(|| "calm".to_owned());
        for pool in POOLS {
            self.db.pools.insert(pool.parse().expect("valid"), Some(100));
        }
        for index in 0..DAGS {
            self.settle_dag(index);
        }
        if self.rng.percent(70) {
            (self.config.parallelism, self.config.rows_max) = (32, 4_000);
        }
        // A scheduler on each node, the clocks right.
        self.node_of = (0..self.hosts.len()).collect();
        self.rng.shuffle(&mut self.node_of);
        self.processes = self.node_of.iter().map(|_| Process::StandsBy).collect();
        self.skews = vec![0; self.node_of.len()];
        let (mut ended, mut idle) = (0, 0);
        for _ in 0..CALM_STEPS_MAX {
            for process in 0..self.processes.len() {
                self.turn(process, false)?;
            }
            while let Process::Leads(leader) = &self.processes[0]
                && !leader.todo.is_empty()
            {
                self.act(0)?;
            }
            for node in 0..self.hosts.len() {
                while !self.hosts[node].mail.is_empty() {
                    self.deliver(node)?;
                }
            }
            while !self.cluster.mail.is_empty() {
                self.deliver_to_cluster()?;
            }
            self.pass_time(Some(self.now))?;
            let ended_now = self.db.runs.values().filter(|run| run.state.is_finished()).count();
            idle = if ended_now == ended { idle + 1 } else { 0 };
            ended = ended_now;
            if IDLE_STEPS_MAX < idle {
                break;
            }
            if self.is_over() {
                return check::end(&self.db, &self.hosts, &self.cluster, &self.config);
            }
            let has_more = matches!(&self.processes[0], Process::Leads(leader) if leader.world.has_more());
            if !has_more {
                let late = chrono::TimeDelta::seconds(self.rng.below(300) as i64);
                self.pass_time(self.next_instant().map(|at| at + late))?;
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
        people::pause(&mut self.db, dag, false, &mut self.rng, &mut self.story);
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

    fn note(&mut self, text: impl FnOnce() -> String) {
        self.story.note(|| format!("{}  {}", self.now.format("%H:%M:%S"), text()));
    }
}
