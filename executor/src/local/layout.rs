//! Where things lie in a state directory. The one place that knows paths.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use gridflow_core::AttemptId;
use uuid::Uuid;

/// The log of an attempt, stdout and stderr together.
///
/// ```text
/// logs/2026-03-01/14/0195…-….log
/// ```
/// Hour folders come from the time inside the attempt's id, so the path needs nothing else, a folder is made once an
/// hour and not once a task, and retention removes whole folders. Folders named after DAG and task would cost two or
/// three times the log itself.
pub fn log_path(state_dir: &Path, attempt: AttemptId) -> PathBuf {
    let mut path = state_dir.join("logs");
    match minted_at(attempt.0) {
        Some(at) => path.push(at.format("%Y-%m-%d/%H").to_string()),
        None => path.push("undated"),
    }
    path.push(format!("{attempt}.log"));
    path
}

/// When a UUIDv7 was made.
pub(super) fn minted_at(id: Uuid) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_millis(minted_ms(id)?)
}

/// When a UUIDv7 was made, in milliseconds since 1970.
pub(super) fn minted_ms(id: Uuid) -> Option<i64> {
    let v7 = id.get_version_num() == 7;
    v7.then(|| (id.as_u128() >> 80) as i64)
}

/// The working folder that one client prepared for an attempt.
///
/// Two clients may prepare the same attempt; each uses a `stage` of its own, and the record keeps the stage of the one
/// whose launch took the claim.
pub(super) fn scratch_dir(state_dir: &Path, attempt: Uuid, stage: u32) -> PathBuf {
    scratch_root(state_dir).join(format!("{attempt}-{stage:08x}"))
}

/// The inverse of [`scratch_dir`]'s last part.
pub(super) fn parse_scratch_name(name: &str) -> Option<(Uuid, u32)> {
    let (attempt, stage) = name.rsplit_once('-')?;
    Some((attempt.parse().ok()?, u32::from_str_radix(stage, 16).ok()?))
}

pub(super) fn scratch_root(state_dir: &Path) -> PathBuf {
    state_dir.join("scratch")
}

/// Inside the working folder.
pub(super) const CONTEXT_FILE: &str = ".gridflow-context.json";
/// Inside the working folder; made by the command.
pub(super) const OUTPUT_FILE: &str = ".gridflow-output.json";

pub(super) const SOCKET: &str = "host.sock";
pub(super) const LOCK: &str = "host.lock";
pub(super) const RECORDS: &str = "host.records";
pub(super) const HOST_LOG: &str = "host.log";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_path_comes_from_the_attempt_alone() {
        let attempt = AttemptId("01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap());
        assert_eq!(
            log_path(Path::new("/state"), attempt),
            Path::new("/state/logs/2023-06-30/03/01890a5d-ac96-774b-bcce-b302099a8057.log")
        );
    }

    #[test]
    fn the_log_of_an_id_without_time_has_a_place_too() {
        let attempt = AttemptId(Uuid::nil());
        assert_eq!(
            log_path(Path::new("/state"), attempt),
            Path::new("/state/logs/undated/00000000-0000-0000-0000-000000000000.log")
        );
    }

    #[test]
    fn a_scratch_name_reads_back() {
        let attempt = Uuid::from_u128(7);
        let dir = scratch_dir(Path::new("/s"), attempt, 0xbeef);
        let name = dir.file_name().unwrap().to_str().unwrap();
        assert_eq!(parse_scratch_name(name), Some((attempt, 0xbeef)));
    }
}
