//! One turn, one transaction: everything that a plan decided, or nothing of it.

use gridflow_core::{Action, Committed, InboxId, SealedPlan, Writes};
use gridflow_failpoint::{Point, check};
use sqlx::PgConnection;

use super::{Leader, within};
use crate::{Error, Timestamp, Turn, attempt, command, dag, event, inbox, run, task_instance, transition_log, xcom};

impl Leader {
    /// Writes a plan and hands out what may now be done.
    ///
    /// `consumed` are the inbox rows that the plan dealt with. After any error, or if the future is dropped, nothing
    /// of the plan may be done: the answer to COMMIT may be what got lost. This leader then writes no more; read
    /// everything again under a new epoch.
    pub async fn commit(
        &mut self,
        plan: SealedPlan,
        consumed: &[InboxId],
        at: Timestamp,
    ) -> Result<(Turn, Vec<Action>), Error> {
        let proof = self.write_turn(plan.writes(), consumed, at).await?;
        Ok((proof.turn, plan.open(proof)))
    }

    /// Commits a turn's rows. Private to the store: the proof must only open the plan whose rows these are.
    pub(crate) async fn write_turn(
        &mut self,
        writes: &Writes,
        consumed: &[InboxId],
        at: Timestamp,
    ) -> Result<Committed, Error> {
        let (epoch, turn) = (self.epoch, self.next_turn());
        within(self.turn_timeout, async {
            let mut fenced = self.begin().await?;
            write(&mut fenced, writes, consumed, Stamp { epoch, turn, at }).await?;
            check(Point::TurnWritten)?;
            fenced.commit().await
        })
        .await?;
        self.turn = turn;
        Ok(Committed { epoch, turn })
    }
}

/// What a turn's rows are marked with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamp {
    pub epoch: crate::Epoch,
    pub turn: Turn,
    pub at: Timestamp,
}

/// A round trip per table that has rows, always in this order.
async fn write(conn: &mut PgConnection, writes: &Writes, consumed: &[InboxId], stamp: Stamp) -> Result<(), Error> {
    run::insert(conn, &writes.new_runs, &writes.runs).await?;
    run::update(conn, &writes.runs, &writes.new_runs).await?;
    task_instance::insert(conn, &writes.task_instances).await?;
    task_instance::update(conn, &writes.task_instances).await?;
    attempt::insert(conn, &writes.attempts).await?;
    attempt::update(conn, &writes.attempts).await?;
    xcom::write(conn, &writes.xcoms, stamp.at).await?;
    event::decide(conn, &writes.events, stamp.turn).await?;
    dag::move_cursors(conn, &writes.cursors).await?;
    dag::pause(conn, &writes.paused).await?;
    command::decide(conn, &writes.commands, stamp.at).await?;
    inbox::delete(conn, consumed).await?;
    transition_log::append(conn, &writes.transitions, stamp).await
}
