//! What became of commands, for those who wait for it.

use gridflow_core::CommandId;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::Error;

/// The leader's answer to a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandOutcome {
    Done,
    /// Why not, for people.
    Refused(String),
}

/// The outcomes of these commands; those without one, or gone, are left out.
pub async fn outcomes(conn: &mut PgConnection, ids: &[CommandId]) -> Result<Vec<(CommandId, CommandOutcome)>, Error> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let rows = sqlx::query!("SELECT id, error FROM command WHERE id = ANY($1) AND outcome IS NOT NULL", &ids)
        .fetch_all(conn)
        .await?;
    let outcome = |error: Option<String>| error.map_or(CommandOutcome::Done, CommandOutcome::Refused);
    Ok(rows.into_iter().map(|row| (CommandId(row.id), outcome(row.error))).collect())
}
