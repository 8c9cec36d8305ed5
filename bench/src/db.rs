//! The times that Gridflow recorded, read from its database; and a database of our own on the same server.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use sqlx::{ConnectOptions, PgConnection, Row, postgres::PgConnectOptions};
use tokio::runtime::Runtime;

/// How often a wait looks. Seldom enough to cost nothing that counts.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A blocking connection.
pub struct Db {
    runtime: Runtime,
    connection: PgConnection,
}

/// Microseconds since 1970, as the clock of the one machine had them.
pub type Micros = i64;

/// A task instance that has run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub started: Micros,
    pub ended: Micros,
}

impl Db {
    /// To the private server of a state directory; it says itself where its socket is.
    pub fn connect(state_dir: &Path, database: &str) -> Result<Self> {
        let pid_file = state_dir.join("postgresql/data/postmaster.pid");
        let text = fs::read_to_string(&pid_file).with_context(|| format!("reading {}", pid_file.display()))?;
        let (port, sockets) = socket_of(&text).context("PostgreSQL's pid file names no socket")?;
        let options = PgConnectOptions::new().socket(sockets).port(port).username("gridflow").database(database);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let connection = runtime.block_on(options.disable_statement_logging().connect())?;
        Ok(Self { runtime, connection })
    }

    /// Runs something on the connection.
    pub fn run<T>(&mut self, work: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>) -> Result<T> {
        Ok(self.runtime.block_on(work(&mut self.connection))?)
    }

    pub fn execute(&mut self, statement: &'static str) -> Result<()> {
        self.run(async |db| sqlx::query(statement).execute(db).await.map(drop))
    }

    pub fn text(&mut self, question: &'static str) -> Result<String> {
        self.run(async |db| sqlx::query_scalar(question).fetch_one(db).await)
    }

    pub fn count(&mut self, question: &'static str, dag: &str) -> Result<i64> {
        self.run(async |db| sqlx::query_scalar(question).bind(dag).fetch_one(db).await)
    }

    /// Waits until a DAG has `runs` runs that have ended.
    pub fn wait_for_runs(&mut self, dag: &str, runs: i64, within: Duration) -> Result<()> {
        let deadline = Instant::now() + within;
        loop {
            let ended =
                self.count("SELECT count(*) FROM dag_run WHERE dag_id = $1 AND state IN ('success', 'failed')", dag)?;
            if runs <= ended {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "after {within:?} only {ended} of {runs} runs of `{dag}` have ended");
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// The task instances of one run, by their start.
    pub fn spans(&mut self, dag: &str, run_id: &str) -> Result<Vec<Span>> {
        let rows = self.run(async |db| {
            let question = "SELECT (extract(epoch FROM ti.started_at) * 1e6)::int8, (extract(epoch FROM ti.ended_at) * 1e6)::int8 \
                 FROM dag_run r JOIN task_instance ti ON ti.dag_run_id = r.id \
                 WHERE r.dag_id = $1 AND r.run_id = $2 AND ti.state = 'success' ORDER BY ti.started_at, ti.task_no";
            sqlx::query(question).bind(dag).bind(run_id).fetch_all(db).await
        })?;
        rows.iter().map(|row| Ok(Span { started: row.try_get(0)?, ended: row.try_get(1)? })).collect()
    }

    /// From the first run's start to the last one's end, over all runs of a DAG whose id begins so.
    pub fn runs_span(&mut self, dag: &str, prefix: &str) -> Result<Span> {
        let row = self.run(async |db| {
            let question = "SELECT (extract(epoch FROM min(started_at)) * 1e6)::int8, (extract(epoch FROM max(ended_at)) * 1e6)::int8 \
                 FROM dag_run WHERE dag_id = $1 AND starts_with(run_id, $2)";
            sqlx::query(question).bind(dag).bind(prefix).fetch_one(db).await
        })?;
        Ok(Span { started: row.try_get(0)?, ended: row.try_get(1)? })
    }

    /// When the first process of each run started, by run id.
    pub fn first_starts(&mut self, dag: &str) -> Result<Vec<(String, Micros)>> {
        let rows = self.run(async |db| {
            let question = "SELECT r.run_id, (extract(epoch FROM min(ti.started_at)) * 1e6)::int8 \
                 FROM dag_run r JOIN task_instance ti ON ti.dag_run_id = r.id WHERE r.dag_id = $1 GROUP BY r.run_id";
            sqlx::query(question).bind(dag).fetch_all(db).await
        })?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }

    /// Task instances of a DAG that ended well.
    pub fn successes(&mut self, dag: &str) -> Result<i64> {
        self.count(
            "SELECT count(*) FROM dag_run r JOIN task_instance ti ON ti.dag_run_id = r.id \
             WHERE r.dag_id = $1 AND ti.state = 'success'",
            dag,
        )
    }

    /// Until PostgreSQL has put its house in order after a flood of rows: cleaned up, written it out, and no worker is
    /// at it. History is old: the minute in which autovacuum finds a million new rows is not what is measured.
    pub fn settle(&mut self, within: Duration) -> Result<()> {
        self.execute("VACUUM (ANALYZE)")?;
        self.execute("CHECKPOINT")?;
        let deadline = Instant::now() + within;
        while Instant::now() < deadline {
            let busy: i64 = self.run(async |db| {
                let question = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'autovacuum worker'";
                sqlx::query_scalar(question).fetch_one(db).await
            })?;
            if busy == 0 {
                return Ok(());
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }
}

/// Port and folder of the socket, from the lines that PostgreSQL writes into `postmaster.pid`.
fn socket_of(pid_file: &str) -> Option<(u16, &str)> {
    let mut lines = pid_file.lines().skip(3);
    Some((lines.next()?.trim().parse().ok()?, lines.next()?.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_is_in_the_pid_file() {
        let text = "4711\n/state/postgresql/data\n1700000000\n5432\n/state/postgresql/run\n\n  12345  0\nready   \n";
        assert_eq!(socket_of(text), Some((5432, "/state/postgresql/run")));
        assert_eq!(socket_of("4711\n"), None);
    }
}
