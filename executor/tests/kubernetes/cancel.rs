//! Cancels at every step.

use anyhow::Result;
use gridflow_core::{AttemptOutcome, AttemptState};

use super::support::{Fixture, open};

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_before_the_claim_is_committed_starts_nothing_and_leaves_nothing() -> Result<()> {
    let Some(fixture) = Fixture::new()? else { return Ok(()) };
    let mut term = fixture.term(Vec::new()).await?;
    let launch = fixture.launch("echo started");
    term.handle.launch(vec![launch.clone()]).await?;
    term.claimed(launch.attempt).await?;
    term.cancel(&launch).await?;
    assert_eq!(term.finished(launch.attempt).await?.outcome, AttemptOutcome::NeverStarted);
    fixture.until_no_pod(launch.attempt).await?;
    term.acknowledge(&launch).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_of_a_claim_that_nobody_confirmed_starts_nothing() -> Result<()> {
    let Some(fixture) = Fixture::new()? else { return Ok(()) };
    let mut term = fixture.term(Vec::new()).await?;
    let launch = fixture.launch("echo started");
    term.handle.launch(vec![launch.clone()]).await?;
    let claim = term.claimed(launch.attempt).await?;
    drop(term);
    let mut term = fixture.term(vec![open(&launch, AttemptState::Canceling, Some(&claim), None)]).await?;
    term.cancel(&launch).await?;
    assert_eq!(term.finished(launch.attempt).await?.outcome, AttemptOutcome::NeverStarted);
    fixture.until_no_pod(launch.attempt).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_of_what_runs_gives_it_its_grace() -> Result<()> {
    let Some(fixture) = Fixture::new()? else { return Ok(()) };
    let mut term = fixture.term(Vec::new()).await?;
    let launch = fixture.launch("trap 'echo told; exit 5' TERM; echo ready; while :; do sleep 0.1; done");
    term.begin(&launch).await?;
    term.started(launch.attempt).await?;
    fixture.until_log(launch.attempt, "ready").await?;
    term.cancel(&launch).await?;
    assert_eq!(term.finished(launch.attempt).await?.outcome, AttemptOutcome::Canceled);
    let log = fixture.log(launch.attempt);
    assert!(log.starts_with("ready\ntold\n"), "{log}");
    assert_eq!(fixture.pod(launch.attempt)?["metadata"]["finalizers"][0], "gridflow.io/attempt");
    term.acknowledge(&launch).await?;
    fixture.until_no_pod(launch.attempt).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_while_no_node_takes_it_never_starts() -> Result<()> {
    let Some(fixture) = Fixture::new()? else { return Ok(()) };
    let mut term = fixture.term(Vec::new()).await?;
    let launch = fixture.launch_with("true", |pod| pod["spec"]["nodeSelector"] = serde_json::json!({"no": "such"}));
    term.begin(&launch).await?;
    fixture
        .until_pod(launch.attempt, "unschedulable", |pod| {
            pod["status"]["conditions"].to_string().contains("Unschedulable")
        })
        .await?;
    term.cancel(&launch).await?;
    assert_eq!(term.finished(launch.attempt).await?.outcome, AttemptOutcome::NeverStarted);
    term.acknowledge(&launch).await?;
    fixture.until_no_pod(launch.attempt).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_while_its_image_is_pulled_never_starts() -> Result<()> {
    let Some(fixture) = Fixture::new()? else { return Ok(()) };
    let mut term = fixture.term(Vec::new()).await?;
    let launch = fixture.launch_with("true", |pod| {
        pod["spec"]["containers"][0]["image"] = "registry.invalid/no/such:1".into();
        pod["spec"]["containers"][0]["imagePullPolicy"] = "IfNotPresent".into();
    });
    term.begin(&launch).await?;
    fixture
        .until_pod(launch.attempt, "pulling", |pod| pod["status"]["containerStatuses"].to_string().contains("Pull"))
        .await?;
    term.cancel(&launch).await?;
    assert_eq!(term.finished(launch.attempt).await?.outcome, AttemptOutcome::NeverStarted);
    term.acknowledge(&launch).await?;
    fixture.until_no_pod(launch.attempt).await
}
