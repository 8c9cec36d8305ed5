//! Attempts whose driver an operator makes.

use super::{super::super::pod::sample::*, *};

fn driver() -> Value {
    json!({"metadata": {"name": "gf-7-driver", "labels": {"spark-role": "driver"}}})
}

fn executor(phase: &str) -> [Value; 1] {
    [json!({
        "metadata": {"name": "exec-1", "uid": "e1", "labels": {"spark-role": "executor"}},
        "spec": {"schedulingGates": null},
        "status": {"phase": phase},
    })]
}

fn application(state: &str, message: &str) -> Input {
    let object = json!({
        "metadata": {"name": "gf-7", "uid": "app-1", "labels": {"gridflow.io/attempt": ATTEMPT}},
        "status": {"applicationState": {"state": state, "errorMessage": message}},
    });
    Input::Application(site(), Box::new(Application::read(&object).unwrap()))
}

/// Its object is made, and nothing more.
fn made() -> Scene {
    let mut scene = Scene::of(Attempt::ordered(&spark_launch()));
    assert_eq!(scene.take(Input::Launch(Arc::new(spark_launch()), Some(site()))), "create");
    assert_eq!(
        scene.answer(Answer::Created(Made::Application { uid: "app-1".into() })),
        "wake at 00:02:30; wake at 00:11:30"
    );
    scene
}

fn spark_launch() -> Launch {
    Launch { object: Object::SparkApplication(Value::Null), ..launch() }
}

#[test]
fn a_driver_is_claimed_when_its_submission_is_whole() {
    let mut scene = made();
    assert_eq!(scene.take(application("", "")), "wake at 00:02:30; wake at 00:11:30");
    let waits = "its SparkApplication waits for the Spark operator to submit it";
    let told = scene.at("00:02:30").take(Input::Wake);
    assert_eq!(told, format!("warn: {waits}; wake at 00:11:30; its start waits: {waits}"));
    assert_eq!(scene.take(Input::Wake), "wake at 00:11:30", "it is said once");
    let submits = "its SparkApplication is being submitted by the Spark operator";
    let told = scene.see(&[driver()]);
    assert_eq!(told, format!("warn: {submits}; wake at 00:11:30; its start waits: {submits}"));
    assert_eq!(scene.take(application("SUBMITTED", "")), "claimed u1; its start waits: no more");
    assert_eq!(scene.take(application("FAILED", "driver pod not found")), "", "the driver is the truth from here");
}

#[test]
fn what_waits_for_a_sight_of_its_application_says_why_there_is_none() {
    let mut scene = made();
    let unseen = |reason: Option<&str>| Input::Unseen(Kind::SparkApplication, reason.map(Into::into));
    let waits =
        "its SparkApplication was made, and the SparkApplications of namespace `a` can't be watched now: forbidden";
    let told = unseen(Some("the SparkApplications of namespace `a` can't be watched now: forbidden"));
    assert_eq!(scene.take(told), "wake at 00:02:30; wake at 00:11:30");
    let told = scene.at("00:02:30").take(Input::Wake);
    assert_eq!(told, format!("warn: {waits}; wake at 00:11:30; its start waits: {waits}"));
    scene.see(&[driver()]);
    scene.take(unseen(None));
    assert_eq!(scene.take(application("SUBMITTED", "")), "claimed u1; its start waits: no more");
    assert_eq!(scene.take(unseen(Some("forbidden"))), "", "its driver is seen without it");
}

#[test]
fn people_are_told_once_where_the_ui_is_and_again_when_it_moves() {
    let with_ui = |url: &str| {
        let object = json!({
            "metadata": {"name": "gf-7", "uid": "app-1", "labels": {"gridflow.io/attempt": ATTEMPT}},
            "status": {"applicationState": {"state": "SUBMITTED"}, "driverInfo": {"webUIAddress": url}},
        });
        Input::Application(site(), Box::new(Application::read(&object).unwrap()))
    };
    let mut scene = made();
    scene.see(&[driver()]);
    assert_eq!(scene.take(with_ui("10.0.0.7:4040")), "claimed u1; links: Spark UI at http://10.0.0.7:4040");
    assert_eq!(scene.take(with_ui("10.0.0.7:4040")), "");
    assert_eq!(scene.take(application("RUNNING", "")), "", "a status without it takes nothing back");
    assert_eq!(scene.take(with_ui("https://spark.example/gf-7")), "links: Spark UI at https://spark.example/gf-7");
}

#[test]
fn a_second_submission_that_met_the_first_driver_claims_it_only_if_nothing_is_missing() {
    let mut scene = made();
    scene.see(&[driver()]);
    assert_eq!(scene.take(application("FAILED", "driver pod already exist")), "check the submission of gf-7-driver");
    assert_eq!(scene.answer(Answer::Checked(Checked::Whole)), "claimed u1");

    let mut scene = made();
    scene.see(&[driver()]);
    scene.take(application("FAILED", "driver pod already exist"));
    let torn = Answer::Checked(Checked::Torn("the ConfigMap `c` is missing".into()));
    assert_eq!(
        scene.answer(torn),
        "warn: its submission was cut off: the ConfigMap `c` is missing; it is made again; drop application"
    );
    let again = "warn: its SparkApplication is made again; wake at 00:01:31";
    assert_eq!(scene.answer(Answer::ApplicationDropped), again);
    assert_eq!(scene.take(Input::ApplicationGone(Some("app-1".into()))), "wake at 00:01:31");
    assert_eq!(scene.at("00:01:31").take(Input::Wake), "create");
}

#[test]
fn a_submission_that_failed_for_a_passing_reason_is_made_again() {
    let mut scene = made();
    assert_eq!(
        scene
            .take(application("FAILED", "Message: pods \"x\" is forbidden: exceeded quota: small. Received status: x")),
        "warn: spark-submit failed: pods \"x\" is forbidden: exceeded quota: small; wake at 00:02:30; wake at 00:11:30; drop application"
    );
    // What is still told of it does not count any more.
    assert_eq!(scene.take(application("FAILED", "…")), "");
}

#[test]
fn a_submission_that_can_never_work_fails() {
    let mut scene = made();
    assert_eq!(
        scene.take(application("FAILED", "Exception in thread \"main\" x.SparkException: no")),
        "end log NoMore [\"spark-submit failed: x.SparkException: no\"]"
    );
    assert_eq!(
        scene.take(Input::LogEnded(Left::Nothing)),
        "finished 00:01:30 SpawnFailed { message: \"spark-submit failed: x.SparkException: no\" }"
    );
    assert_eq!(scene.take(Input::Acknowledge), "drop application; forget");
}

#[test]
fn what_no_operator_takes_is_given_up_but_not_what_is_suspended() {
    let mut scene = made();
    scene.take(application("", ""));
    let told = scene.at("00:11:30").take(Input::Wake);
    assert!(told.contains("waits for the Spark operator to submit it: given up after 600 s"), "{told}");

    let mut scene = made();
    let held = "its SparkApplication is suspended, by Kueue or by hand";
    assert_eq!(scene.take(application("SUSPENDED", "")), format!("warn: {held}; its start waits: {held}"));
    assert_eq!(scene.at("23:00:00").take(application("SUSPENDED", "")), "");
    let resumed = "wake at 23:01:00; wake at 23:10:00; its start waits: no more";
    assert_eq!(scene.take(application("RESUMING", "")), resumed);
}

#[test]
fn an_object_that_somebody_deletes_before_the_claim_is_lost() {
    let mut scene = made();
    scene.take(application("SUBMITTED", ""));
    let told = scene.take(Input::ApplicationGone(None));
    assert_eq!(told, "end log NoMore [\"its SparkApplication is gone: deleted, but not by Gridflow\"]");
}

#[test]
fn executors_that_outlive_their_driver_are_ended() {
    let mut scene = made();
    scene.see(&[driver()]);
    scene.take(application("SUBMITTED", ""));
    scene.take(Input::Confirm("u1".into()));
    scene.answer(Answer::Confirmed(Confirmed::Pod(seen(&[driver(), confirmed()]))));
    assert_eq!(scene.see(&executor("Pending")), "");
    scene.see(&[driver(), confirmed(), bound(), running()]);
    scene.take(Input::Node(there("b1")));
    let waits = scene.at("00:02:00").see(&[driver(), confirmed(), bound(), ended(137, "Error")]);
    assert_eq!(waits, "wake at 00:02:10; wake at 00:02:10");
    let ends = "wake at 00:02:25; drop application; end exec-1; delete u1 within 30 s";
    assert_eq!(scene.at("00:02:10").take(Input::Wake), ends);
    scene.answer(Answer::Deleted(Deleted::Asked));
    let told = scene.see(&executor("Failed"));
    assert!(told.starts_with("fetch events"), "{told}");
}

#[test]
fn an_application_whose_driver_failed_stays_as_long_as_the_cluster_says() {
    let mut scene = made();
    scene.see(&[driver()]);
    scene.take(application("SUBMITTED", ""));
    scene.take(Input::Confirm("u1".into()));
    scene.answer(Answer::Confirmed(Confirmed::Pod(seen(&[driver(), confirmed()]))));
    scene.see(&[driver(), confirmed(), bound(), running()]);
    scene.take(Input::Node(there("b1")));
    scene.see(&[driver(), confirmed(), bound(), ended(1, "Error")]);
    scene.answer(Answer::Events(Vec::new()));
    scene.take(Input::LogEnded(Left::Nothing));
    assert_eq!(scene.take(Input::Acknowledge), "keep application until 01:02:00; release u1");
}
