//! SparkApplications on a real Kubernetes, with the real Spark operator and real Spark.

mod scene;

use std::time::Duration;

use anyhow::Result;
use gridflow_core::AttemptOutcome;
use gridflow_testkit::{kubernetes::Cluster, spark::Operator};
use serde_json::json;

use scene::{Job, Scene};

/// Runs a test where there is a cluster and an operator.
fn on_spark(
    hold: fn(&Cluster) -> Result<Option<Operator>>,
    test: impl AsyncFnOnce(&mut Scene) -> Result<()>,
) -> Result<()> {
    let Some(cluster) = Cluster::shared()? else { return Ok(()) };
    let Some(operator) = hold(&cluster)? else { return Ok(()) };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let mut scene = Scene::new(cluster, operator).await?;
        test(&mut scene).await
    })
}

#[test]
fn a_job_with_executors_runs_once_confirmed_and_its_log_tells_of_them() -> Result<()> {
    on_spark(Operator::shared, async |scene| {
        let job = scene.launch(&Job::file("local:///opt/spark/examples/src/main/python/pi.py")).await?;
        scene.await_claim(&job).await?;
        assert_eq!(scene.driver(&job)?["status"]["phase"], "Pending", "nothing runs before it is confirmed");
        scene.confirm(&job).await?;
        assert_eq!(scene.await_end(&job).await?, AttemptOutcome::Exited { code: 0 });
        let log = scene.log(&job)?;
        assert!(log.contains("Pi is roughly 3.1"), "{log}");
        assert!(log.contains("gridflow: spark: executors: 1 "), "{log}");
        scene.acknowledge(&job).await?;
        scene.await_nothing_left(&job).await
    })
}

#[test]
fn a_driver_s_exit_code_and_output_are_the_task_s() -> Result<()> {
    on_spark(Operator::shared, async |scene| {
        let job = Job::code(
            "import json, os, sys\njson.dump({'rows': 7}, open(os.environ['GRIDFLOW_OUTPUT'], 'w'))\nsys.exit(3)\n",
        );
        let job = scene.launch(&job).await?;
        scene.confirm_when_claimed(&job).await?;
        assert_eq!(scene.await_end(&job).await?, AttemptOutcome::Exited { code: 3 });
        assert_eq!(scene.output(&job), Some(json!({"rows": 7})));
        scene.acknowledge(&job).await?;
        scene.await_driver_released(&job).await
    })
}

#[test]
fn a_canceled_job_is_ended_with_its_driver_and_its_object() -> Result<()> {
    on_spark(Operator::shared, async |scene| {
        let job = scene.launch(&Job::code(SLEEP)).await?;
        scene.confirm_when_claimed(&job).await?;
        scene.await_start(&job).await?;
        scene.cancel(&job).await?;
        assert_eq!(scene.await_end(&job).await?, AttemptOutcome::Canceled);
        scene.acknowledge(&job).await?;
        scene.await_nothing_left(&job).await
    })
}

#[test]
fn what_is_canceled_before_it_is_confirmed_never_starts() -> Result<()> {
    on_spark(Operator::shared, async |scene| {
        let job = scene.launch(&Job::code(SLEEP)).await?;
        scene.await_claim(&job).await?;
        scene.cancel(&job).await?;
        assert_eq!(scene.await_end(&job).await?, AttemptOutcome::NeverStarted);
        scene.acknowledge(&job).await?;
        scene.await_nothing_left(&job).await
    })
}

#[test]
fn a_job_goes_on_while_leaders_change() -> Result<()> {
    on_spark(Operator::shared, async |scene| {
        let job = scene
            .launch(&Job::code("import time\nprint('begins', flush=True)\ntime.sleep(15)\nprint('ends')\n"))
            .await?;
        scene.confirm_when_claimed(&job).await?;
        scene.await_start(&job).await?;
        scene.next_leader(&job).await?;
        assert_eq!(scene.await_end(&job).await?, AttemptOutcome::Exited { code: 0 });
        let log = scene.log(&job)?;
        assert!(log.contains("begins") && log.contains("ends"), "{log}");
        assert_eq!(scene.submissions(&job)?, 1);
        scene.acknowledge(&job).await?;
        scene.await_nothing_left(&job).await
    })
}

#[test]
fn what_cannot_be_submitted_fails_with_the_words_of_spark_submit() -> Result<()> {
    on_spark(Operator::shared, async |scene| {
        // A file of this machine would have to be uploaded somewhere first.
        let job = scene.launch(&Job::file("/nowhere/job.py")).await?;
        let AttemptOutcome::SpawnFailed { message } = scene.await_end(&job).await? else { panic!("it was not told") };
        assert!(message.contains("spark-submit failed: "), "{message}");
        assert!(message.contains("spark.kubernetes.file.upload.path"), "{message}");
        scene.acknowledge(&job).await?;
        scene.await_nothing_left(&job).await
    })
}

#[test]
fn a_driver_outlives_its_deleted_object_until_its_end_is_committed() -> Result<()> {
    on_spark(Operator::shared, async |scene| {
        let job = scene.launch(&Job::code(SLEEP)).await?;
        scene.confirm_when_claimed(&job).await?;
        scene.await_start(&job).await?;
        scene.kubectl(&["delete", "sparkapplication", &job.name, "--wait=false"])?;
        let AttemptOutcome::Lost { reason } = scene.await_end(&job).await? else { panic!("it was not lost") };
        assert!(reason.contains("deleted"), "{reason}");
        assert!(
            scene.driver(&job)?["metadata"]["deletionTimestamp"].is_string(),
            "its driver is kept by the finalizer"
        );
        scene.acknowledge(&job).await?;
        scene.await_nothing_left(&job).await
    })
}

#[test]
fn a_submission_whose_operator_was_killed_before_it_knew_is_found_and_runs_once() -> Result<()> {
    on_spark(Operator::alone, async |scene| {
        scene.operator().hold_submissions()?;
        let job = scene.launch(&Job::code("print('ran')\n")).await?;
        scene.operator().await_held()?;
        let driver = scene.driver(&job)?["metadata"]["uid"].clone();
        scene.operator().kill()?;
        scene.operator().start()?;
        scene.confirm_when_claimed(&job).await?;
        assert_eq!(scene.await_end(&job).await?, AttemptOutcome::Exited { code: 0 });
        assert_eq!(scene.claim(&job), driver.as_str(), "the driver of the first submission is the one that ran");
        assert!(scene.log(&job)?.contains("driver pod already exist"), "{}", scene.log(&job)?);
        scene.acknowledge(&job).await?;
        scene.await_driver_released(&job).await
    })
}

#[test]
fn without_an_operator_a_job_waits_as_long_as_the_cluster_says() -> Result<()> {
    on_spark(Operator::alone, async |scene| {
        scene.operator().stop()?;
        scene.give_up_after(Duration::from_secs(5)).await?;
        let job = scene.launch(&Job::code(SLEEP)).await?;
        let AttemptOutcome::SpawnFailed { message } = scene.await_end(&job).await? else { panic!("it was not told") };
        assert!(message.contains("waits for the Spark operator to submit it"), "{message}");
        scene.acknowledge(&job).await?;
        scene.await_nothing_left(&job).await?;

        scene.operator().undefine()?;
        let job = scene.launch(&Job::code(SLEEP)).await?;
        let AttemptOutcome::SpawnFailed { message } = scene.await_end(&job).await? else { panic!("it was not told") };
        assert!(message.contains("the Spark operator is not installed"), "{message}");
        scene.operator().start()
    })
}

const SLEEP: &str = "import time\nprint('begins', flush=True)\ntime.sleep(600)\n";
