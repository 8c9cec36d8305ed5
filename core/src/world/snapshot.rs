//! The whole state as text in one canonical order: two worlds that decide alike read alike.
//!
//! Left out is what only orders equals: the turns of DAGs in the rings, and counts for metrics.

use std::fmt::Write;

use super::World;

impl World {
    /// For tests and for people; not a format.
    pub fn snapshot(&self) -> String {
        let mut out = String::new();
        self.write_dags(&mut out).and_then(|()| self.write_rest(&mut out)).expect("writing to a text succeeds");
        out
    }

    fn write_dags(&self, out: &mut String) -> std::fmt::Result {
        let mut dags: Vec<_> = self.shared.dags.iter().collect();
        dags.sort_by(|a, b| a.id.cmp(&b.id));
        for dag in dags {
            let is_idle = dag.current.is_none() && dag.running == 0 && dag.running_backfill == 0;
            if is_idle && dag.queued_in_memory() == 0 && !dag.is_paused {
                continue; // Known by name alone.
            }
            writeln!(
                out,
                "dag {}: current {:?}, paused {}, cursor {:?}, running {} + {}, finished {:?}",
                dag.id, dag.current, dag.is_paused, dag.cursor, dag.running, dag.running_backfill, dag.finished
            )?;
        }
        Ok(())
    }

    fn write_rest(&self, out: &mut String) -> std::fmt::Result {
        let shared = &self.shared;
        let mut pools: Vec<_> = shared.lanes.pools().iter().collect();
        pools.sort_by(|a, b| a.name.cmp(&b.name));
        for pool in pools.into_iter().filter(|pool| pool.capacity != super::Capacity::Unknown || 0 < pool.used) {
            writeln!(out, "pool {}: {:?}, used {}", pool.name, pool.capacity, pool.used)?;
        }
        writeln!(out, "open attempts {}", shared.open_attempts)?;
        let mut limits: Vec<_> = shared
            .limit_by_task
            .iter()
            .map(|((dag, task), limit)| (&shared.dags[dag.0 as usize].id, task, &shared.limits[limit.0 as usize]))
            .filter(|(_, _, limit)| 0 < limit.active)
            .collect();
        limits.sort_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)));
        for (dag, task, limit) in limits {
            writeln!(out, "limit {dag}.{task}: {}", limit.active)?;
        }
        for (at, timer) in shared.timers.iter() {
            match timer {
                super::Timer::Dag(_) => {} // Its number is this world's own.
                super::Timer::Retry(..) | super::Timer::RunTimeout(_) => writeln!(out, "timer {at}: {timer:?}")?,
            }
        }
        let mut waits: Vec<_> = shared.waits.iter().map(|(run, waiters)| (run, waiters.clone())).collect();
        waits.sort();
        for (run, mut waiters) in waits {
            waiters.sort();
            writeln!(out, "wait {run}: {waiters:?}")?;
        }
        let mut runs: Vec<_> = self.runs.values().collect();
        runs.sort_by_key(|run| run.key());
        for run in runs {
            writeln!(
                out,
                "run {:?}: {} from {:?} to {:?}, {:?}, unfinished {}, failed leaves {}",
                run.queued,
                run.state.as_str(),
                run.started_at,
                run.ended_at,
                run.reason,
                run.unfinished,
                run.failed_leaves
            )?;
            run.write_task_instances(out)?;
        }
        Ok(())
    }
}

impl super::ActiveRun {
    fn write_task_instances(&self, out: &mut String) -> std::fmt::Result {
        for (index, ti) in self.tis.iter().enumerate() {
            writeln!(
                out,
                "  {index}: {} waits {} try {} of {}, losses {}, {:?}, attempt {:?}, at {:?}, run {:?}, {:?}",
                ti.state.as_str(),
                // Ready or parked is how far admission has looked.
                ti.place != super::active::Place::Nowhere,
                ti.try_number,
                ti.tries_max,
                ti.losses,
                ti.upstream,
                ti.attempt,
                [ti.scheduled_at, ti.queued_at, ti.started_at, ti.ended_at, ti.retry_at],
                ti.waits_for_run,
                ti.reason
            )?;
            if let Some(open) = &ti.open {
                writeln!(
                    out,
                    "    open {}: {} try {}, {:?}, {:?}, {:?}, {:?}, {:?}",
                    open.id,
                    open.state.as_str(),
                    open.try_number,
                    open.binding,
                    open.queued_turn,
                    open.spec_hash.is_some(),
                    [Some(open.queued_at), open.started_at],
                    open.pid
                )?;
            }
        }
        Ok(())
    }
}
