//! What the leader tidies now and then: partitions ahead of time, answers and keys whose day is over.

use std::time::Duration;

use chrono::Utc;
use gridflow_store::{Database, command, event, partition};
use tokio::time::sleep;

use crate::chain;

const EVERY: Duration = Duration::from_secs(3600);
/// After an error: soon enough that a month's partitions are never late.
const AGAIN: Duration = Duration::from_secs(60);

/// Runs as long as it is polled. None of it is fenced: all of it may be done by anyone, twice.
pub(crate) async fn keep_tidy(database: Database) {
    loop {
        let pause = match tidy(&database).await {
            Ok(()) => EVERY,
            Err(error) => {
                tracing::warn!("tidying the database failed, and is tried again: {}", chain(&error));
                AGAIN
            }
        };
        sleep(pause).await;
    }
}

async fn tidy(database: &Database) -> Result<(), gridflow_store::Error> {
    let mut conn = database.reader().await?;
    let now = Utc::now();
    let made = partition::ensure(&mut conn, now).await?;
    let commands = command::expire(&mut conn, now).await?;
    let keys = event::expire_keys(&mut conn, now).await?;
    tracing::debug!(
        partitions_made = made,
        commands_forgotten = commands,
        keys_forgotten = keys,
        "tidied the database"
    );
    Ok(())
}
