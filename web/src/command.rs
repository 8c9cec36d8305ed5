//! Asking the leader for something and waiting for its answer.

use chrono::Utc;
use gridflow_store::{
    api::command::CommandOutcome,
    command::{self, NewCommand, Request},
};
use uuid::Uuid;

use crate::{
    error::{Error, Result},
    state::App,
};

/// Who asks, until there are users.
pub const ACTOR: &str = "admin";

/// Commits a command, wakes the leader and waits for its answer. Without one in time the command stays: 503 names it.
pub async fn ask(app: &App, request: Request) -> Result<()> {
    let command = NewCommand { actor: ACTOR.to_owned(), idempotency_key: Uuid::now_v7().to_string(), request };
    let id = command::submit(&mut *app.conn().await?, &command, Utc::now()).await?;
    let mut waiting = app.watch.command(id)?;
    app.watch.wake_scheduler();
    match tokio::time::timeout(app.command_timeout, waiting.next()).await {
        Ok(CommandOutcome::Done) => Ok(()),
        Ok(CommandOutcome::Refused(reason)) => Err(Error::Conflict(reason)),
        Err(_) => Err(Error::Unavailable(format!(
            "no scheduler has answered yet; the command {id} is kept and will be carried out"
        ))),
    }
}
