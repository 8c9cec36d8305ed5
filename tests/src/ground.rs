//! Where one run of one DAG is tried: a database, a folder of DAGs, and an executor.

use std::{borrow::Cow, cell::RefCell, collections::HashMap, fs::OpenOptions, io::Write, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use gridflow_testkit::{
    kubernetes::{self, Rights},
    spark::Operator,
};

use crate::{
    Cluster, Pods, Program, Wire,
    check::{self, Losses, Outputs, Rules},
    drivers,
    evidence::{Asked, Evidence, LIBRARY},
    remains, wait_for,
    workload::now_us,
};

/// Pods take seconds, on a machine that is busy with others.
/// An API server that was killed may hear from etcd what becomes of pods more than a minute late. Until then nobody does:
/// neither Gridflow, nor what puts pods on nodes.
const PATIENCE: Duration = Duration::from_secs(300);
const PARALLELISM: usize = 128;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Executor {
    Local,
    Kubernetes,
    /// Each command is run by the driver of a SparkApplication.
    Spark,
}

#[derive(Debug)]
pub struct Ground {
    pub cluster: Cluster,
    pub executor: Executor,
    /// Of its schedulers, where they are not an administrator's.
    _rights: Option<Rights>,
    pods: Option<Pods>,
    operator: Option<Operator>,
    asked: RefCell<Asked>,
}

impl Ground {
    /// Nothing where this machine can't have such an executor.
    pub fn new(executor: Executor) -> Result<Option<Self>> {
        match executor {
            Executor::Local => Self::local().map(Some),
            Executor::Kubernetes => kubernetes::Cluster::shared()?.map(|it| Self::with_pods(&it)).transpose(),
            Executor::Spark => Self::with_drivers(),
        }
    }

    fn local() -> Result<Self> {
        let cluster = Cluster::new(&[])?;
        std::fs::write(cluster.path("library.sh"), LIBRARY).context("writing the library")?;
        Ok(Self {
            cluster,
            executor: Executor::Local,
            _rights: None,
            pods: None,
            operator: None,
            asked: RefCell::default(),
        })
    }

    fn with_drivers() -> Result<Option<Self>> {
        let Some(kubernetes) = kubernetes::Cluster::shared()? else { return Ok(None) };
        let operator = Operator::shared(&kubernetes)?;
        operator.map(|operator| Self::with_operator(&kubernetes, operator)).transpose()
    }

    /// Its schedulers may do what the shipped manifest lets them, and no more.
    pub fn with_operator(kubernetes: &Arc<kubernetes::Cluster>, operator: Operator) -> Result<Self> {
        let ground = Self::with_pods(kubernetes)?;
        operator.prepare(&ground.pods().namespace)?;
        drivers::prepare(&ground.cluster, ground.pods())?;
        let kubeconfig = ground.cluster.path("kubeconfig");
        let rights = ground.pods().namespace.rights(&kubeconfig)?;
        ground.pods().change_cluster(|test| test["kubeconfig"] = kubeconfig.display().to_string().into())?;
        Ok(Self { executor: Executor::Spark, _rights: Some(rights), operator: Some(operator), ..ground })
    }

    pub fn with_pods(kubernetes: &Arc<kubernetes::Cluster>) -> Result<Self> {
        let mut ground = Self::local()?;
        let pods = Pods::new(kubernetes, &ground.cluster)?;
        (ground.pods, ground.executor) = (Some(pods), Executor::Kubernetes);
        Ok(ground)
    }

    /// Its schedulers reach the API server by a wire that can fail.
    pub fn wired(kubernetes: &Arc<kubernetes::Cluster>) -> Result<(Self, Wire)> {
        let mut ground = Self::local()?;
        let (pods, wire) = Pods::wired(kubernetes, &ground.cluster)?;
        (ground.pods, ground.executor) = (Some(pods), Executor::Kubernetes);
        Ok((ground, wire))
    }

    /// What makes its drivers.
    pub fn operator(&self) -> &Operator {
        self.operator.as_ref().expect("a test on drivers has asked for them")
    }

    /// Where its pods are.
    pub fn pods(&self) -> &Pods {
        self.pods.as_ref().expect("a test on pods has asked for them")
    }

    /// Starts a scheduler.
    pub fn scheduler(&self, name: &str) -> Result<Program> {
        self.scheduler_with(name, &[])
    }

    /// The same with more in its environment.
    pub fn scheduler_with(&self, name: &str, more: &[(&str, &str)]) -> Result<Program> {
        match &self.pods {
            None => self.cluster.scheduler_with(name, more),
            Some(pods) => self.cluster.scheduler_told(name, &pods.arguments(), more),
        }
    }

    /// Writes the DAG `d` for this executor. Commands that begin with `. $LIBRARY;` write down their starts and ends.
    pub fn save(&self, text: &str) -> Result<()> {
        let (executor, text) = match self.executor {
            Executor::Local => ("", Cow::Borrowed(text)),
            Executor::Kubernetes => ("executor: kubernetes\n", Cow::Borrowed(text)),
            Executor::Spark => ("", Cow::Owned(drivers::as_spark(text))),
        };
        let (library, marks) = (self.cluster.path("library.sh"), self.cluster.path("marks"));
        let env = format!("env: {{LIBRARY: '{}', MARKS: '{}'}}", library.display(), marks.display());
        // Where the text says nothing else.
        let limit = if text.contains("max_active_tasks:") { "" } else { "max_active_tasks: 64\n" };
        self.cluster.save_dag("d.yaml", &format!("dag: d\n{limit}{executor}{env}\n{text}"))
    }

    /// Saves the DAG, starts a scheduler and asks for a run.
    pub fn begin(&self, text: &str) -> Result<Program> {
        self.save(text)?;
        let scheduler = self.scheduler("first")?;
        self.until_published(&scheduler)?;
        self.ask()?;
        Ok(scheduler)
    }

    /// Waits until the DAG can be run.
    pub fn until_published(&self, scheduler: &Program) -> Result<()> {
        const PUBLISHED: &str = "SELECT dag_id FROM dag UNION ALL SELECT diagnostics::text FROM import_error";
        let published = self.until_any(PUBLISHED, scheduler)?;
        anyhow::ensure!(published == "d", "the DAG is not taken: {published}");
        Ok(())
    }

    /// Asks for a run.
    pub fn ask(&self) -> Result<()> {
        self.cluster.queue_run("d", "one")?;
        self.asked.borrow_mut().runs.push(("d".into(), "one".into()));
        Ok(())
    }

    /// The same, and waits until the run has ended so.
    pub fn run(&self, text: &str, state: &str) -> Result<Program> {
        let scheduler = self.begin(text)?;
        self.until_over(state, &scheduler)?;
        Ok(scheduler)
    }

    /// Waits until the run has ended, and nothing is left to do about it.
    pub fn until_over(&self, state: &str, scheduler: &Program) -> Result<()> {
        const STATE: &str = "SELECT string_agg(state, ' ') FROM dag_run WHERE state IN ('success', 'failed')";
        self.until_any(STATE, scheduler)?;
        self.until("SELECT count(*) FROM attempt WHERE is_open", "0", scheduler)?;
        let ended = self.cluster.sql(STATE)?;
        anyhow::ensure!(ended == state, "the run is {ended}: {}", self.picture(scheduler));
        Ok(())
    }

    /// Waits until a statement answers so.
    pub fn until(&self, sql: &str, answer: &str, scheduler: &Program) -> Result<()> {
        wait_for(sql, PATIENCE, || Ok(self.cluster.sql(sql).is_ok_and(|now| now == answer).then_some(())))
            .with_context(|| format!("wanted `{answer}`: {}", self.picture(scheduler)))
    }

    /// Waits until a statement answers anything.
    fn until_any(&self, sql: &str, scheduler: &Program) -> Result<String> {
        wait_for(sql, PATIENCE, || Ok(self.cluster.sql(sql).ok().filter(|now| !now.is_empty())))
            .with_context(|| self.picture(scheduler))
    }

    /// Asks for the end of the run.
    pub fn cancel(&self) -> Result<()> {
        let mut asked = self.asked.borrow_mut();
        asked.cancelled.push(("d".into(), "one".into()));
        self.cluster.cancel("cancel", "one")
    }

    /// Waits until that many commands have written down their start and not their end.
    pub fn until_running(&self, count: usize, scheduler: &Program) -> Result<()> {
        let lines = |text: &str, kind: &str| text.lines().filter(|line| line.starts_with(kind)).count();
        wait_for("running commands", PATIENCE, || {
            let text = self.written("marks");
            let running = lines(&text, "command-start").saturating_sub(lines(&text, "command-end"));
            Ok((running == count).then_some(()))
        })
        .with_context(|| self.picture(scheduler))
    }

    /// Waits until at least that many commands have written down their start.
    pub fn until_started(&self, count: usize, scheduler: &Program) -> Result<()> {
        self.until_true("starts", scheduler, || {
            Ok(count <= self.written("marks").lines().filter(|line| line.starts_with("command-start")).count())
        })
    }

    /// Waits until something is so.
    pub fn until_true(&self, what: &str, scheduler: &Program, is_so: impl Fn() -> Result<bool>) -> Result<()> {
        wait_for(what, PATIENCE, || Ok(is_so()?.then_some(()))).with_context(|| self.picture(scheduler))
    }

    /// Commands of this test that live, whoever holds them.
    pub fn commands_alive(&self) -> usize {
        remains::naming(&self.cluster.path("marks")).len()
    }

    /// Waits until at least that many commands have written down their end.
    pub fn until_ended(&self, count: usize) -> Result<()> {
        wait_for("ends", PATIENCE, || {
            let ended = self.written("marks").lines().filter(|line| line.starts_with("command-end")).count();
            Ok((count <= ended).then_some(()))
        })
    }

    /// Nothing runs any more: who has not written down its end was killed.
    pub fn note_that_all_are_killed(&self) -> Result<()> {
        let mut marks = OpenOptions::new().append(true).open(self.cluster.path("marks"))?;
        writeln!(marks, "killed {}", now_us()).context("writing down that all were killed")
    }

    /// What commands have written into a file of the test's folder; nothing if there is none.
    pub fn written(&self, name: &str) -> String {
        std::fs::read_to_string(self.cluster.path(name)).unwrap_or_default()
    }

    /// What the command of a task's last attempt said.
    pub fn log_of(&self, task: &str) -> Result<String> {
        // What the executor adds is for people.
        let said = |line: &&str| !line.starts_with("gridflow: ") && !drivers::is_of_the_jvm(line);
        Ok(self.log(task, "max")?.split_inclusive('\n').filter(said).collect())
    }

    /// The whole log of a task's first attempt.
    pub fn first_log(&self, task: &str) -> Result<String> {
        self.log(task, "min")
    }

    fn log(&self, task: &str, which: &str) -> Result<String> {
        let attempt = self.cluster.sql(&format!(
            "SELECT {which}(attempt_id::text) FROM attempt AS a JOIN dag_run AS run ON run.id = a.dag_run_id
             JOIN dag_version_task AS task USING (dag_version_id, task_no) WHERE task_id = '{task}'"
        ))?;
        self.cluster.log(&attempt).with_context(|| format!("the log of an attempt of {task}"))
    }

    /// Outcome and exit code of all attempts of a task, in order.
    pub fn outcomes(&self, task: &str) -> Result<String> {
        self.cluster.sql(&format!(
            "SELECT string_agg(concat_ws(' ', a.outcome, a.exit_code), ', ' ORDER BY a.attempt_id) FROM attempt AS a
             JOIN dag_run AS run ON run.id = a.dag_run_id
             JOIN dag_version_task AS task USING (dag_version_id, task_no) WHERE task_id = '{task}'"
        ))
    }

    /// A task's output, as JSON.
    pub fn output(&self, task: &str) -> Result<String> {
        self.cluster.sql(&format!(
            "SELECT value FROM xcom JOIN dag_run AS run ON run.id = xcom.dag_run_id
             JOIN dag_version_task AS task USING (dag_version_id, task_no) WHERE task_id = '{task}'"
        ))
    }

    /// Everything that holds for all histories; no attempt was given up.
    pub fn check(&self) -> Result<()> {
        self.check_with(Losses::None)
    }

    /// The same after something was done that may cost attempts their outcome.
    pub fn check_with(&self, losses: Losses) -> Result<()> {
        let evidence = Evidence::read(&self.cluster, &self.cluster.path("marks"), self.asked.borrow().clone())?;
        let rules = Rules {
            parallelism: PARALLELISM,
            max_active_tasks: HashMap::from([("d".into(), 64)]),
            max_active_runs: HashMap::from([("d".into(), 16)]),
            losses,
            outputs: Outputs::Any,
            ..Rules::default()
        };
        check::check(&evidence, &rules)
    }

    /// What is going on, for messages of failed tests.
    pub fn picture(&self, scheduler: &Program) -> String {
        let sql = |sql| self.cluster.sql(sql).unwrap_or_else(|error| format!("{error:#}"));
        let pods = self.pods.as_ref().map(|pods| {
            let told = |args: &[&str]| pods.namespace.kubectl(args).unwrap_or_else(|error| format!("{error:#}"));
            format!(
                "--- pods\n{}--- events\n{}",
                told(&["get", "pods", "--output", "yaml"]),
                told(&["get", "events", "--sort-by=.lastTimestamp"])
            )
        });
        format!(
            "\n--- runs\n{}\n--- attempts\n{}\n{}\n--- scheduler\n{}",
            sql("SELECT dag_id, run_id, state, reason FROM dag_run"),
            sql("SELECT attempt_id, state, outcome, exit_code, queued_at, started_at FROM attempt"),
            pods.unwrap_or_default(),
            scheduler.log(),
        )
    }
}
