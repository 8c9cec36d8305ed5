//! The trigger rules: when a task runs, given the states of its direct upstreams.

use crate::state::TaskState;

/// Airflow's 13 rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum TriggerRule {
    #[default]
    AllSuccess,
    AllFailed,
    AllDone,
    AllDoneMinOneSuccess,
    AllDoneSetupSuccess,
    OneSuccess,
    OneFailed,
    OneDone,
    NoneFailed,
    NoneFailedMinOneSuccess,
    NoneSkipped,
    AllSkipped,
    Always,
}

impl TriggerRule {
    pub const ALL: [Self; 13] = [
        Self::AllSuccess,
        Self::AllFailed,
        Self::AllDone,
        Self::AllDoneMinOneSuccess,
        Self::AllDoneSetupSuccess,
        Self::OneSuccess,
        Self::OneFailed,
        Self::OneDone,
        Self::NoneFailed,
        Self::NoneFailedMinOneSuccess,
        Self::NoneSkipped,
        Self::AllSkipped,
        Self::Always,
    ];

    /// Airflow's name, as written in YAML.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AllSuccess => "all_success",
            Self::AllFailed => "all_failed",
            Self::AllDone => "all_done",
            Self::AllDoneMinOneSuccess => "all_done_min_one_success",
            Self::AllDoneSetupSuccess => "all_done_setup_success",
            Self::OneSuccess => "one_success",
            Self::OneFailed => "one_failed",
            Self::OneDone => "one_done",
            Self::NoneFailed => "none_failed",
            Self::NoneFailedMinOneSuccess => "none_failed_min_one_success",
            Self::NoneSkipped => "none_skipped",
            Self::AllSkipped => "all_skipped",
            Self::Always => "always",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| rule.as_str() == text)
    }
}

/// How many direct upstreams a task has, and how many of them are finished how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UpstreamCounts {
    pub total: u32,
    pub success: u32,
    pub failed: u32,
    pub skipped: u32,
    pub upstream_failed: u32,
    pub removed: u32,
}

impl UpstreamCounts {
    pub fn done(self) -> u32 {
        self.success + self.failed + self.skipped + self.upstream_failed + self.removed
    }

    /// Counts one more upstream that has come to this state; unfinished ones do not count.
    pub fn add(&mut self, state: TaskState) {
        match state {
            TaskState::Success => self.success += 1,
            TaskState::Failed => self.failed += 1,
            TaskState::Skipped => self.skipped += 1,
            TaskState::UpstreamFailed => self.upstream_failed += 1,
            TaskState::Removed => self.removed += 1,
            TaskState::NoStatus
            | TaskState::Scheduled
            | TaskState::Queued
            | TaskState::Running
            | TaskState::UpForRetry
            | TaskState::UpForReschedule
            | TaskState::Deferred
            | TaskState::AwaitingInput
            | TaskState::Restarting => {}
        }
    }
}

/// What a trigger rule says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    Wait,
    Run,
    Skip,
    UpstreamFailed,
}

/// What a task's trigger rule says, given the states of its direct upstreams.
///
/// A task without upstreams runs. Once all upstreams are done the verdict is never [`Verdict::Wait`].
/// Removed upstreams are as good as absent; where nothing but them is left to decide by, the rule
/// falls to the outcome that it has when nobody succeeded.
pub fn verdict(rule: TriggerRule, upstream: UpstreamCounts) -> Verdict {
    let UpstreamCounts { total, success, failed, skipped, upstream_failed, removed } = upstream;
    let any_failed = 0 < failed + upstream_failed;
    let all_done = upstream.done() == total;
    if total == 0 {
        return Verdict::Run;
    }
    match rule {
        TriggerRule::Always => Verdict::Run,

        TriggerRule::AllSuccess if any_failed => Verdict::UpstreamFailed,
        TriggerRule::AllSuccess if 0 < skipped => Verdict::Skip,

        TriggerRule::AllFailed if 0 < success + skipped => Verdict::Skip,

        TriggerRule::AllDoneMinOneSuccess if 0 < skipped => Verdict::Skip,
        TriggerRule::AllDoneMinOneSuccess if all_done && success == 0 => Verdict::UpstreamFailed,

        TriggerRule::OneSuccess if 0 < success => Verdict::Run,
        TriggerRule::OneSuccess if all_done && skipped == total => Verdict::Skip,
        TriggerRule::OneSuccess if all_done => Verdict::UpstreamFailed,

        TriggerRule::OneFailed if any_failed => Verdict::Run,
        TriggerRule::OneFailed if all_done => Verdict::Skip,

        TriggerRule::OneDone if 0 < success + failed => Verdict::Run,
        TriggerRule::OneDone if all_done => Verdict::Skip,

        TriggerRule::NoneFailed | TriggerRule::NoneFailedMinOneSuccess if any_failed => Verdict::UpstreamFailed,
        TriggerRule::NoneFailedMinOneSuccess if all_done && success == 0 => Verdict::Skip,

        TriggerRule::NoneSkipped if 0 < skipped => Verdict::Skip,

        TriggerRule::AllSkipped if 0 < success || any_failed => Verdict::Skip,

        // No setup tasks exist, so the setup rule is `all_done`.
        TriggerRule::AllSuccess
        | TriggerRule::AllFailed
        | TriggerRule::AllDone
        | TriggerRule::AllDoneSetupSuccess
        | TriggerRule::AllDoneMinOneSuccess
        | TriggerRule::NoneFailed
        | TriggerRule::NoneFailedMinOneSuccess
        | TriggerRule::NoneSkipped
        | TriggerRule::AllSkipped
            if all_done =>
        {
            debug_assert!(removed <= total);
            Verdict::Run
        }

        TriggerRule::AllSuccess
        | TriggerRule::AllFailed
        | TriggerRule::AllDone
        | TriggerRule::AllDoneSetupSuccess
        | TriggerRule::AllDoneMinOneSuccess
        | TriggerRule::OneSuccess
        | TriggerRule::OneFailed
        | TriggerRule::OneDone
        | TriggerRule::NoneFailed
        | TriggerRule::NoneFailedMinOneSuccess
        | TriggerRule::NoneSkipped
        | TriggerRule::AllSkipped => Verdict::Wait,
    }
}
