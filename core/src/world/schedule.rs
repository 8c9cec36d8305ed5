//! Scheduled runs: which ticks of a DAG's timetable become runs now.

use std::sync::Arc;

use crate::{
    id::{RunId, Timestamp},
    plan::{CursorWrite, Plan},
    run::{RunType, TriggeredBy},
    timetable::{Schedule, ScheduleCursor, Tick},
};

use super::{
    DagIx, Shared,
    create::{Ask, Draft, run_id},
};

/// Ticks asked about at once; a catchup goes on with the next ones when these are created.
const TICKS_MAX: u32 = 500;

impl Shared {
    /// Asks whether the ticks that are due and have room are free. Gives the next tick that is not due.
    ///
    /// Ticks beyond `max_active_runs` stay in the timetable: they are looked at again when a run ends.
    pub(super) fn admit_schedule(&mut self, ix: DagIx, now: Timestamp, plan: &mut Plan) -> Option<Timestamp> {
        let dag = &self.dags[ix.0 as usize];
        if dag.is_paused || dag.is_asking {
            return None;
        }
        let definition = Arc::clone(self.current(ix)?);
        let timetable = definition.timetable();
        let begun = timetable.begin(dag.cursor, now);
        if begun != dag.cursor {
            self.set_cursor(ix, begun, now, plan);
        }
        let room = self.room_for_scheduled(ix, &timetable.schedule).min(TICKS_MAX);
        if room == 0 {
            return None; // The end of a run stirs the DAG; until then no instant matters.
        }
        let mut cursor = begun;
        let mut due = Vec::new();
        let mut upcoming = None;
        while let Some(tick) = timetable.next(cursor, now) {
            if now < tick.run_after {
                upcoming = Some(tick.run_after);
                break;
            }
            if room <= due.len() as u32 {
                break;
            }
            cursor.last = Some(tick.run_after);
            due.push(tick);
        }
        if !due.is_empty() {
            let logical_dates = due.iter().map(|tick| tick.logical_date).collect();
            let run_ids = due.iter().map(|tick| scheduled_id(tick, plan)).collect();
            self.dag(ix).is_asking = true;
            self.ask_taken(ix, Ask::Ticks(due), logical_dates, run_ids, plan);
        }
        upcoming
    }

    /// Creates the runs of these ticks; those that are taken are passed over.
    pub(super) fn create_scheduled(
        &mut self,
        ix: DagIx,
        ticks: Vec<Tick>,
        taken_dates: &[Timestamp],
        taken_ids: &[RunId],
        now: Timestamp,
        plan: &mut Plan,
    ) {
        self.dag(ix).is_asking = false;
        self.stir(ix);
        let (Some(version), Some(last)) = (self.dag(ix).current, ticks.last()) else { return };
        let cursor = ScheduleCursor { last: Some(last.run_after) };
        for tick in ticks {
            let run_id = scheduled_id(&tick, plan);
            if taken_dates.contains(&tick.logical_date) || taken_ids.contains(&run_id) {
                continue;
            }
            let draft = Draft {
                version,
                run_id: Some(run_id),
                run_type: RunType::Scheduled,
                triggered_by: TriggeredBy::Timetable,
                logical_date: Some(tick.logical_date),
                data_interval: Some(tick.data_interval),
                run_after: tick.run_after,
                conf: Arc::new(serde_json::json!({})),
                trigger: None,
                events: Vec::new(),
                actor: None,
                parent: None,
            };
            // None: another run of this very turn has the date, and the tick is passed over.
            let _created = self.create_run(ix, draft, now, plan);
        }
        self.set_cursor(ix, cursor, now, plan);
    }

    fn set_cursor(&mut self, ix: DagIx, cursor: ScheduleCursor, now: Timestamp, plan: &mut Plan) {
        let next = self.current(ix).and_then(|dag| dag.timetable().next(cursor, now));
        let dag = self.dag(ix);
        dag.cursor = cursor;
        let row = CursorWrite { dag: dag.id.clone(), cursor, next_run_after: next.map(|tick| tick.run_after) };
        plan.writes.cursors.retain(|known| known.dag != row.dag);
        plan.writes.cursors.push(row);
    }

    /// Scheduled runs over `max_active_runs` are not created; queued ones of any kind count as well.
    fn room_for_scheduled(&self, ix: DagIx, schedule: &Schedule) -> u32 {
        let dag = &self.dags[ix.0 as usize];
        if dag.horizon.is_some() {
            return 0; // More are queued than memory holds.
        }
        let max = match schedule {
            Schedule::Continuous => 1,
            Schedule::Manual | Schedule::Once | Schedule::Cron(_) | Schedule::Interval(_) | Schedule::Dates(_) => {
                self.max_active_runs(ix)
            }
        };
        max.saturating_sub(dag.running).saturating_sub(dag.queued.len() as u32)
    }
}

fn scheduled_id(tick: &Tick, plan: &mut Plan) -> RunId {
    run_id(RunType::Scheduled, tick.run_after, Some(tick.logical_date), plan)
}
