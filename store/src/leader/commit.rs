//! One turn, one statement, one round trip: everything that a plan decided, or nothing of it.

use gridflow_core::{Action, Committed, InboxId, SealedPlan, Writes};
use sqlx::PgConnection;

use super::{Leader, Pass, within};
use crate::{
    Error, Timestamp, Turn, attempt, command, dag, event, inbox, run, task_instance, transition_log,
    turn_row::argument, xcom,
};

impl Leader {
    /// Writes a plan and hands out what may now be done.
    ///
    /// `consumed` are the inbox rows that the plan dealt with. After any error, or if the future is dropped, nothing
    /// of the plan may be done: the answer may be what got lost, and the turn may still be committed until a new
    /// epoch is taken. This leader then writes no more; read everything again under a new epoch.
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
        let mut conn = self.conn.take().ok_or(Error::Fenced)?;
        let (pass, turn) = (self.pass(), self.next_turn());
        let rows = Rows::of(writes, consumed)?;
        within(self.turn_timeout, call(&mut conn, pass, turn, at, rows)).await?;
        self.conn = Some(conn);
        self.turn = turn;
        Ok(Committed { epoch: pass.epoch, turn })
    }
}

/// The arguments of `turn_v1`: what has no rows is null.
struct Rows<'a> {
    new_runs: Option<Vec<run::NewTurnRow<'a>>>,
    runs: Option<Vec<run::TurnRow<'a>>>,
    new_task_instances: Option<Vec<task_instance::TurnRow<'a>>>,
    task_instances: Option<Vec<task_instance::TurnRow<'a>>>,
    new_attempts: Option<Vec<attempt::TurnRow<'a>>>,
    attempts: Option<Vec<attempt::TurnRow<'a>>>,
    xcoms: Option<Vec<xcom::TurnRow<'a>>>,
    events: Option<Vec<event::TurnRow<'a>>>,
    cursors: Option<Vec<dag::CursorRow<'a>>>,
    paused: Option<Vec<dag::PauseRow<'a>>>,
    commands: Option<Vec<command::TurnRow<'a>>>,
    consumed: Option<Vec<i64>>,
    log: Option<Vec<transition_log::TurnRow>>,
}

impl<'a> Rows<'a> {
    fn of(writes: &'a Writes, consumed: &[InboxId]) -> Result<Self, Error> {
        let (new_runs, runs) = run::turn_rows(&writes.new_runs, &writes.runs)?;
        let (task_instances, attempts) = (&writes.task_instances, &writes.attempts);
        Ok(Self {
            new_runs: argument(new_runs),
            runs: argument(runs),
            new_task_instances: argument(task_instances.iter().filter(|write| write.from.is_none()).map(Into::into)),
            task_instances: argument(task_instances.iter().filter(|write| write.from.is_some()).map(Into::into)),
            new_attempts: argument(attempts.iter().filter(|write| write.from.is_none()).map(Into::into)),
            attempts: argument(attempts.iter().filter(|write| write.from.is_some()).map(Into::into)),
            xcoms: argument(writes.xcoms.iter().map(Into::into)),
            events: argument(writes.events.iter().map(Into::into)),
            cursors: argument(writes.cursors.iter().map(Into::into)),
            paused: argument(writes.paused.iter().map(Into::into)),
            commands: argument(writes.commands.iter().map(Into::into)),
            consumed: argument(inbox::consumed_ids(consumed)),
            log: argument(transition_log::turn_rows(&writes.transitions)),
        })
    }
}

/// Fence, rows, commit. Autocommit: the statement's own transaction is the turn's.
async fn call(conn: &mut PgConnection, pass: Pass, turn: Turn, at: Timestamp, rows: Rows<'_>) -> Result<(), Error> {
    // `fetch_one` returns when the server is ready again, which is after the commit: an answer before that, the row
    // or its completion, proves nothing.
    let is_ours = sqlx::query_file_scalar!(
        "queries/turn.sql",
        pass.epoch.0,
        pass.holder,
        turn.0,
        at,
        rows.new_runs as _,
        rows.runs as _,
        rows.new_task_instances as _,
        rows.task_instances as _,
        rows.new_attempts as _,
        rows.attempts as _,
        rows.xcoms as _,
        rows.events as _,
        rows.cursors as _,
        rows.paused as _,
        rows.commands as _,
        rows.consumed as _,
        rows.log as _,
    )
    .fetch_one(conn)
    .await?;
    if is_ours { Ok(()) } else { Err(Error::Fenced) }
}
