//! DAGs whose commands write down what happens to them, and the rules that they promise to keep.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result};

use crate::{
    Clock, Cluster, Pods, Program, Proxy,
    check::{self, Losses, Outputs, Rules},
    evidence::{Asked, Evidence, LIBRARY, Run, marks},
    lookout::Lookout,
    remains, wait_for,
};

/// Commands of all DAGs at once, where there is no crowd.
const PARALLELISM: usize = 24;
/// More than any history loses, so a run that failed would be one that was wrongly given up.
const LOSSES_MAX: &str = "100000";
const PATIENCE: Duration = Duration::from_secs(60);
const POOLS: [(&str, usize); 2] = [("wide", 10), ("narrow", 3)];

/// One command each; runs of these are asked for.
pub const DAGS: [&str; 5] = ["fan", "flaky", "parent", "crowded", "littering"];

/// The DAG of one crowd of commands.
pub const CROWD: &str = "crowd";

/// A DAG: its name, its text, and what it promises.
#[derive(Debug)]
struct Promise {
    dag: &'static str,
    text: &'static str,
    max_active_tasks: usize,
    max_active_runs: usize,
    /// Task, pool, slots.
    slots: &'static [(&'static str, &'static str, usize)],
}

/// DAGs whose tasks run as pods, where there is a Kubernetes; runs of these are asked for.
pub const POD_DAGS: [&str; 2] = ["pods", "flaky_pods"];

/// Slots of [`POD_DAGS`]: pods at once.
const PODS: (&str, usize) = ("pods", 5);

/// Seconds are long for a pod, which takes some to start.
const POD_PROMISES: [Promise; 2] = [
    Promise {
        dag: "pods",
        text: "
defaults: {executor: kubernetes, pool: pods}
tasks:
  a: {bash: '. $LIBRARY; work 0.1'}
  b: {needs: a, bash: '. $LIBRARY; work 1.0'}
  c: {needs: a, pool_slots: 2, bash: '. $LIBRARY; work 0.5'}
  here: {needs: a, executor: local, pool: default_pool, bash: '. $LIBRARY; work 0.1'}
  end: {needs: [b, c, here], empty: {}}
",
        max_active_tasks: 2,
        max_active_runs: 3,
        slots: &[("a", "pods", 1), ("b", "pods", 1), ("c", "pods", 2)],
    },
    Promise {
        dag: "flaky_pods",
        text: "
defaults: {executor: kubernetes, pool: pods, retries: 1, retry_delay: 100ms}
tasks:
  fails_once: {bash: '. $LIBRARY; work 0.1; test $GRIDFLOW_TRY_NUMBER -ge 2'}
",
        max_active_tasks: 16,
        max_active_runs: 4,
        slots: &[("fails_once", "pods", 1)],
    },
];

/// `work SECONDS` begins each command: its marks, its time, its output.
const PROMISES: [Promise; 7] = [
    Promise {
        dag: "fan",
        text: "
tasks:
  begin: {bash: '. $LIBRARY; work 0.0'}
  a: {needs: begin, pool: wide, bash: '. $LIBRARY; work 0.1'}
  b: {needs: begin, pool: wide, bash: '. $LIBRARY; work 0.2'}
  c: {needs: begin, pool: wide, bash: '. $LIBRARY; work 0.3'}
  d: {needs: begin, pool: wide, bash: '. $LIBRARY; work 0.4'}
  e: {needs: begin, pool: wide, pool_slots: 2, bash: '. $LIBRARY; work 0.5'}
  f: {needs: begin, pool: wide, bash: '. $LIBRARY; work 2.0'}
  join: {needs: [a, b, c, d, e, f], empty: {}}
  end: {needs: join, bash: '. $LIBRARY; work 0.0'}
",
        max_active_tasks: 4,
        max_active_runs: 3,
        slots: &[
            ("a", "wide", 1),
            ("b", "wide", 1),
            ("c", "wide", 1),
            ("d", "wide", 1),
            ("e", "wide", 2),
            ("f", "wide", 1),
        ],
    },
    Promise {
        dag: "flaky",
        text: "
defaults: {retries: 2, retry_delay: 200ms}
tasks:
  fails_once: {bash: '. $LIBRARY; work 0.1; test $GRIDFLOW_TRY_NUMBER -ge 2'}
  after: {needs: fails_once, bash: '. $LIBRARY; work 0.1'}
",
        max_active_tasks: 16,
        max_active_runs: 4,
        slots: &[],
    },
    Promise {
        dag: "parent",
        text: "
tasks:
  before: {bash: '. $LIBRARY; work 0.0'}
  call: {needs: before, trigger_dag: {dag: child, wait_for_completion: true}}
  after: {needs: call, bash: '. $LIBRARY; work 0.0'}
",
        max_active_tasks: 16,
        max_active_runs: 4,
        slots: &[],
    },
    Promise {
        dag: "child",
        text: "
tasks:
  a: {bash: '. $LIBRARY; work 0.2'}
  b: {needs: a, bash: '. $LIBRARY; work 0.1'}
",
        max_active_tasks: 16,
        max_active_runs: 2,
        slots: &[],
    },
    Promise {
        dag: "crowded",
        text: "
defaults: {pool: narrow}
tasks:
  a: {pool_slots: 2, bash: '. $LIBRARY; work 0.2'}
  b: {bash: '. $LIBRARY; work 0.3'}
  c: {bash: '. $LIBRARY; work 0.1'}
",
        max_active_tasks: 16,
        max_active_runs: 16,
        slots: &[("a", "narrow", 2), ("b", "narrow", 1), ("c", "narrow", 1)],
    },
    Promise {
        dag: "littering",
        text: "
tasks:
  leaves: {bash: '. $LIBRARY; leave_behind 0.4; work 0.1'}
  after: {needs: leaves, bash: '. $LIBRARY; work 0.0'}
",
        max_active_tasks: 16,
        max_active_runs: 4,
        slots: &[],
    },
    Promise {
        dag: "landed",
        text: "
trigger: {file: {path: '@in', suffix: .csv, ripen: {stable_for: 50ms}, existing: fire}}
tasks:
  take: {bash: '. $LIBRARY; work 0.1'}
",
        max_active_tasks: 16,
        max_active_runs: 4,
        slots: &[],
    },
];

fn one_of_crowd(no: usize) -> String {
    format!("t{no}")
}

fn limits(parallelism: &str) -> [(&str, &str); 2] {
    [("GRIDFLOW__SCHEDULER__PARALLELISM", parallelism), ("GRIDFLOW__SCHEDULER__LOSSES_MAX", LOSSES_MAX)]
}

/// A cluster with these DAGs.
#[derive(Debug)]
pub struct Workload {
    pub cluster: Cluster,
    /// Tasks of [`CROWD`] that may all run at once, but for [`Self::parallelism`]. None: there is no such DAG.
    crowd: usize,
    parallelism: usize,
    promises: Vec<&'static Promise>,
    pods: Option<PodShare>,
}

/// What some of the commands run in.
#[derive(Debug)]
struct PodShare {
    pods: Pods,
    lookout: Lookout,
}

impl Workload {
    /// Writes the DAGs, starts a first scheduler to have them published and ends it again.
    pub fn begin(cluster: Cluster) -> Result<Self> {
        Self::made_of(cluster, PROMISES.iter().collect(), 0, None)
    }

    /// The same with one more DAG, of so many commands that take some seconds, four of five at once; and with
    /// [`POD_DAGS`], where there are pods.
    pub fn crowded(cluster: Cluster, crowd: usize, pods: Option<Pods>) -> Result<Self> {
        let of_pods = POD_PROMISES.iter().filter(|_| pods.is_some());
        let promises = PROMISES.iter().chain(of_pods).collect();
        Self::made_of(cluster, promises, crowd, pods)
    }

    /// Only [`POD_DAGS`].
    pub fn of_pods(cluster: Cluster, pods: Pods) -> Result<Self> {
        Self::made_of(cluster, POD_PROMISES.iter().collect(), 0, Some(pods))
    }

    fn made_of(
        mut cluster: Cluster,
        promises: Vec<&'static Promise>,
        crowd: usize,
        pods: Option<Pods>,
    ) -> Result<Self> {
        cluster.tell(pods.iter().flat_map(Pods::arguments));
        let work = "work() { sleep \"$1\"; printf '\"%s\"' \"$GRIDFLOW_ATTEMPT_ID\" > \"$GRIDFLOW_OUTPUT\"; }\n";
        fs::write(cluster.path("library.sh"), format!("{LIBRARY}{work}")).context("writing the library")?;
        fs::create_dir(cluster.path("in"))?;
        // Beside what others run.
        let for_pods = if pods.is_some() { PODS.1 } else { 0 };
        let share = |pods| -> Result<_> { Ok(PodShare { pods, lookout: Lookout::begin(cluster.path("marks"))? }) };
        let pods = pods.map(share).transpose()?;
        let workload = Self { cluster, crowd, parallelism: PARALLELISM.max(crowd * 4 / 5) + for_pods, promises, pods };
        for promise in &workload.promises {
            workload.save(promise, "first")?;
        }
        let mut dags = workload.promises.len();
        if 0 < crowd {
            let task = |no| format!("  {}: {{pool: {CROWD}, bash: '. $LIBRARY; work 4.0'}}\n", one_of_crowd(no));
            let tasks: String = (0..crowd).map(task).collect();
            workload.save_dag("first", CROWD, crowd, 1, &format!("\ntasks:\n{tasks}"))?;
            dags += 1;
        }
        let first = workload.cluster.scheduler("first")?;
        workload.cluster.until("SELECT count(*) FROM dag", &dags.to_string()).context(first.log())?;
        for (pool, slots) in workload.pools() {
            workload.cluster.sql(&format!("INSERT INTO pool (name, slots) VALUES ('{pool}', {slots})"))?;
        }
        first.kill()?;
        Ok(workload)
    }

    /// A scheduler with this workload's limits.
    pub fn scheduler(&self, name: &str, proxy: Option<&Proxy>) -> Result<Program> {
        let parallelism = self.parallelism.to_string();
        let limits = limits(&parallelism);
        match proxy {
            Some(proxy) => self.cluster.scheduler_through(name, proxy, &limits),
            None => self.cluster.scheduler_with(name, &limits),
        }
    }

    /// The same with a clock that may be set.
    pub fn scheduler_with_clock(&self, name: &str, proxy: &Proxy, clock: &Clock) -> Result<Program> {
        let parallelism = self.parallelism.to_string();
        let env = [limits(&parallelism), clock.environment()].concat();
        self.cluster.scheduler_through(name, proxy, &env)
    }

    /// The same in a container of its own.
    pub fn scheduler_contained(&self, name: &str) -> Result<Program> {
        self.cluster.scheduler_contained(name, &limits(&self.parallelism.to_string()))
    }

    /// Asks for that many runs of each of [`DAGS`].
    pub fn ask(&self, prefix: &str, each: usize) -> Result<Vec<(String, String)>> {
        self.ask_for(&DAGS, prefix, each)
    }

    /// Asks for that many runs of each of these.
    pub fn ask_for(&self, dags: &[&str], prefix: &str, each: usize) -> Result<Vec<(String, String)>> {
        let mut accepted = Vec::new();
        for no in 0..each {
            for dag in dags.iter().copied() {
                let run_id = format!("{prefix}-{no}");
                self.cluster.queue_run(dag, &run_id)?;
                accepted.push((dag.to_owned(), run_id));
            }
        }
        Ok(accepted)
    }

    /// Waits until that many commands run, as they themselves say: the tables may speak of those that were killed.
    pub fn wait_for_running(&self, at_least: usize) -> Result<()> {
        wait_for("running commands", PATIENCE, || Ok((at_least <= marks::running(&self.marks())?).then_some(())))
            .with_context(|| self.unfinished())
    }

    /// Saves one of the DAGs again; each note makes another version of it.
    pub fn edit(&self, no: usize, note: &str) -> Result<()> {
        self.save(self.promises[no % self.promises.len()], note)
    }

    fn save(&self, promise: &Promise, note: &str) -> Result<()> {
        let Promise { dag, text, max_active_tasks, max_active_runs, .. } = promise;
        self.save_dag(note, dag, *max_active_tasks, *max_active_runs, text)
    }

    fn save_dag(
        &self,
        note: &str,
        dag: &str,
        max_active_tasks: usize,
        max_active_runs: usize,
        text: &str,
    ) -> Result<()> {
        let path = |name: &str| self.cluster.path(name).display().to_string();
        let text = format!(
            "# {note}\ndag: {dag}\nmax_active_tasks: {max_active_tasks}\nmax_active_runs: {max_active_runs}\n\
             env: {{LIBRARY: '{}', MARKS: '{}'}}{}",
            path("library.sh"),
            path("marks"),
            text.replace("@in", &path("in")),
        );
        self.cluster.save_dag(&format!("{dag}.yaml"), &text)
    }

    /// Lets a file land that makes a run.
    pub fn land(&self, name: &str) -> Result<()> {
        let draft = self.cluster.path("in/.draft");
        fs::write(&draft, name)?;
        fs::rename(draft, self.cluster.path("in").join(name)).context("landing a file")
    }

    /// Where pods run, if any do.
    pub fn pods(&self) -> Option<&Pods> {
        self.pods.as_ref().map(|share| &share.pods)
    }

    /// Ends everything on this node at once, makes sure that nothing is left, and writes that down.
    pub fn kill_everything(&self) -> Result<()> {
        self.cluster.kill_everything();
        let dir = self.cluster.path("");
        wait_for("the end of all processes", Duration::from_secs(10), || {
            remains::end_here(&dir);
            Ok(remains::naming_here(&dir).is_empty().then_some(()))
        })?;
        let mut marks = OpenOptions::new().append(true).create(true).open(self.marks())?;
        writeln!(marks, "killed {}", now_us()).context("writing down that everything was killed")
    }

    fn pools(&self) -> impl Iterator<Item = (&'static str, usize)> {
        POOLS.into_iter().chain((0 < self.crowd).then_some((CROWD, self.crowd))).chain(self.pods.iter().map(|_| PODS))
    }

    pub fn marks(&self) -> PathBuf {
        self.cluster.path("marks")
    }

    pub fn rules(&self, losses: Losses) -> Rules {
        let name = |text: &str| text.to_owned();
        Rules {
            parallelism: self.parallelism,
            pools: self.pools().map(|(pool, slots)| (name(pool), slots)).collect(),
            slots: self
                .promises
                .iter()
                .flat_map(|promise| promise.slots.iter().map(|slots| (promise.dag, *slots)))
                .map(|(dag, (task, pool, slots))| ((name(dag), name(task)), (name(pool), slots)))
                .chain((0..self.crowd).map(|no| ((name(CROWD), one_of_crowd(no)), (name(CROWD), 1))))
                .collect(),
            max_active_tasks: self
                .promises
                .iter()
                .map(|promise| (name(promise.dag), promise.max_active_tasks))
                .chain([(name(CROWD), self.crowd)])
                .collect(),
            max_active_runs: self
                .promises
                .iter()
                .map(|promise| (name(promise.dag), promise.max_active_runs))
                .chain([(name(CROWD), 1)])
                .collect(),
            losses,
            outputs: Outputs::AttemptId,
        }
    }

    /// Waits until every run has ended and nothing is left to do; else says what waits for what.
    pub fn wait_until_idle(&self, within: Duration) -> Result<()> {
        const UNFINISHED: &str = "SELECT (SELECT count(*) FROM dag_run WHERE state NOT IN ('success', 'failed'))
            + (SELECT count(*) FROM attempt WHERE is_open) + (SELECT count(*) FROM inbox)
            + (SELECT count(*) FROM event WHERE outcome IS NULL)";
        wait_for("the end of all runs", within, || {
            Ok(self.cluster.sql(UNFINISHED).is_ok_and(|count| count == "0").then_some(()))
        })
        .with_context(|| self.unfinished())
    }

    /// What has not ended, for people.
    fn unfinished(&self) -> String {
        let parts = [
            "SELECT dag_id, run_id, state, reason FROM dag_run WHERE state NOT IN ('success', 'failed')",
            "SELECT run.dag_id, run.run_id, task_no, ti.state, ti.reason, ti.retry_at, ti.waits_for_run
             FROM task_instance AS ti JOIN dag_run AS run ON run.id = ti.dag_run_id
             WHERE run.state = 'running' AND ti.state NOT IN ('none', 'success')",
            "SELECT attempt_id, state, queued_turn, queued_at, started_at, pid FROM attempt WHERE is_open",
            "SELECT id, kind, subject, created_at FROM inbox",
            "SELECT * FROM leader",
        ];
        let parts = parts.map(|sql| self.cluster.sql(sql).unwrap_or_else(|error| format!("{error:#}")));
        format!("runs, task instances, attempts, inbox, leader:\n{}", parts.join("\n--\n"))
    }

    /// What became of a run, for people.
    fn story(&self, dag: &str, run_id: &str) -> String {
        let run = format!("(SELECT id FROM dag_run WHERE dag_id = '{dag}' AND run_id = '{run_id}')");
        let parts = [
            format!("SELECT * FROM transition_log WHERE dag_run_id = {run} ORDER BY turn"),
            format!("SELECT task_no, state, reason, waits_for_run FROM task_instance WHERE dag_run_id = {run}"),
            format!(
                "SELECT task_no, try_number, attempt_id, outcome, exit_code, signal, message, queued_at, started_at,
                   ended_at FROM attempt WHERE dag_run_id = {run} ORDER BY queued_at"
            ),
            format!("SELECT dag_id, run_id, state, reason FROM dag_run WHERE parent_run_id = {run}"),
            format!("SELECT * FROM command WHERE payload::text LIKE '%' || {run} || '%'"),
        ];
        parts.map(|sql| self.cluster.sql(&sql).unwrap_or_else(|error| format!("{error:#}"))).join("\n--\n")
    }

    /// Reads what is left and checks all of it.
    pub fn check(&self, asked: impl Into<Asked>, losses: Losses) -> Result<Evidence> {
        let mut evidence = Evidence::read(&self.cluster, &self.marks(), asked.into())?;
        if let Some(share) = &self.pods {
            evidence.last_seen = Some(share.lookout.last_seen());
            let alive = remains::pods_naming(&self.marks());
            anyhow::ensure!(alive.is_empty(), "all attempts are closed, and commands live in these pods: {alive:?}");
            share.pods.until_tidy(PATIENCE)?;
        }
        check::check(&evidence, &self.rules(losses))?;
        let is_cancelled = |run: &Run| evidence.cancelled.contains(&(run.dag.clone(), run.run_id.clone()));
        if let Some(run) = evidence.runs.iter().find(|run| run.state != "success" && !is_cancelled(run)) {
            let Run { run_id, dag, state, reason, .. } = run;
            let story = self.story(dag, run_id);
            anyhow::bail!("run {run_id} of {dag} is {state}: {reason}; its story:\n{story}");
        }
        Ok(evidence)
    }
}

pub fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
