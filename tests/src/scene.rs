//! What tests say about a cluster again and again.

use std::{
    io::Write,
    process::{Child, ChildStdin, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result};
use gridflow_testkit::postgres::find_binaries;

use crate::{Cluster, wait_for};

const PATIENCE: Duration = Duration::from_secs(60);

impl Cluster {
    /// Writes a DAG file at once, as an editor that renames would.
    pub fn save_dag(&self, name: &str, text: &str) -> Result<()> {
        let draft = self.path("dags").join(format!(".{name}.draft"));
        std::fs::write(&draft, text)?;
        std::fs::rename(draft, self.path("dags").join(name)).context("saving a DAG")
    }

    /// Waits until a statement answers so.
    pub fn until(&self, sql: &str, answer: &str) -> Result<()> {
        let mut last = String::new();
        wait_for(sql, PATIENCE, || {
            last = self.sql(sql).unwrap_or_else(|error| format!("{error:#}"));
            Ok((last == answer).then_some(()))
        })
        .with_context(|| format!("the last answer was `{last}`, wanted `{answer}`"))
    }

    /// Asks for something, as a handler would: the command and its inbox row in one transaction.
    pub fn command(&self, key: &str, kind: &str, payload: &str) -> Result<()> {
        self.sql(&format!(
            "WITH new AS (
               INSERT INTO command (id, actor, idempotency_key, kind, payload, created_at, expires_at)
               VALUES (gen_random_uuid(), 'test', '{key}', '{kind}', '{payload}', now(), now() + interval '1 day')
               RETURNING id)
             INSERT INTO inbox (kind, subject, created_at) SELECT 'command', id, now() FROM new"
        ))?;
        Ok(())
    }

    /// Asks for the end of a run.
    pub fn cancel(&self, key: &str, run_id: &str) -> Result<()> {
        let run = self.sql(&format!("SELECT id FROM dag_run WHERE run_id = '{run_id}'"))?;
        self.command(key, "cancel_run", &format!(r#"{{"run": "{run}"}}"#))
    }

    /// A session that stays open until it is dropped; what it began is rolled back then.
    pub fn session(&self) -> Result<Session> {
        let mut child = Command::new(find_binaries()?.join("psql"))
            .args(["--quiet", "--no-psqlrc", "--tuples-only", "--no-align", "--set", "ON_ERROR_STOP=1", "--dbname"])
            .arg(self.server.url(&self.database))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .context("starting psql")?;
        let stdin = child.stdin.take().context("psql's input")?;
        Ok(Session { child, stdin })
    }
}

/// An open `psql`.
#[derive(Debug)]
pub struct Session {
    child: Child,
    stdin: ChildStdin,
}

impl Session {
    /// Sends statements; they are carried out one after the other, some time.
    pub fn send(&mut self, sql: &str) -> Result<()> {
        writeln!(self.stdin, "{sql}").context("talking to psql")?;
        self.stdin.flush().context("talking to psql")
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
