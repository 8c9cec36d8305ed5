//! A database, a DAG folder and a state directory that schedulers of a test share.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use anyhow::{Context, Result};
use gridflow_testkit::postgres::{Durability, Postgres, Settings};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

use crate::{Program, Proxy, remains};

/// One node: all its schedulers share its state directory, and with it its host.
#[derive(Debug)]
pub struct Cluster {
    dir: TempDir,
    pub server: &'static Postgres,
    pub database: String,
    url: String,
    owns_server: bool,
    /// What all of its schedulers are told beside the rest.
    told: Vec<OsString>,
}

impl Cluster {
    /// An empty database and folder; `dags` are file names and texts.
    pub fn new(dags: &[(&str, &str)]) -> Result<Self> {
        Self::on(durable_server(), dags, false)
    }

    /// The same on a server of its own, to which anything may be done.
    pub fn on_own_server(settings: Settings, dags: &[(&str, &str)]) -> Result<Self> {
        // Leaked, since others share theirs for ever; what it is made of goes with the cluster.
        Self::on(Box::leak(Box::new(Postgres::start_with(settings)?)), dags, true)
    }

    fn on(server: &'static Postgres, dags: &[(&str, &str)], owns_server: bool) -> Result<Self> {
        let url = server.create_database()?;
        let database = url.rsplit('/').next().context("a database name")?.to_owned();
        let dir = tempfile::tempdir().context("making a folder")?;
        std::fs::create_dir(dir.path().join("dags"))?;
        for (name, text) in dags {
            std::fs::write(dir.path().join("dags").join(name), text)?;
        }
        Ok(Self { dir, server, database, url, owns_server, told: Vec::new() })
    }

    /// From now on all of its schedulers get these arguments.
    pub fn tell(&mut self, told: impl IntoIterator<Item = OsString>) {
        self.told.extend(told);
    }

    /// The address of its database.
    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Starts a scheduler of this node.
    pub fn scheduler(&self, name: &str) -> Result<Program> {
        self.scheduler_with(name, &[])
    }

    /// Starts a scheduler of this node with more in its environment.
    pub fn scheduler_with(&self, name: &str, more: &[(&str, &str)]) -> Result<Program> {
        Program::start(&self.arguments(), &self.environment(more), &self.path(&format!("{name}.log")))
    }

    /// The same with more arguments, too.
    pub fn scheduler_told(&self, name: &str, told: &[OsString], more: &[(&str, &str)]) -> Result<Program> {
        let args = [&self.arguments()[..], told].concat();
        Program::start(&args, &self.environment(more), &self.path(&format!("{name}.log")))
    }

    /// The same in a container of its own; see [`Program::start_contained`].
    pub fn scheduler_contained(&self, name: &str, more: &[(&str, &str)]) -> Result<Program> {
        Program::start_contained(&self.arguments(), &self.environment(more), &self.path(&format!("{name}.log")))
    }

    fn arguments(&self) -> Vec<OsString> {
        let (dags, state) = (self.path("dags"), self.path("state"));
        let own: [OsString; 5] = ["scheduler".into(), "--dags".into(), dags.into(), "--state-dir".into(), state.into()];
        own.into_iter().chain(self.told.iter().cloned()).collect()
    }

    fn environment<'a>(&'a self, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let own = [("GRIDFLOW__DATABASE__URL", self.url.as_str()), ("GRIDFLOW__SCHEDULER__PARALLELISM", "128")];
        own.into_iter().chain(more.iter().copied()).collect()
    }

    /// Starts a scheduler of this node whose way to PostgreSQL is a proxy.
    pub fn scheduler_through(&self, name: &str, proxy: &Proxy, more: &[(&str, &str)]) -> Result<Program> {
        let url = format!("postgres://postgres@127.0.0.1:{}/{}", proxy.port(), self.database);
        let mut env = vec![("GRIDFLOW__DATABASE__URL", url.as_str())];
        env.extend(more);
        self.scheduler_with(name, &env)
    }

    /// Whether the present leader reaches PostgreSQL through this proxy.
    pub fn leads_through(&self, proxy: &Proxy) -> Result<bool> {
        let port = self.sql(
            "SELECT max(client_port) FROM pg_locks JOIN pg_stat_activity USING (pid)
             WHERE locktype = 'advisory' AND granted AND application_name = 'gridflow leader'
               AND datname = current_database()",
        )?;
        Ok(port.parse().is_ok_and(|port| proxy.carries(port)))
    }

    /// The process that is parent of this node's commands, if it lives.
    pub fn host(&self) -> Option<Pid> {
        remains::host(&self.path("state"))
    }

    /// Ends every process of this node at once, with `kill -9`: schedulers, host, commands. Pods are on another one.
    pub fn kill_everything(&self) {
        if let Some(host) = self.host() {
            // First, or it would see its commands end and write that down.
            let _ = kill(host, Signal::SIGKILL);
        }
        remains::end_here(self.dir.path());
    }

    /// One value from the database.
    pub fn sql(&self, sql: &str) -> Result<String> {
        self.server.psql(&self.database, sql)
    }

    /// Queues a manual run, as a handler would: the run and its inbox row in one transaction.
    pub fn queue_run(&self, dag: &str, run_id: &str) -> Result<()> {
        self.sql(&queue_statement(dag, &format!("'{run_id}'"), 1)).map(drop)
    }

    /// Queues many at once; their ids are `PREFIX-1` and so on.
    pub fn queue_runs(&self, dag: &str, prefix: &str, count: usize) -> Result<()> {
        self.sql(&queue_statement(dag, &format!("'{prefix}-' || no"), count)).map(drop)
    }

    /// The whole log of an attempt, as it is now.
    pub fn log(&self, attempt: &str) -> Result<String> {
        let path = find_file(&self.path("state/logs"), attempt);
        let path = path.with_context(|| format!("there is no log of `{attempt}`"))?;
        std::fs::read_to_string(path).context("reading a log")
    }
}

/// The statement that queues runs, their ids made by an expression over `no`.
pub fn queue_statement(dag: &str, run_id: &str, count: usize) -> String {
    format!(
        "WITH run AS (
           INSERT INTO dag_run (id, dag_id, run_id, dag_version_id, run_type, state, run_after, queued_at, triggered_by)
           SELECT (lpad(to_hex(floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0')
                   || '7' || substr(md5(random()::text), 1, 3) || '8' || substr(md5(random()::text), 1, 15))::uuid,
                  dag_id, {run_id}, current_version_id, 'manual', 'queued', now(), now(), 'test'
           FROM dag, generate_series(1, {count}) AS no WHERE dag_id = '{dag}' RETURNING id)
         INSERT INTO inbox (kind, subject, created_at) SELECT 'run_queued', id, now() FROM run"
    )
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

/// One server for all tests of a program, durable as in production.
fn durable_server() -> &'static Postgres {
    static SERVER: OnceLock<Postgres> = OnceLock::new();
    SERVER.get_or_init(|| Postgres::start(Durability::Full).expect("a PostgreSQL for tests"))
}

impl Drop for Cluster {
    fn drop(&mut self) {
        remains::end(self.dir.path());
        if self.owns_server {
            self.server.discard();
        }
    }
}
