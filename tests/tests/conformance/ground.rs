//! Where a promise is tried: a database, a folder of DAGs, and an executor.

use std::{
    cell::RefCell,
    collections::HashMap,
    fs::OpenOptions,
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use gridflow_testkit::kubernetes;
use gridflow_tests::{
    Cluster, Pods, Program,
    check::{self, Outputs, Rules},
    evidence::{Asked, Evidence, LIBRARY},
    wait_for,
    workload::now_us,
};

/// Pods take seconds, on a machine that is busy with others.
const PATIENCE: Duration = Duration::from_secs(120);
const PARALLELISM: usize = 128;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Executor {
    Local,
    #[expect(dead_code, reason = "schedulers can't be told of a cluster yet")]
    Kubernetes,
}

#[derive(Debug)]
pub struct Ground {
    pub cluster: Cluster,
    pods: Option<Pods>,
    asked: RefCell<Asked>,
}

impl Ground {
    /// Nothing where this machine can't have such an executor.
    pub fn new(executor: Executor) -> Result<Option<Self>> {
        let cluster = Cluster::new(&[])?;
        std::fs::write(cluster.path("library.sh"), LIBRARY).context("writing the library")?;
        let pods = match executor {
            Executor::Local => None,
            Executor::Kubernetes => {
                let Some(kubernetes) = kubernetes::Cluster::shared()? else { return Ok(None) };
                Some(Pods::new(&kubernetes, &cluster)?)
            }
        };
        Ok(Some(Self { cluster, pods, asked: RefCell::default() }))
    }

    /// Starts a scheduler.
    pub fn scheduler(&self, name: &str) -> Result<Program> {
        match &self.pods {
            None => self.cluster.scheduler(name),
            Some(pods) => self.cluster.scheduler_told(name, &pods.arguments(), &[]),
        }
    }

    /// Writes the DAG `d` for this executor. Commands that begin with `. $LIBRARY;` write down their starts and ends.
    pub fn save(&self, text: &str) -> Result<()> {
        let executor = if self.pods.is_some() { "executor: kubernetes\n" } else { "" };
        let (library, marks) = (self.cluster.path("library.sh"), self.cluster.path("marks"));
        let env = format!("env: {{LIBRARY: '{}', MARKS: '{}'}}", library.display(), marks.display());
        self.cluster.save_dag("d.yaml", &format!("dag: d\nmax_active_tasks: 64\n{executor}{env}\n{text}"))
    }

    /// Saves the DAG, starts a scheduler and asks for a run.
    pub fn begin(&self, text: &str) -> Result<Program> {
        self.save(text)?;
        let scheduler = self.scheduler("first")?;
        const PUBLISHED: &str = "SELECT dag_id FROM dag UNION ALL SELECT diagnostics::text FROM import_error";
        let published = self.until_any(PUBLISHED, &scheduler)?;
        anyhow::ensure!(published == "d", "the DAG is not taken: {published}");
        self.cluster.queue_run("d", "one")?;
        self.asked.borrow_mut().runs.push(("d".into(), "one".into()));
        Ok(scheduler)
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

    /// Waits until that many commands have written down their end.
    pub fn until_ended(&self, count: usize) -> Result<()> {
        wait_for("ends", PATIENCE, || {
            let ended = self.written("marks").lines().filter(|line| line.starts_with("command-end")).count();
            Ok((ended == count).then_some(()))
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

    /// The log of a task's last attempt.
    pub fn log_of(&self, task: &str) -> Result<String> {
        let sql = format!(
            "SELECT attempt_id FROM task_instance AS ti JOIN dag_run AS run ON run.id = ti.dag_run_id
             JOIN dag_version_task AS task USING (dag_version_id, task_no) WHERE task_id = '{task}'"
        );
        let attempt = self.cluster.sql(&sql)?;
        let logs = self.cluster.path("state/logs");
        let path = find_file(&logs, &attempt).with_context(|| format!("there is no log of {attempt}"))?;
        // What the executor adds is for people.
        let text = std::fs::read_to_string(path).context("reading a log")?;
        Ok(text.split_inclusive('\n').filter(|line| !line.starts_with("gridflow: ")).collect())
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

    /// Everything that holds for all histories.
    pub fn check(&self) -> Result<()> {
        let evidence = Evidence::read(&self.cluster, &self.cluster.path("marks"), self.asked.borrow().clone())?;
        let rules = Rules {
            parallelism: PARALLELISM,
            max_active_tasks: HashMap::from([("d".into(), 64)]),
            max_active_runs: HashMap::from([("d".into(), 16)]),
            outputs: Outputs::Any,
            ..Rules::default()
        };
        check::check(&evidence, &rules)
    }

    /// What is going on, for messages of failed tests.
    fn picture(&self, scheduler: &Program) -> String {
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

/// A file below `folder` whose name begins so.
fn find_file(folder: &Path, begins: &str) -> Option<PathBuf> {
    std::fs::read_dir(folder).ok()?.flatten().find_map(|entry| {
        let path = entry.path();
        if path.is_dir() {
            return find_file(&path, begins);
        }
        entry.file_name().to_str().is_some_and(|name| name.starts_with(begins)).then_some(path)
    })
}
