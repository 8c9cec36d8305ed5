//! How far a job is, from what its driver says of stages. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::Deserialize;

/// All that the driver knows of, at one moment. It forgets the oldest of very many stages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// Those that have work to do, or had.
    stages: usize,
    stages_done: usize,
    stages_failed: usize,
    /// Their work was done already.
    stages_skipped: usize,
    /// The first that runs.
    active: Option<Active>,
    tasks: u64,
    tasks_failed: u64,
    read_bytes: u64,
    written_bytes: u64,
    shuffled_bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Active {
    name: String,
    tasks: u64,
    tasks_done: u64,
}

/// One try of one stage.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Stage {
    status: String,
    stage_id: u64,
    name: String,
    num_tasks: u64,
    num_complete_tasks: u64,
    num_failed_tasks: u64,
    input_bytes: u64,
    output_bytes: u64,
    shuffle_write_bytes: u64,
}

/// A name says where in the program the stage begins; more of it helps nobody.
const NAME_CHARS_MAX: usize = 60;

impl Progress {
    /// Reads the driver's list of stages. `None`: it is no such list.
    pub fn read(stages: &[u8]) -> Option<Self> {
        let stages: Vec<Stage> = serde_json::from_slice(stages).ok()?;
        let ids = |wanted: &[&str]| -> BTreeSet<u64> {
            let found = stages.iter().filter(|stage| wanted.contains(&stage.status.as_str()));
            found.map(|stage| stage.stage_id).collect()
        };
        let all = ids(&["ACTIVE", "PENDING", "COMPLETE", "FAILED"]);
        let (unfinished, done) = (ids(&["ACTIVE", "PENDING"]), ids(&["COMPLETE"]));
        let failed = ids(&["FAILED"]).into_iter().filter(|id| !done.contains(id) && !unfinished.contains(id)).count();
        let running: BTreeMap<u64, &Stage> =
            stages.iter().filter(|stage| stage.status == "ACTIVE").map(|stage| (stage.stage_id, stage)).collect();
        let sum = |of: fn(&Stage) -> u64| stages.iter().map(of).fold(0, u64::saturating_add);
        Some(Self {
            stages: all.len(),
            stages_done: done.difference(&unfinished).count(),
            stages_failed: failed,
            stages_skipped: ids(&["SKIPPED"]).difference(&all).count(),
            active: running.values().next().map(|stage| Active {
                name: stage.name.chars().take(NAME_CHARS_MAX).collect(),
                tasks: stage.num_tasks,
                tasks_done: stage.num_complete_tasks,
            }),
            tasks: sum(|stage| stage.num_complete_tasks),
            tasks_failed: sum(|stage| stage.num_failed_tasks),
            read_bytes: sum(|stage| stage.input_bytes),
            written_bytes: sum(|stage| stage.output_bytes),
            shuffled_bytes: sum(|stage| stage.shuffle_write_bytes),
        })
    }

    /// Where it stands, while it runs. `None`: nothing has begun.
    fn line(&self) -> Option<String> {
        let failed = self.failed_tasks();
        match &self.active {
            Some(Active { name, tasks, tasks_done }) => {
                let no = self.stages_done + 1;
                let stages = self.stages;
                Some(format!("spark: stage {no} of {stages}: {tasks_done} of {tasks} tasks{failed} ({name})"))
            }
            None if self.stages == 0 => None,
            None => Some(format!("spark: {} of {} stages done{failed}", self.stages_done, self.stages)),
        }
    }

    /// All of it, for the end of the log. `None`: nothing has begun.
    pub fn summary(&self, before_its_end: Duration) -> Option<String> {
        if self.stages == 0 {
            return None;
        }
        let mut apart = Vec::new();
        for (count, what) in [(self.stages_failed, "failed"), (self.stages_skipped, "skipped")] {
            if 0 < count {
                apart.push(format!(", {count} {what}"));
            }
        }
        Some(format!(
            "spark: {} of {} stages done{}, {} tasks{}; read {}, written {}, shuffled {}; as seen {} s before its end",
            self.stages_done,
            self.stages,
            apart.concat(),
            self.tasks,
            self.failed_tasks(),
            size(self.read_bytes),
            size(self.written_bytes),
            size(self.shuffled_bytes),
            before_its_end.as_secs(),
        ))
    }

    fn failed_tasks(&self) -> String {
        if self.tasks_failed == 0 { String::new() } else { format!(", {} failed", self.tasks_failed) }
    }
}

/// Bytes for people.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut left = bytes;
    let mut unit = None;
    for name in UNITS {
        if left < 1024 * 10 {
            break;
        }
        (left, unit) = (left / 1024, Some(name));
    }
    format!("{left} {}", unit.unwrap_or("bytes"))
}

/// Says how far a job is, now and then: a line in ever longer pauses, and only if something is new.
#[derive(Debug, Default)]
pub struct Teller {
    told: Option<String>,
    /// In the job's age.
    next_at: Duration,
    pause: Option<Duration>,
}

const PAUSE_MIN: Duration = Duration::from_secs(5);
/// A job of a week adds a thousand lines.
const PAUSE_MAX: Duration = Duration::from_mins(10);

impl Teller {
    /// `age`: how long the job has been watched.
    pub fn tell(&mut self, progress: &Progress, age: Duration) -> Option<String> {
        if age < self.next_at {
            return None;
        }
        let line = progress.line().filter(|line| self.told.as_ref() != Some(line))?;
        let pause = self.pause.map_or(PAUSE_MIN, |pause| (pause * 2).min(PAUSE_MAX));
        (self.pause, self.next_at) = (Some(pause), age + pause);
        self.told = Some(line.clone());
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use serde_json::{Value, json};

    use super::*;

    fn stage(id: u64, status: &str, done: u64, tasks: u64) -> Value {
        json!({
            "stageId": id, "status": status, "name": format!("count at job.py:{id}"), "attemptId": 0,
            "numTasks": tasks, "numCompleteTasks": done, "numFailedTasks": u64::from(id == 1),
            "inputBytes": 3_000_000, "outputBytes": 20_000, "shuffleReadBytes": 5, "shuffleWriteBytes": 700,
            "submissionTime": "2026-01-01T00:00:00.000GMT",
        })
    }

    fn progress(stages: &[Value]) -> Progress {
        Progress::read(Value::from(stages).to_string().as_bytes()).unwrap()
    }

    #[test]
    fn a_job_is_told_by_the_stage_that_runs_and_at_its_end_as_a_whole() {
        let half = progress(&[
            stage(3, "PENDING", 0, 10),
            stage(2, "ACTIVE", 120, 200),
            stage(1, "COMPLETE", 8, 8),
            stage(0, "SKIPPED", 0, 8),
        ]);
        assert_snapshot!(half.line().unwrap(), @"spark: stage 2 of 3: 120 of 200 tasks, 1 failed (count at job.py:2)");
        assert_snapshot!(half.summary(Duration::from_secs(3)).unwrap(), @"spark: 1 of 3 stages done, 1 skipped, 128 tasks, 1 failed; read 11 MiB, written 78 KiB, shuffled 2800 bytes; as seen 3 s before its end");
        let between = progress(&[stage(1, "COMPLETE", 8, 8), stage(0, "COMPLETE", 8, 8)]);
        assert_snapshot!(between.line().unwrap(), @"spark: 2 of 2 stages done, 1 failed");
    }

    #[test]
    fn a_stage_that_is_tried_again_counts_once() {
        let again = progress(&[stage(0, "ACTIVE", 1, 4), stage(0, "FAILED", 2, 4)]);
        assert_snapshot!(again.line().unwrap(), @"spark: stage 1 of 1: 1 of 4 tasks (count at job.py:0)");
        let failed = progress(&[stage(0, "FAILED", 2, 4)]);
        assert_snapshot!(failed.summary(Duration::ZERO).unwrap(), @"spark: 0 of 1 stages done, 1 failed, 2 tasks; read 2929 KiB, written 19 KiB, shuffled 700 bytes; as seen 0 s before its end");
    }

    #[test]
    fn what_is_no_list_of_stages_is_nothing() {
        assert_eq!(Progress::read(b"<html>"), None);
        assert_eq!(Progress::read(b"{}"), None);
        let nothing = Progress::read(b"[]").unwrap();
        assert_eq!((nothing.line(), nothing.summary(Duration::ZERO)), (None, None));
    }

    #[test]
    fn lines_come_in_ever_longer_pauses_and_only_with_news() {
        let mut teller = Teller::default();
        let told: Vec<u64> = (0..100)
            .filter(|second| {
                let now = progress(&[stage(0, "ACTIVE", (*second).min(60), 100)]);
                teller.tell(&now, Duration::from_secs(*second)).is_some()
            })
            .collect();
        assert_eq!(told, [0, 5, 15, 35, 75]);
    }
}
