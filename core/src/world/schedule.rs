//! Scheduled runs: which ticks of a DAG's timetable become runs now.

use crate::{
    id::{RunId, Timestamp},
    plan::Plan,
    timetable::Tick,
};

use super::{DagIx, Shared};

impl Shared {
    pub(super) fn begin_schedule(&mut self, _ix: DagIx, _now: Timestamp, _plan: &mut Plan) {}

    pub(super) fn admit_schedule(&mut self, _ix: DagIx, _now: Timestamp, _plan: &mut Plan) -> Option<Timestamp> {
        None
    }

    pub(super) fn create_scheduled(
        &mut self,
        _ix: DagIx,
        _ticks: Vec<Tick>,
        _taken_dates: &[Timestamp],
        _taken_ids: &[RunId],
        _now: Timestamp,
        _plan: &mut Plan,
    ) {
    }
}
