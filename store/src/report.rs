//! What a node's scheduler tells the leader about an attempt, on its way through the inbox.

use std::sync::Arc;

use gridflow_core::{AttemptId, AttemptOutcome, Output, RunKey, Timestamp, Usage};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Inconsistency, decode::Row};

/// News of one attempt. May come more than once: what is told of a closed attempt changes nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    pub run: RunKey,
    pub attempt: AttemptId,
    pub at: Timestamp,
    pub news: News,
}

#[derive(Debug, Clone, PartialEq)]
pub enum News {
    Started {
        pid: u32,
    },
    /// Nothing of it is left.
    Finished {
        outcome: AttemptOutcome,
        usage: Usage,
        output: Option<Output>,
    },
}

impl Report {
    pub(crate) fn kind(&self) -> &'static str {
        match self.news {
            News::Started { .. } => "attempt_started",
            News::Finished { .. } => "attempt_finished",
        }
    }

    pub(crate) fn encode(&self) -> serde_json::Value {
        let news = match &self.news {
            News::Started { pid } => NewsText::Started { pid: *pid },
            News::Finished { outcome, usage, output } => NewsText::Finished {
                outcome: OutcomeText::from(outcome),
                cpu_user_ms: usage.cpu_user_ms,
                cpu_system_ms: usage.cpu_system_ms,
                rss_peak_bytes: usage.rss_peak_bytes,
                output: output.as_ref().map(|output| OutputText { value: output.value.clone(), bytes: output.bytes }),
            },
        };
        let text = ReportText { run: self.run.0, at_us: self.at.timestamp_micros(), news };
        serde_json::to_value(text).expect("its keys are texts")
    }

    pub(crate) fn decode(at: Row<'_>, attempt: Uuid, payload: serde_json::Value) -> Result<Self, Inconsistency> {
        let text: ReportText = at.known("payload", serde_json::from_value(payload).ok())?;
        let news = match text.news {
            NewsText::Started { pid } => News::Started { pid },
            NewsText::Finished { outcome, cpu_user_ms, cpu_system_ms, rss_peak_bytes, output } => News::Finished {
                outcome: outcome.into(),
                usage: Usage { cpu_user_ms, cpu_system_ms, rss_peak_bytes },
                output: output.map(|output| Output { value: output.value, bytes: output.bytes }),
            },
        };
        let at = at.known("payload", Timestamp::from_timestamp_micros(text.at_us))?;
        Ok(Self { run: RunKey(text.run), attempt: AttemptId(attempt), at, news })
    }
}

#[derive(Serialize, Deserialize)]
struct ReportText {
    run: Uuid,
    at_us: i64,
    news: NewsText,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum NewsText {
    Started {
        pid: u32,
    },
    Finished {
        outcome: OutcomeText,
        cpu_user_ms: u64,
        cpu_system_ms: u64,
        rss_peak_bytes: u64,
        output: Option<OutputText>,
    },
}

#[derive(Serialize, Deserialize)]
struct OutputText {
    value: Arc<serde_json::Value>,
    bytes: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum OutcomeText {
    Exited { code: i32 },
    Signaled { signal: i32 },
    OutOfMemory,
    TimedOut,
    Canceled,
    NeverStarted,
    SpawnFailed { message: String },
    OutputInvalid { message: String },
    Lost { reason: String },
}

impl From<&AttemptOutcome> for OutcomeText {
    fn from(outcome: &AttemptOutcome) -> Self {
        match outcome.clone() {
            AttemptOutcome::Exited { code } => Self::Exited { code },
            AttemptOutcome::Signaled { signal } => Self::Signaled { signal },
            AttemptOutcome::OutOfMemory => Self::OutOfMemory,
            AttemptOutcome::TimedOut => Self::TimedOut,
            AttemptOutcome::Canceled => Self::Canceled,
            AttemptOutcome::NeverStarted => Self::NeverStarted,
            AttemptOutcome::SpawnFailed { message } => Self::SpawnFailed { message },
            AttemptOutcome::OutputInvalid { message } => Self::OutputInvalid { message },
            AttemptOutcome::Lost { reason } => Self::Lost { reason },
        }
    }
}

impl From<OutcomeText> for AttemptOutcome {
    fn from(text: OutcomeText) -> Self {
        match text {
            OutcomeText::Exited { code } => Self::Exited { code },
            OutcomeText::Signaled { signal } => Self::Signaled { signal },
            OutcomeText::OutOfMemory => Self::OutOfMemory,
            OutcomeText::TimedOut => Self::TimedOut,
            OutcomeText::Canceled => Self::Canceled,
            OutcomeText::NeverStarted => Self::NeverStarted,
            OutcomeText::SpawnFailed { message } => Self::SpawnFailed { message },
            OutcomeText::OutputInvalid { message } => Self::OutputInvalid { message },
            OutcomeText::Lost { reason } => Self::Lost { reason },
        }
    }
}
