//! What others do to our pods.

use anyhow::Result;
use gridflow_core::AttemptOutcome;
use serde_json::json;

use super::support::{Fixture, pod};

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_taken_by_somebody_else_fails_clearly_and_theirs_stays() -> Result<()> {
    let Some(fixture) = Fixture::new()? else { return Ok(()) };
    let mut term = fixture.term(Vec::new()).await?;
    let launch = fixture.launch("true");
    let mut theirs = pod("sleep 600");
    theirs["apiVersion"] = json!("v1");
    theirs["kind"] = json!("Pod");
    theirs["metadata"] = json!({"name": format!("gf-{}", launch.attempt)});
    fixture.namespace.apply(&theirs)?;
    term.handle.launch(vec![launch.clone()]).await?;
    let outcome = term.finished(launch.attempt).await?.outcome;
    assert!(
        matches!(&outcome, AttemptOutcome::SpawnFailed { message } if message.contains("it was not made by Gridflow")),
        "{outcome:?}"
    );
    term.acknowledge(&launch).await?;
    term.synced().await?;
    assert!(fixture.pod(launch.attempt)?["metadata"]["deletionTimestamp"].is_null());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_was_deleted_and_made_again_is_never_confirmed() -> Result<()> {
    let Some(fixture) = Fixture::new()? else { return Ok(()) };
    let mut term = fixture.term(Vec::new()).await?;
    let launch = fixture.launch("echo it ran");
    term.handle.launch(vec![launch.clone()]).await?;
    let claim = term.claimed(launch.attempt).await?;
    let mut again = fixture.pod(launch.attempt)?;
    fixture.namespace.kubectl(&["delete", "pod", &format!("gf-{}", launch.attempt), "--force", "--grace-period=0"])?;
    let metadata = again["metadata"].as_object_mut().expect("an object");
    metadata.retain(|key, _| ["name", "labels", "annotations"].contains(&key.as_str()));
    fixture.namespace.apply(&json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": again["metadata"], "spec": again["spec"],
    }))?;
    term.handle.confirm(vec![(launch.run, launch.attempt, claim)]).await?;
    let outcome = term.finished(launch.attempt).await?.outcome;
    assert!(matches!(outcome, AttemptOutcome::Lost { .. }), "{outcome:?}");
    term.acknowledge(&launch).await?;
    fixture.until_no_pod(launch.attempt).await?;
    assert_eq!(fixture.log(launch.attempt).lines().filter(|line| *line == "it ran").count(), 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_uid_confirms_nothing() -> Result<()> {
    let Some(fixture) = Fixture::new()? else { return Ok(()) };
    let mut term = fixture.term(Vec::new()).await?;
    let launch = fixture.launch("echo started");
    term.handle.launch(vec![launch.clone()]).await?;
    term.claimed(launch.attempt).await?;
    let wrong = "00000000-0000-4000-8000-000000000000";
    term.handle.confirm(vec![(launch.run, launch.attempt, wrong.into())]).await?;
    let outcome = term.finished(launch.attempt).await?.outcome;
    assert!(matches!(outcome, AttemptOutcome::Lost { .. }), "{outcome:?}");
    // What is there under the name was never confirmed, and is swept.
    fixture.until_no_pod(launch.attempt).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gate_of_somebody_else_stays_and_still_holds() -> Result<()> {
    let Some(fixture) = Fixture::new()? else { return Ok(()) };
    let mut term = fixture.term(Vec::new()).await?;
    let launch =
        fixture.launch_with("true", |pod| pod["spec"]["schedulingGates"] = json!([{"name": "example.com/theirs"}]));
    term.begin(&launch).await?;
    let pod = fixture.until_pod(launch.attempt, "confirmed", |pod| !pod["metadata"]["finalizers"].is_null()).await?;
    assert_eq!(pod["spec"]["schedulingGates"], json!([{"name": "example.com/theirs"}]));
    let patch = json!({"spec": {"schedulingGates": null}}).to_string();
    let name = format!("gf-{}", launch.attempt);
    fixture.namespace.kubectl(&["patch", "pod", &name, "--type=merge", "--patch", &patch])?;
    assert_eq!(term.finished(launch.attempt).await?.outcome, AttemptOutcome::Exited { code: 0 });
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_pod_that_is_deleted_by_force_is_followed_until_its_kubelet_says_it_ended() -> Result<()> {
    let Some(fixture) = Fixture::new()? else { return Ok(()) };
    let mut term = fixture.term(Vec::new()).await?;
    let launch = fixture.launch("echo ready; exec sleep 600");
    term.begin(&launch).await?;
    term.started(launch.attempt).await?;
    let name = format!("gf-{}", launch.attempt);
    fixture.namespace.kubectl(&["delete", "pod", &name, "--force", "--grace-period=0", "--wait=false"])?;
    let outcome = term.finished(launch.attempt).await?.outcome;
    assert!(matches!(&outcome, AttemptOutcome::Lost { reason } if reason == "somebody deleted its pod"), "{outcome:?}");
    let pod = fixture.pod(launch.attempt)?;
    assert_eq!(pod["metadata"]["finalizers"][0], "gridflow.io/attempt");
    assert!(!pod["status"]["containerStatuses"][0]["state"]["terminated"].is_null(), "{pod:#}");
    term.acknowledge(&launch).await?;
    fixture.until_no_pod(launch.attempt).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phase_that_somebody_wrote_ends_nothing() -> Result<()> {
    let Some(fixture) = Fixture::new()? else { return Ok(()) };
    let mut term = fixture.term(Vec::new()).await?;
    let launch = fixture.launch("echo ready; exec sleep 6");
    term.begin(&launch).await?;
    term.started(launch.attempt).await?;
    let name = format!("gf-{}", launch.attempt);
    let patch = json!({"status": {"phase": "Failed"}}).to_string();
    fixture.namespace.kubectl(&["patch", "pod", &name, "--subresource=status", "--type=merge", "--patch", &patch])?;
    // The kubelet ends a pod that is said to have failed; what it reports then is the end.
    let outcome = term.finished(launch.attempt).await?.outcome;
    assert!(!matches!(outcome, AttemptOutcome::NeverStarted), "{outcome:?}");
    let pod = fixture.pod(launch.attempt)?;
    assert!(!pod["status"]["containerStatuses"][0]["state"]["terminated"].is_null(), "{pod:#}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_and_finalizers_that_somebody_takes_off_are_put_on_again() -> Result<()> {
    let Some(fixture) = Fixture::new()? else { return Ok(()) };
    let mut term = fixture.term(Vec::new()).await?;
    let launch = fixture.launch("sleep 6; exit 3");
    term.begin(&launch).await?;
    term.started(launch.attempt).await?;
    let name = format!("gf-{}", launch.attempt);
    let bare = json!({"metadata": {"labels": null, "finalizers": null}}).to_string();
    fixture.namespace.kubectl(&["patch", "pod", &name, "--type=merge", "--patch", &bare])?;
    fixture
        .until_pod(launch.attempt, "marked and guarded", |pod| {
            !pod["metadata"]["labels"]["gridflow.io/installation"].is_null() && !pod["metadata"]["finalizers"].is_null()
        })
        .await?;
    assert_eq!(term.finished(launch.attempt).await?.outcome, AttemptOutcome::Exited { code: 3 });
    Ok(())
}
