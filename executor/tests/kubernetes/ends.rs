//! How attempts end, and what people are told.

use std::time::Duration;

use anyhow::Result;
use gridflow_core::AttemptOutcome;
use serde_json::json;

use super::support::Fixture;

#[tokio::test(flavor = "multi_thread")]
async fn exit_codes_and_signals_are_the_tasks_own() -> Result<()> {
    let Some(fixture) = Fixture::new()? else { return Ok(()) };
    let mut term = fixture.term(Vec::new()).await?;
    let failing = fixture.launch("echo oh no; exit 3");
    let killed = fixture.launch("exit 137");
    let missing = fixture.launch_with("", |pod| pod["spec"]["containers"][0]["command"] = json!(["/no/such/program"]));
    for launch in [&failing, &killed, &missing] {
        term.begin(launch).await?;
    }
    assert_eq!(term.finished(failing.attempt).await?.outcome, AttemptOutcome::Exited { code: 3 });
    let log = fixture.log(failing.attempt);
    assert!(log.starts_with("oh no\ngridflow: the container ended with exit code 3\ngridflow: event: "), "{log}");
    let outcome = term.finished(missing.attempt).await?.outcome;
    assert!(
        matches!(&outcome, AttemptOutcome::SpawnFailed { message } if message.contains("/no/such/program")),
        "{outcome:?}"
    );
    assert_eq!(term.finished(killed.attempt).await?.outcome, AttemptOutcome::Signaled { signal: 9 });
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_beyond_the_limit_is_the_tasks_fault() -> Result<()> {
    let Some(fixture) = Fixture::new()? else { return Ok(()) };
    let mut term = fixture.term(Vec::new()).await?;
    let launch = fixture.launch_with("exec tail /dev/zero", |pod| {
        pod["spec"]["containers"][0]["resources"] = json!({"limits": {"memory": "16Mi"}});
    });
    term.begin(&launch).await?;
    assert_eq!(term.finished(launch.attempt).await?.outcome, AttemptOutcome::OutOfMemory);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_execution_timeout_ends_it() -> Result<()> {
    let Some(fixture) = Fixture::new()? else { return Ok(()) };
    let mut term = fixture.term(Vec::new()).await?;
    let mut launch = fixture.launch("exec sleep 600");
    launch.execution_timeout = Some(Duration::from_secs(2));
    term.begin(&launch).await?;
    assert_eq!(term.finished(launch.attempt).await?.outcome, AttemptOutcome::TimedOut);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_start_says_why() -> Result<()> {
    let Some(mut fixture) = Fixture::new()? else { return Ok(()) };
    fixture.config.clusters[0].unschedulable_after = Duration::from_secs(3);
    let mut term = fixture.term(Vec::new()).await?;
    let no_image = fixture.launch_with("", |pod| pod["spec"]["containers"][0]["image"] = "no.invalid/such:1".into());
    let no_node = fixture.launch_with("", |pod| pod["spec"]["nodeSelector"] = json!({"no": "such"}));
    let no_pod = fixture.launch_with("", |pod| pod["spec"]["containers"][0]["image"] = json!(""));
    for launch in [&no_image, &no_node] {
        term.begin(launch).await?;
    }
    term.handle.launch(vec![no_pod.clone()]).await?;
    for (launch, told) in [
        (&no_image, "the image is not on the node, and may not be pulled (ErrImageNeverPull)"),
        (&no_node, "no node could take the pod for 3 s: 0/1 nodes are available"),
        (&no_pod, "the API server refuses the manifest"),
    ] {
        let outcome = term.finished(launch.attempt).await?.outcome;
        assert!(matches!(&outcome, AttemptOutcome::SpawnFailed { message } if message.contains(told)), "{outcome:?}");
        let log = fixture.log(launch.attempt);
        assert!(log.contains(told), "{log}");
        term.acknowledge(launch).await?;
        fixture.until_no_pod(launch.attempt).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_deadline_of_the_pod_itself_is_a_timeout() -> Result<()> {
    let Some(fixture) = Fixture::new()? else { return Ok(()) };
    let mut term = fixture.term(Vec::new()).await?;
    let launch = fixture.launch_with("exec sleep 600", |pod| pod["spec"]["activeDeadlineSeconds"] = json!(3));
    term.begin(&launch).await?;
    assert_eq!(term.finished(launch.attempt).await?.outcome, AttemptOutcome::TimedOut);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_companion_does_not_keep_an_ended_task_alive() -> Result<()> {
    let Some(fixture) = Fixture::new()? else { return Ok(()) };
    let mut term = fixture.term(Vec::new()).await?;
    let launch = fixture.launch_with("exit 4", |pod| {
        let mut companion = pod["spec"]["containers"][0].clone();
        companion["name"] = json!("mesh");
        companion["command"] = json!(["sleep", "600"]);
        pod["spec"]["containers"].as_array_mut().expect("a list").push(companion);
    });
    term.begin(&launch).await?;
    assert_eq!(term.finished(launch.attempt).await?.outcome, AttemptOutcome::Exited { code: 4 });
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn quota_holds_attempts_back_until_there_is_room() -> Result<()> {
    let Some(fixture) = Fixture::new()? else { return Ok(()) };
    fixture.namespace.apply(&json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few"}, "spec": {"hard": {"pods": "1"}},
    }))?;
    fixture.until("counted", || Ok(fixture.namespace.list("resourcequota")?[0]["status"]["hard"].is_object())).await?;
    let mut term = fixture.term(Vec::new()).await?;
    let launches: Vec<_> = (0..3).map(|_| fixture.launch("true")).collect();
    term.handle.launch(launches.clone()).await?;
    for _ in 0..3 {
        // One after the other, whichever got the room.
        let launch = term.next_claimed(&launches).await?;
        let finished = term.confirm_and_finish(launch).await?;
        assert_eq!(finished.outcome, AttemptOutcome::Exited { code: 0 });
        term.acknowledge(launch).await?;
    }
    Ok(())
}
