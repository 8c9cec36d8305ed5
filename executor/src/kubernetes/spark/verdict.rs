//! What a SparkApplication means for its attempt, together with what is known of the driver.

use super::{
    application::{Application, ApplicationState as State},
    cause::{Cause, cause, short},
};

/// The attempt's driver pod, as the pods say. With a claim, only the pod with that uid counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Driver {
    /// No pod of the attempt has the driver's role.
    Absent,
    /// There is one, and it holds the gate.
    Gated,
    /// Its uid is committed: from now on it alone is the truth, also when it is gone.
    Claimed,
}

/// What to do next. Before a claim nothing of the job has run, so an end is always safe to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// For what, in words for people.
    Wait(String),
    /// Nobody but a person or another controller can make it go on: it waits as long as it takes.
    OnHold(String),
    /// The submission is complete.
    Claim,
    /// The operator never heard how its submission ended. The driver is claimed if everything that `spark-submit`
    /// makes after it is there: a driver without its ConfigMap would wait for it forever.
    ClaimIfWhole,
    /// There is no driver and there will be none, for a reason that passes: delete the object, make it again.
    MakeAgain(String),
    /// The application can't be submitted as it is written.
    NeverStarts(String),
    /// Something took it away before its driver ran.
    Lost(String),
    FollowDriver,
}

/// `None`: there is no such object (any more).
pub fn verdict(application: Option<&Application>, driver: Driver) -> Verdict {
    if driver == Driver::Claimed {
        return Verdict::FollowDriver;
    }
    let Some(application) = application else {
        return Verdict::Lost("its SparkApplication is gone: deleted, but not by Gridflow".to_owned());
    };
    if application.is_being_deleted {
        return Verdict::Lost("its SparkApplication was deleted, but not by Gridflow".to_owned());
    }
    match (&application.state, driver) {
        (State::New, Driver::Absent) => wait("waits for the Spark operator to submit it"),
        // `spark-submit` makes the driver first and then what the driver mounts.
        (State::New, _) => wait("is being submitted by the Spark operator"),
        (State::Resuming, _) => wait("is resumed: waits for the Spark operator to submit it"),
        (State::Submitted | State::Running, Driver::Absent) => wait("is submitted: waits for its driver pod"),
        (State::Submitted | State::Running | State::Unknown | State::Other(_), Driver::Gated | Driver::Claimed) => {
            Verdict::Claim
        }
        (State::Unknown, Driver::Absent) => wait("has the state UNKNOWN: its driver's node does not answer"),
        (State::Other(state), Driver::Absent) => {
            wait(&format!("has the state {state}, which this version does not know"))
        }
        (State::Suspending | State::Suspended, _) => {
            Verdict::OnHold("its SparkApplication is suspended, by Kueue or by hand".to_owned())
        }
        (State::Invalidating | State::PendingRerun, _) => wait("was changed: the Spark operator submits it again"),
        (State::SubmissionFailed | State::Failing | State::Failed, Driver::Gated | Driver::Claimed) => {
            Verdict::ClaimIfWhole
        }
        (State::SubmissionFailed | State::Failing | State::Failed, Driver::Absent) => without_driver(application),
        // A gated driver can't have ended, so this is not ours to understand.
        (State::Succeeding | State::Completed, _) => {
            Verdict::Lost("its SparkApplication ended without its driver being released".to_owned())
        }
    }
}

fn wait(what: &str) -> Verdict {
    Verdict::Wait(format!("its SparkApplication {what}"))
}

/// The operator has given up, and no driver is there.
fn without_driver(application: &Application) -> Verdict {
    let message = application.message.as_deref().unwrap_or("the Spark operator gives no reason");
    if message.contains("driver pod not found") {
        return Verdict::MakeAgain("its driver pod was deleted before it was released".to_owned());
    }
    match cause(message) {
        Cause::Passing => Verdict::MakeAgain(format!("spark-submit failed: {}", short(message))),
        Cause::Task => Verdict::NeverStarts(format!("spark-submit failed: {}", short(message))),
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use insta::assert_snapshot;
    use serde_json::json;

    use super::{
        super::sample::{self, STATE_OF_TOMORROW, STATES},
        *,
    };

    fn all_states() -> impl Iterator<Item = &'static str> {
        STATES.into_iter().chain([STATE_OF_TOMORROW])
    }

    fn application(state: &str, message: Option<&str>) -> Application {
        sample::application(&json!({"applicationState": {"state": state, "errorMessage": message}}))
    }

    #[test]
    fn before_a_claim_every_state_has_its_meaning() {
        let mut table = String::new();
        for state in all_states() {
            let application =
                application(state, Some("failed to run spark-submit: Error: Missing application resource."));
            writeln!(table, "{}", application.state.as_str()).unwrap();
            writeln!(table, "  no driver     {:?}", verdict(Some(&application), Driver::Absent)).unwrap();
            writeln!(table, "  gated driver  {:?}", verdict(Some(&application), Driver::Gated)).unwrap();
        }
        assert_snapshot!(table, @r#"
        NEW
          no driver     Wait("its SparkApplication waits for the Spark operator to submit it")
          gated driver  Wait("its SparkApplication is being submitted by the Spark operator")
        SUBMITTED
          no driver     Wait("its SparkApplication is submitted: waits for its driver pod")
          gated driver  Claim
        RUNNING
          no driver     Wait("its SparkApplication is submitted: waits for its driver pod")
          gated driver  Claim
        COMPLETED
          no driver     Lost("its SparkApplication ended without its driver being released")
          gated driver  Lost("its SparkApplication ended without its driver being released")
        FAILED
          no driver     NeverStarts("spark-submit failed: failed to run spark-submit: Error: Missing application resource.")
          gated driver  ClaimIfWhole
        SUBMISSION_FAILED
          no driver     NeverStarts("spark-submit failed: failed to run spark-submit: Error: Missing application resource.")
          gated driver  ClaimIfWhole
        PENDING_RERUN
          no driver     Wait("its SparkApplication was changed: the Spark operator submits it again")
          gated driver  Wait("its SparkApplication was changed: the Spark operator submits it again")
        INVALIDATING
          no driver     Wait("its SparkApplication was changed: the Spark operator submits it again")
          gated driver  Wait("its SparkApplication was changed: the Spark operator submits it again")
        SUCCEEDING
          no driver     Lost("its SparkApplication ended without its driver being released")
          gated driver  Lost("its SparkApplication ended without its driver being released")
        FAILING
          no driver     NeverStarts("spark-submit failed: failed to run spark-submit: Error: Missing application resource.")
          gated driver  ClaimIfWhole
        SUSPENDING
          no driver     OnHold("its SparkApplication is suspended, by Kueue or by hand")
          gated driver  OnHold("its SparkApplication is suspended, by Kueue or by hand")
        SUSPENDED
          no driver     OnHold("its SparkApplication is suspended, by Kueue or by hand")
          gated driver  OnHold("its SparkApplication is suspended, by Kueue or by hand")
        RESUMING
          no driver     Wait("its SparkApplication is resumed: waits for the Spark operator to submit it")
          gated driver  Wait("its SparkApplication is resumed: waits for the Spark operator to submit it")
        UNKNOWN
          no driver     Wait("its SparkApplication has the state UNKNOWN: its driver's node does not answer")
          gated driver  Claim
        HIBERNATING
          no driver     Wait("its SparkApplication has the state HIBERNATING, which this version does not know")
          gated driver  Claim
        "#);
    }

    #[test]
    fn a_claimed_driver_is_followed_whatever_the_object_says() {
        for state in all_states() {
            assert_eq!(verdict(Some(&application(state, None)), Driver::Claimed), Verdict::FollowDriver, "{state}");
        }
        assert_eq!(verdict(None, Driver::Claimed), Verdict::FollowDriver);
    }

    #[test]
    fn a_resubmission_that_met_its_own_gated_driver_claims_it_only_if_the_submission_was_whole() {
        let message = "failed to submit spark application: failed to run spark-submit: driver pod already exist";
        for state in ["SUBMISSION_FAILED", "FAILED"] {
            let application = application(state, Some(message));
            assert_eq!(verdict(Some(&application), Driver::Gated), Verdict::ClaimIfWhole);
            assert_eq!(
                verdict(Some(&application), Driver::Absent),
                Verdict::MakeAgain("spark-submit failed: ".to_owned() + message)
            );
        }
    }

    #[test]
    fn a_driver_that_was_deleted_while_gated_is_made_again() {
        let application = application("FAILED", Some("driver pod not found"));
        assert!(matches!(verdict(Some(&application), Driver::Absent), Verdict::MakeAgain(_)));
    }

    #[test]
    fn an_object_that_somebody_deletes_before_the_claim_is_lost() {
        assert!(matches!(verdict(None, Driver::Absent), Verdict::Lost(_)));
        let mut application = application("SUBMITTED", None);
        application.is_being_deleted = true;
        assert!(matches!(verdict(Some(&application), Driver::Gated), Verdict::Lost(_)));
    }
}
