//! What became of commands, for those who wait for it.

use gridflow_core::CommandId;
use sqlx::{PgConnection, Row};
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
    let rows = sqlx::query("SELECT id, error FROM command WHERE id = ANY($1) AND outcome IS NOT NULL")
        .bind(ids)
        .fetch_all(conn)
        .await?;
    let outcomes = rows.iter().map(|row| {
        let error: Option<String> = row.try_get("error")?;
        let outcome = error.map_or(CommandOutcome::Done, CommandOutcome::Refused);
        Ok((CommandId(row.try_get("id")?), outcome))
    });
    Ok(outcomes.collect::<sqlx::Result<_>>()?)
}
