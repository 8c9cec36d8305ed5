//! Admission: which queued runs, scheduled runs and ready task instances may start now.

use std::cmp::Reverse;

use crate::{
    attempt::AttemptState,
    dag::TaskKind,
    id::{TaskNo, Timestamp},
    plan::Plan,
    state::TaskState,
};

use super::{
    LimitIx, World,
    active::{ActiveRun, OpenAttempt, Place},
    lane::Pick,
    start::Progress,
};

/// Starts everything that may start under all limits, to the fixpoint or to the turn's budget.
/// Called once after the turn's events, and again after each round of answers.
pub fn admit(world: &mut World, now: Timestamp, plan: &mut Plan) {
    let now = super::to_micros(now);
    world.shared.note_clock(now);
    world.shared.has_more = false;
    plan.event_rows.get_or_insert(plan.rows());
    world.resume_recovered(now, plan);
    world.admit_runs(now, plan);
    world.admit_task_instances(now, plan);
    world.shared.at_work = None;
}

impl World {
    fn admit_runs(&mut self, now: Timestamp, plan: &mut Plan) {
        let mut budget = Progress::Done;
        while budget == Progress::Done
            && let Some(ix) = self.shared.stirred.pop_front()
        {
            self.shared.dag(ix).is_stirred = false;
            let progress = self.start_runs(ix, now, plan);
            if progress == Progress::BudgetSpent || self.is_budget_spent(plan) {
                self.shared.stir(ix);
                self.shared.has_more = true;
                budget = Progress::BudgetSpent;
                continue;
            }
            self.shared.tidy_queue(ix, plan);
            let next_tick = self.shared.admit_schedule(ix, now, plan);
            let next = [next_tick, self.shared.next_run_after(ix)].into_iter().flatten().filter(|at| now < *at).min();
            self.shared.set_dag_timer(ix, next);
        }
        // Their runs have failed, or ask again: what was unreadable may be readable by then.
        for version in std::mem::take(&mut self.shared.broken) {
            self.shared.versions.remove(&version);
        }
    }

    fn admit_task_instances(&mut self, now: Timestamp, plan: &mut Plan) {
        loop {
            while self.shared.open_attempts < self.shared.config.parallelism
                && let Some(pick) = self.shared.lanes.best()
            {
                if self.is_budget_spent(plan) {
                    self.shared.has_more = true;
                    return;
                }
                self.admit_one(pick, now, plan);
            }
            if !self.unpark() {
                return;
            }
        }
    }

    pub(super) fn is_budget_spent(&self, plan: &Plan) -> bool {
        self.shared.config.rows_max <= plan.admitted_rows()
    }

    /// Queues the picked instance, or parks it where its task's own limit is full.
    fn admit_one(&mut self, pick: Pick, now: Timestamp, plan: &mut Plan) {
        let shared = &mut self.shared;
        shared.at_work = Some(pick.run);
        let run = self.runs.get_mut(&pick.run).expect("a run that ends withdraws its offers");
        let task_no = run.best_of(pick.lane).expect("a run offers what it has");
        run.unready(task_no, &mut shared.lanes);
        if let (Some(limit), Some(max)) =
            (run.routes.limits[task_no.0 as usize], run.dag.task(task_no).max_active_per_dag)
        {
            let order = run.order();
            let limit = &mut shared.limits[limit.0 as usize];
            if limit.is_full(max) {
                limit.park(max, (Reverse(pick.priority), order, task_no));
                run.ti(task_no).place = Place::Parked;
                return;
            }
            limit.active += 1;
        }
        shared.open_attempts += 1;
        shared.lanes.acquire(pick.lane);
        let binding = shared.config.binding.clone();
        run.queue_attempt(task_no, binding, now, plan);
        run.sync_offers(&mut shared.lanes);
        shared.lanes.served(pick);
    }

    /// Gives one parked instance of each freed limit another chance. False when there is none that has room.
    fn unpark(&mut self) -> bool {
        let mut has_unparked = false;
        let freed: Vec<LimitIx> = self.shared.freed.iter().copied().collect();
        for ix in freed {
            let limit = &mut self.shared.limits[ix.0 as usize];
            let Some((own_max, entry)) = limit.best() else {
                self.shared.freed.remove(&ix);
                continue;
            };
            limit.unpark(own_max, &entry);
            let (_, (_, run), task_no) = entry;
            self.shared.at_work = Some(run);
            let run = self.runs.get_mut(&run).expect("a run that ends takes its parked instances with it");
            run.make_ready(task_no, &mut self.shared.lanes);
            has_unparked = true;
        }
        has_unparked
    }
}

impl ActiveRun {
    fn queue_attempt(&mut self, task_no: TaskNo, binding: Option<crate::NodeBinding>, now: Timestamp, plan: &mut Plan) {
        let TaskKind::Attempt(executor) = self.dag.task(task_no).kind else {
            unreachable!("only tasks with attempts wait for slots")
        };
        let id = plan.new_attempt_id(now);
        let ti = self.ti(task_no);
        ti.attempt = Some(id);
        ti.queued_at = Some(now);
        ti.open = Some(Box::new(OpenAttempt {
            id,
            state: AttemptState::Queued,
            try_number: ti.try_number,
            executor,
            binding: binding.filter(|_| executor.is_bound_to_node()),
            claim: None,
            place: None,
            queued_turn: plan.turn,
            spec_hash: None,
            queued_at: now,
            started_at: None,
            pid: None,
            row: Default::default(),
        }));
        self.open.insert(id, task_no);
        self.set_ti(task_no, TaskState::Queued, plan);
        self.put_attempt(task_no, None, None, plan);
        plan.prepare(self.launch_order(task_no));
    }
}
