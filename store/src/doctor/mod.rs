//! Is everything as it must be? Looks at a live database and changes nothing.
//!
//! ```text
//! queries/doctor_*.sql ─▶ rows, facts, logs ─▶ known, judge, replay (pure) ─▶ findings
//! ```
//!
//! All is read in one READ ONLY, REPEATABLE READ transaction with short timeouts, so that a busy server is not
//! disturbed and every check sees the same instant. It works beside a leader, and while nobody leads.

mod facts;
mod judge;
mod known;
mod replay;

use gridflow_core::{AttemptId, Timestamp};
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use crate::{Error, database, migration};

pub use known::{Finding, Severity};

/// How much is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Extent {
    /// The newest runs whose log is replayed and whose rows are compared.
    pub runs: u32,
    /// Rows named in a finding.
    pub subjects: u32,
}

impl Default for Extent {
    fn default() -> Self {
        Self { runs: 200, subjects: 10 }
    }
}

/// What was found, and when by the server's clock.
#[derive(Debug)]
pub struct Report {
    pub findings: Vec<Finding>,
    pub now: Timestamp,
}

/// Examines the database of `url`. `alive` are attempts that have processes on this machine, as their environment
/// says; those of other installations may be among them.
pub async fn examine(url: &str, extent: Extent, alive: &[AttemptId]) -> Result<Report, Error> {
    let (connect, mut conn) = database::open_to_look(url).await?;
    let mut findings = Vec::new();
    if let Err(Error::Refused(refusal)) = database::refuse_transaction_pooler(&connect, &mut conn).await {
        findings.push(Finding::new("transaction-pooler", vec![refusal.to_string()]));
    }
    let mut look = conn.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").await?;
    findings.extend(judge::schema(migration::schema_version(&mut look).await?, migration::schema_version_needed()));
    if findings.iter().any(Finding::is_blocking) {
        return Ok(Report { findings, now: facts::now(&mut look).await? });
    }
    let facts = facts::read(&mut look).await?;
    findings.extend(judge::server(&facts));
    findings.extend(rows(&mut look, &facts, extent).await?);
    findings.extend(replay::newest(&mut look, extent).await?);
    findings.extend(left_over(&mut look, alive).await?);
    look.rollback().await?;
    findings.sort_by_key(|finding| finding.severity());
    Ok(Report { findings, now: facts.now })
}

/// Rows that break a rule, by the name of the check.
async fn rows(conn: &mut PgConnection, facts: &facts::Facts, extent: Extent) -> Result<Vec<Finding>, Error> {
    let rows = sqlx::query_file!(
        "queries/doctor_rows.sql",
        facts.now,
        i64::from(extent.runs),
        i32::try_from(extent.subjects).unwrap_or(i32::MAX),
    )
    .fetch_all(conn)
    .await?;
    let is_said = |name: &str| facts.has_leader || !known::NEEDS_LEADER.contains(&name);
    let findings = rows.into_iter().filter(|row| is_said(&row.name)).map(|row| {
        let mut subjects = row.subjects;
        let more = row.count - subjects.len() as i64;
        if 0 < more {
            subjects.push(format!("and {more} more"));
        }
        Finding::new(&row.name, subjects)
    });
    Ok(findings.collect())
}

/// Attempts whose end is committed and whose processes live.
async fn left_over(conn: &mut PgConnection, alive: &[AttemptId]) -> Result<Vec<Finding>, Error> {
    let alive: Vec<Uuid> = alive.iter().map(|attempt| attempt.0).collect();
    let closed = sqlx::query_scalar!(
        r#"SELECT format('%s %s task %s attempt %s, %s', r.dag_id, r.run_id, a.task_no, a.attempt_id, a.outcome) AS "it!"
         FROM attempt AS a JOIN dag_run AS r ON r.id = a.dag_run_id
         WHERE a.attempt_id = ANY ($1) AND NOT a.is_open
         ORDER BY a.attempt_id"#,
        &alive
    )
    .fetch_all(conn)
    .await?;
    Ok(if closed.is_empty() { Vec::new() } else { vec![Finding::new("process-left-over", closed)] })
}
