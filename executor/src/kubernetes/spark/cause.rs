//! Why a submission failed, read from the operator's words: `spark-submit`'s whole standard error.

/// Whose matter a failed submission is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// The application asks for something that can't be: trying again changes nothing.
    Task,
    /// Something around it failed, or there was no room: the same submission may work later.
    Passing,
}

/// Parts of messages that speak of the cluster, not of the application. All lower case.
///
/// What is not listed counts as the task's: a wrong guess then costs one of its retries, not an endless loop.
const PASSING: [&str; 22] = [
    "driver pod already exist",
    "exceeded quota",
    "too many requests",
    "code=429",
    "code=500",
    "code=502",
    "code=503",
    "code=504",
    "internal error occurred",
    "failed calling webhook",
    "service unavailable",
    "the server is currently unable",
    "etcdserver",
    "connection refused",
    "connection reset",
    "connection was closed",
    "no route to host",
    "unknownhostexception",
    "timed out",
    "timeout",
    "signal: killed",
    "signal: terminated",
];

pub(super) fn cause(message: &str) -> Cause {
    let message = message.to_lowercase();
    if PASSING.iter().any(|part| message.contains(part)) { Cause::Passing } else { Cause::Task }
}

/// More of a message helps nobody; the operator's log has it whole.
const MESSAGE_MAX: usize = 600;

/// The telling part: what the API server answered, else the exception, else the message as it is.
pub(super) fn short(message: &str) -> String {
    let telling = answer(message).or_else(|| exception(message)).unwrap_or(message).trim();
    let one_line = telling.split_whitespace().collect::<Vec<_>>().join(" ");
    match one_line.char_indices().nth(MESSAGE_MAX) {
        None => one_line,
        Some((end, _)) => format!("{}…", &one_line[..end]),
    }
}

/// `Failure executing: POST at: https://…. Message: WHAT. Received status: Status(…)`.
fn answer(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("Message: ")?;
    Some(rest.split(". Received status:").next().unwrap_or(rest).trim_end_matches('.'))
}

/// The last exception named is the one that caused the others.
fn exception(message: &str) -> Option<&str> {
    let of_line = |line: &'_ str| -> Option<usize> {
        let line = line.trim_start();
        line.strip_prefix("Caused by: ").or_else(|| line.strip_prefix("Exception in thread \"main\" ")).map(str::len)
    };
    message.lines().rev().find_map(|line| of_line(line).map(|rest| &line[line.len() - rest..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUOTA: &str = "failed to submit spark application: failed to run spark-submit: failed to run spark-submit: \
        26/01/01 10:00:00 WARN NativeCodeLoader: Unable to load native-hadoop library\n\
        Exception in thread \"main\" io.fabric8.kubernetes.client.KubernetesClientException: Failure executing: POST at: \
        https://10.0.0.1:6443/api/v1/namespaces/data/pods. Message: pods \"gf-1-driver\" is forbidden: exceeded quota: small, \
        requested: pods=1, used: pods=2, limited: pods=2. Received status: Status(apiVersion=v1, code=403).\n\tat io.fabric8.X";

    #[test]
    fn a_full_quota_passes_and_is_told_in_its_own_words() {
        assert_eq!(cause(QUOTA), Cause::Passing);
        assert_eq!(
            short(QUOTA),
            "pods \"gf-1-driver\" is forbidden: exceeded quota: small, requested: pods=1, used: pods=2, limited: pods=2"
        );
    }

    #[test]
    fn a_submission_that_can_never_work_is_the_tasks_fault() {
        let message = "failed to run spark-submit: Exception in thread \"main\" \
            org.apache.spark.SparkException: Please specify spark.kubernetes.file.upload.path property.\n\tat org.apache.spark.X";
        assert_eq!(cause(message), Cause::Task);
        let denied = "Message: pods \"gf-1-driver\" is forbidden: violates PodSecurity \"restricted:latest\". Received status: Status(code=403)";
        assert_eq!(cause(denied), Cause::Task);
    }

    #[test]
    fn the_exception_that_caused_the_others_is_told() {
        let message = "x\nException in thread \"main\" org.apache.spark.SparkException: External scheduler cannot be instantiated\n\
            \tat org.apache.spark.SparkContext\nCaused by: java.net.UnknownHostException: kubernetes.default.svc\n\tat java.net.X";
        assert_eq!(short(message), "java.net.UnknownHostException: kubernetes.default.svc");
        assert_eq!(cause(message), Cause::Passing);
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let short = short(&"ä".repeat(2_000));
        assert_eq!(short.chars().count(), MESSAGE_MAX + 1);
        assert!(short.ends_with('…'));
    }
}
