//! Fencing for transactions that a leader's process runs beside its turns: trigger receivers, reports.

use sqlx::PgConnection;

use crate::{Error, leader::Pass};

/// First statement of such a transaction. A takeover waits until it ends; afterwards it matches nothing.
///
/// The share lock does not disturb turns, which lock the same row without touching its key.
pub async fn hold(conn: &mut PgConnection, pass: Pass) -> Result<(), Error> {
    sqlx::query_scalar!(
        "SELECT epoch FROM leader WHERE epoch = $1 AND holder = $2 FOR KEY SHARE",
        pass.epoch.0,
        pass.holder
    )
    .fetch_optional(conn)
    .await?
    .map(drop)
    .ok_or(Error::Fenced)
}
