//! Months of rows: made ahead of time, dropped by retention.

use chrono::Months;
use sqlx::PgConnection;

use crate::{Error, Timestamp};

/// Months that exist ahead of the present one. A leader that can't make any for so long still has the default partition.
const MONTHS_AHEAD: u32 = 2;

pub(crate) const TABLES: [&str; 5] = ["task_instance", "attempt", "xcom", "event", "transition_log"];

/// Makes the partitions from the month before `now` to some months after it; says how many were missing.
pub async fn ensure(conn: &mut PgConnection, now: Timestamp) -> Result<u32, Error> {
    let mut made = 0;
    let months = std::iter::once(now - Months::new(1)).chain((0..=MONTHS_AHEAD).map(|ahead| now + Months::new(ahead)));
    for month in months {
        for table in TABLES {
            // Each in a transaction of its own: attaching locks the table, and holding several could deadlock.
            let is_new = sqlx::query_scalar!(r#"SELECT partition_ensure($1, $2) AS "is_new!""#, table, month)
                .fetch_one(&mut *conn)
                .await?;
            made += u32::from(is_new);
        }
    }
    Ok(made)
}
