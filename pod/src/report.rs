//! The termination message of a wrapped container.
//!
//! ```text
//! (empty)                                              nothing to say but the exit code
//! {"rows": 7}                                          the output, as the command wrote it
//! {"gridflow.io/output": {"value": …}}                 the same, for one that would read as something of ours
//! {"gridflow.io/output": {"in": "log", "bytes": N, "sha256": "…"}}
//! {"gridflow.io/output": {"invalid": "why"}}
//! {"gridflow.io/failed": "cannot start `x`: …"}        the command never ran
//! {"gridflow.io/signal": 9, …}                         what ended the command; the exit code is 128 more
//! {"gridflow.io/exit": 137, …}                         its own exit code, and no signal
//! ```

use serde_json::{Map, Value, json};

const OUTPUT: &str = "gridflow.io/output";
const SIGNAL: &str = "gridflow.io/signal";
const EXIT: &str = "gridflow.io/exit";
const FAILED: &str = "gridflow.io/failed";
const PREFIX: &str = "gridflow.io/";

/// What a container says at its end.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Report {
    pub output: Output,
    /// Told where the exit code alone could be read in two ways.
    pub end: Option<End>,
    /// Why the command never ran.
    pub failed: Option<String>,
}

/// How the command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Signal(i32),
    Exit(i32),
}

/// What became of the command's output.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Output {
    #[default]
    Nothing,
    /// JSON, as it was written.
    Text(String),
    /// Framed at the end of the log.
    InLog { bytes: u64, sha256: String },
    /// Neither nothing nor JSON, or too large: the text is for people.
    Invalid(String),
}

impl Report {
    /// The message, if it has at most `bytes_max` bytes.
    ///
    /// A reason is cut to fit; an output is not: then there is none, and the output goes into the log.
    pub fn write(&self, bytes_max: usize) -> Option<String> {
        if let Self { output: Output::Text(text), end: None, failed: None } = self
            && !reads_as_ours(text)
        {
            return (text.len() <= bytes_max).then(|| text.clone());
        }
        let mut message = Map::new();
        if let Some(reason) = &self.failed {
            message.insert(FAILED.into(), cut(reason, bytes_max).into());
        }
        match self.end {
            Some(End::Signal(signal)) => drop(message.insert(SIGNAL.into(), signal.into())),
            Some(End::Exit(code)) => drop(message.insert(EXIT.into(), code.into())),
            None => {}
        }
        match &self.output {
            Output::Nothing => {}
            Output::Text(text) => {
                // By hand, so that numbers stay as they were written.
                let rest = Value::Object(message).to_string();
                let rest = rest.trim_start_matches('{');
                let comma = if rest == "}" { "" } else { "," };
                let message = format!("{{\"{OUTPUT}\":{{\"value\":{text}}}{comma}{rest}");
                return (message.len() <= bytes_max).then_some(message);
            }
            Output::InLog { bytes, sha256 } => {
                message.insert(OUTPUT.into(), json!({ "in": "log", "bytes": bytes, "sha256": sha256 }));
            }
            Output::Invalid(reason) => {
                message.insert(OUTPUT.into(), json!({ "invalid": cut(reason, bytes_max) }));
            }
        }
        if message.is_empty() {
            return Some(String::new());
        }
        let message = Value::Object(message).to_string();
        (message.len() <= bytes_max).then_some(message)
    }

    /// Reads a message of a wrapped container. `None` if it is neither empty nor JSON: it was cut off, or is not ours.
    pub fn read(message: &str) -> Option<Self> {
        if message.trim_ascii().is_empty() {
            return Some(Self::default());
        }
        let value: Value = serde_json::from_str(message).ok()?;
        if !is_ours(&value) {
            return Some(Self { output: Output::Text(message.to_owned()), ..Self::default() });
        }
        let output = &value[OUTPUT];
        let text = |value: &Value| value.as_str().map(ToOwned::to_owned);
        let output = if let Some(reason) = text(&output["invalid"]) {
            Output::Invalid(reason)
        } else if let (Some(bytes), Some(sha256)) = (output["bytes"].as_u64(), text(&output["sha256"])) {
            Output::InLog { bytes, sha256 }
        } else if let Some(value) = output.get("value") {
            Output::Text(value.to_string())
        } else {
            Output::Nothing
        };
        let number = |value: &Value| value.as_i64().and_then(|number| i32::try_from(number).ok());
        let end = number(&value[SIGNAL]).map(End::Signal).or_else(|| number(&value[EXIT]).map(End::Exit));
        Some(Self { output, end, failed: text(&value[FAILED]) })
    }
}

fn reads_as_ours(text: &str) -> bool {
    text.contains(PREFIX) && serde_json::from_str(text).is_ok_and(|value| is_ours(&value))
}

fn is_ours(value: &Value) -> bool {
    value.as_object().is_some_and(|object| object.keys().any(|key| key.starts_with(PREFIX)))
}

/// A third of the room: quoting may double it, and there are other keys.
fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max / 3)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Report {
        Report { output: Output::Text(text.into()), ..Report::default() }
    }

    fn written(report: &Report) -> String {
        let message = report.write(4096).unwrap();
        assert_eq!(Report::read(&message).as_ref(), Some(report), "{message}");
        message
    }

    #[test]
    fn an_output_is_its_own_message() {
        assert_eq!(written(&Report::default()), "");
        assert_eq!(written(&text(r#"{"rows": 1.50}"#)), r#"{"rows": 1.50}"#);
        assert_eq!(written(&text("\"gridflow.io/output\"")), "\"gridflow.io/output\"");
    }

    #[test]
    fn an_output_that_looks_like_ours_is_still_an_output() {
        let message = written(&text(r#"{"gridflow.io/signal":9}"#));
        assert_eq!(message, r#"{"gridflow.io/output":{"value":{"gridflow.io/signal":9}}}"#);
    }

    #[test]
    fn how_it_ended_stands_beside_an_output() {
        let report = Report { end: Some(End::Signal(15)), ..text("[1]") };
        assert_eq!(written(&report), r#"{"gridflow.io/output":{"value":[1]},"gridflow.io/signal":15}"#);
        let report = Report { end: Some(End::Exit(137)), ..Report::default() };
        assert_eq!(written(&report), r#"{"gridflow.io/exit":137}"#);
    }

    #[test]
    fn the_rest_is_said_in_words() {
        let in_log = Output::InLog { bytes: 70_000, sha256: "ab".into() };
        let message = written(&Report { output: in_log, ..Report::default() });
        assert_eq!(message, r#"{"gridflow.io/output":{"in":"log","bytes":70000,"sha256":"ab"}}"#);
        let invalid = Report { output: Output::Invalid("no JSON".into()), ..Report::default() };
        assert_eq!(written(&invalid), r#"{"gridflow.io/output":{"invalid":"no JSON"}}"#);
        let failed = Report { failed: Some("cannot start".into()), ..Report::default() };
        assert_eq!(written(&failed), r#"{"gridflow.io/failed":"cannot start"}"#);
    }

    #[test]
    fn what_is_too_long_is_cut_if_it_is_a_reason_and_refused_if_it_is_an_output() {
        assert_eq!(text("[1, 2, 3, 4]").write(11), None);
        let failed = Report { failed: Some("ü".repeat(5000)), ..Report::default() };
        assert!(failed.write(4096).is_some());
    }

    #[test]
    fn a_message_that_was_cut_off_is_no_report() {
        assert_eq!(Report::read(r#"{"rows": [1, 2"#), None);
        assert_eq!(Report::read("plain words"), None);
    }
}
