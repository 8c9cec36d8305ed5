//! How long a failed task instance waits before its next try.

use std::time::Duration;

use crate::{dag::Task, id::TryNumber};

/// Airflow's upper bound of a delay that grows (`max_task_retry_delay`).
const DELAY_MAX: Duration = Duration::from_secs(86_400);

/// The delay after this try failed.
///
/// Without backoff it is `retry_delay`. With a multiplier it is Airflow's
/// (`TaskInstance.next_retry_datetime`): `B + hash mod B` seconds with
/// `B = ceil(retry_delay · multiplier^(try − 1))`, at least 1 s, so a jitter in `[B, 2B)` that is the
/// same whenever it is computed. Capped by a day and by the task's own `retry_delay_max`.
/// `identity` tells task instances apart; our hash of it differs from Airflow's.
pub fn retry_delay(task: &Task, try_number: TryNumber, identity: &[&str]) -> Duration {
    let Some(multiplier) = task.retry_backoff else { return task.retry_delay };
    let exponent = f64::from(try_number.0.saturating_sub(1));
    let base = (task.retry_delay.as_secs_f64() * multiplier.powf(exponent)).ceil().max(1.0);
    let grown = if base < DELAY_MAX.as_secs_f64() {
        let base = base as u64;
        Duration::from_secs(base + hash(identity, try_number) % base).min(DELAY_MAX)
    } else {
        DELAY_MAX // also where the power overflowed to infinity
    };
    task.retry_delay_max.map_or(grown, |max| grown.min(max))
}

/// FNV-1a: stable over releases and machines, which the standard library's hashes are not.
fn hash(identity: &[&str], try_number: TryNumber) -> u64 {
    let mut hash = 0xCBF2_9CE4_8422_2325_u64;
    let mut eat = |bytes: &[u8]| {
        for byte in bytes.iter().chain(b"#") {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3);
        }
    };
    for part in identity {
        eat(part.as_bytes());
    }
    eat(&try_number.0.to_le_bytes());
    hash
}
