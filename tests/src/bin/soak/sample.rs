//! What is seen once an interval.

use std::{fmt, time::Duration};

use anyhow::{Context, Result};
use gridflow_tests::{Cluster, Program, memory_bytes};

#[derive(Debug, Clone)]
pub struct Sample {
    pub at: Duration,
    /// Of the runs that ended in the interval.
    pub tasks_per_second: f64,
    pub latency_p50_ms: f64,
    pub latency_p99_ms: f64,
    pub scheduler_bytes: u64,
    pub host_bytes: u64,
    /// Rows of the inbox, and what it and the fence occupy: written all the time, never to grow.
    pub inbox_rows: u64,
    pub bounded_bytes: u64,
    /// What history occupies, for each task instance.
    pub history_bytes_per_task: f64,
}

impl Sample {
    pub const HEAD: &str =
        "minute   tasks/s  run p50 ms  run p99 ms  scheduler MB  host MB  inbox rows  inbox+leader KB  history B/task";
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mb = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        write!(
            f,
            "{:>6.1} {:>9.1} {:>11.0} {:>11.0} {:>13.1} {:>8.1} {:>11} {:>16} {:>15.0}",
            self.at.as_secs_f64() / 60.0,
            self.tasks_per_second,
            self.latency_p50_ms,
            self.latency_p99_ms,
            mb(self.scheduler_bytes),
            mb(self.host_bytes),
            self.inbox_rows,
            self.bounded_bytes >> 10,
            self.history_bytes_per_task,
        )
    }
}

/// `interval` is how long ago the last look was.
pub fn sample(cluster: &Cluster, scheduler: &Program, at: Duration, interval: Duration) -> Result<Sample> {
    let seconds = interval.as_secs_f64();
    let row = cluster.sql(&format!(
        "WITH ended AS (
           SELECT extract(epoch FROM ended_at - queued_at) * 1000 AS ms FROM dag_run
           WHERE ended_at > now() - make_interval(secs => {seconds})
         ), size AS (
           SELECT sum(pg_total_relation_size(inhrelid)) AS bytes FROM pg_inherits
           WHERE inhparent IN ('task_instance'::regclass, 'attempt'::regclass, 'transition_log'::regclass, 'xcom'::regclass)
         )
         SELECT concat_ws(' ', count(*), coalesce(percentile_cont(0.5) WITHIN GROUP (ORDER BY ms), 0),
           coalesce(percentile_cont(0.99) WITHIN GROUP (ORDER BY ms), 0),
           (SELECT count(*) FROM inbox), pg_total_relation_size('inbox') + pg_total_relation_size('leader'),
           (SELECT bytes FROM size) / greatest((SELECT count(*) FROM task_instance), 1))
         FROM ended"
    ))?;
    let words: Vec<f64> = row.split(' ').map(str::parse).collect::<Result<_, _>>().context("what the tables say")?;
    let [runs, p50, p99, inbox_rows, bounded_bytes, per_task] = *words.as_slice() else {
        anyhow::bail!("what the tables say: {row}")
    };
    Ok(Sample {
        at,
        tasks_per_second: runs * super::TASKS as f64 / seconds,
        latency_p50_ms: p50,
        latency_p99_ms: p99,
        scheduler_bytes: scheduler.memory_bytes()?,
        host_bytes: cluster.host().map_or(Ok(0), memory_bytes)?,
        inbox_rows: inbox_rows as u64,
        bounded_bytes: bounded_bytes as u64,
        history_bytes_per_task: per_task,
    })
}
