//! What a container left as its output: its termination message, or what that points to.

use std::sync::Arc;

use gridflow_core::{AttemptOutcome, Output};
use gridflow_pod::{
    hex,
    report::{self, Report},
};

/// What an attempt left behind.
#[derive(Debug, Clone, PartialEq)]
pub enum Left {
    Nothing,
    Json(Output),
    /// It meant to leave an output, and this is wrong with it.
    Invalid(String),
}

/// What a termination message stands for; `framed` is what was cut out of the log.
///
/// JSON is an output, anything else a word for people: containers that are not ours may write there what they like.
pub fn read(message: Option<&str>, framed: &[u8]) -> Left {
    let Some(message) = message else { return Left::Nothing };
    match Report::read(message).map(|report| report.output) {
        None if is_cut_off(message) => Left::Invalid(format!(
            "the termination message ends in the middle of its JSON after {} bytes; the kubelet keeps 4,096 of a \
             container and 12,288 of a pod",
            message.len()
        )),
        None | Some(report::Output::Nothing) => Left::Nothing,
        Some(report::Output::Text(text)) => parse(text.as_bytes()),
        Some(report::Output::Invalid(problem)) => Left::Invalid(problem),
        Some(report::Output::InLog { bytes, sha256 }) => {
            if is_whole(framed, bytes, &sha256) {
                return parse(framed);
            }
            let found = framed.len();
            Left::Invalid(format!(
                "the output has {bytes} bytes and was written to the end of the log, of which {found} could be read \
                 back"
            ))
        }
    }
}

/// How the command ended, where `gridflow-pod` says it better than the container's exit code does.
pub fn own_word(message: Option<&str>) -> Option<AttemptOutcome> {
    let report = message.and_then(Report::read)?;
    if let Some(message) = report.failed {
        return Some(AttemptOutcome::SpawnFailed { message });
    }
    Some(match report.end? {
        report::End::Signal(signal) => AttemptOutcome::Signaled { signal },
        report::End::Exit(code) => AttemptOutcome::Exited { code },
    })
}

/// Whether the log still has to give the output, or the rest of it.
pub fn is_missing(message: Option<&str>, framed: &[u8]) -> bool {
    match message.and_then(Report::read).map(|report| report.output) {
        Some(report::Output::InLog { bytes, sha256 }) => !is_whole(framed, bytes, &sha256),
        Some(report::Output::Nothing | report::Output::Text(_) | report::Output::Invalid(_)) | None => false,
    }
}

fn is_whole(framed: &[u8], bytes: u64, sha256: &str) -> bool {
    framed.len() as u64 == bytes && hex::sha256(framed) == sha256
}

fn parse(text: &[u8]) -> Left {
    match serde_json::from_slice(text) {
        Ok(value) => Left::Json(Output { value: Arc::new(value), bytes: text.len() as u64 }),
        Err(error) => Left::Invalid(format!("the output is not JSON that Gridflow can read: {error}")),
    }
}

fn is_cut_off(message: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(message).is_err_and(|error| error.is_eof())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_log(value: &str) -> String {
        let output = report::Output::InLog { bytes: value.len() as u64, sha256: hex::sha256(value.as_bytes()) };
        Report { output, ..Report::default() }.write(4096).unwrap()
    }

    #[test]
    fn a_termination_message_in_json_is_the_output() {
        let Left::Json(output) = read(Some(r#"{"rows": 3}"#), b"") else { panic!("no output") };
        assert_eq!((output.value.to_string().as_str(), output.bytes), (r#"{"rows":3}"#, 11));
    }

    #[test]
    fn an_end_that_the_exit_code_leaves_open_is_told() {
        let word = |message: &str| own_word(Some(message));
        assert_eq!(word(r#"{"gridflow.io/signal":9}"#), Some(AttemptOutcome::Signaled { signal: 9 }));
        assert_eq!(word(r#"{"gridflow.io/exit":137}"#), Some(AttemptOutcome::Exited { code: 137 }));
        let failed = AttemptOutcome::SpawnFailed { message: "cannot start".into() };
        assert_eq!(word(r#"{"gridflow.io/failed":"cannot start"}"#), Some(failed));
        assert_eq!((word(r#"{"rows": 1}"#), word("words"), own_word(None)), (None, None, None));
    }

    #[test]
    fn words_are_no_output() {
        assert_eq!(read(Some("killed by the watchdog"), b""), Left::Nothing);
        assert_eq!(read(Some(" \n"), b""), Left::Nothing);
        assert_eq!(read(None, b""), Left::Nothing);
    }

    #[test]
    fn a_large_output_comes_from_the_log_whole_or_not_at_all() {
        let message = in_log("[1, 2]");
        let Left::Json(output) = read(Some(&message), b"[1, 2]") else { panic!("no output") };
        assert_eq!(output.bytes, 6);
        assert!(!is_missing(Some(&message), b"[1, 2]"));
        for other in [&b"[1, "[..], b"[1, 3]", b""] {
            assert!(matches!(read(Some(&message), other), Left::Invalid(_)));
            assert!(is_missing(Some(&message), other));
        }
    }

    #[test]
    fn a_message_that_the_kubelet_cut_off_is_no_silent_loss() {
        let Left::Invalid(problem) = read(Some(r#"{"rows": [1, 2"#), b"") else { panic!("taken") };
        assert!(problem.contains("after 14 bytes"), "{problem}");
    }

    #[test]
    fn an_invalid_output_says_what_the_pod_said() {
        let message = r#"{"gridflow.io/output":{"invalid":"not JSON"}}"#;
        assert_eq!(read(Some(message), b""), Left::Invalid("not JSON".into()));
    }
}
