//! From the order to the last trace.

use anyhow::Result;
use gridflow_core::AttemptOutcome;

use super::support::Fixture;

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_runs_once_its_claim_is_confirmed_and_leaves_when_its_end_is_committed() -> Result<()> {
    let Some(fixture) = Fixture::new()? else { return Ok(()) };
    let mut term = fixture.term(Vec::new()).await?;
    let launch = fixture.launch(r#"echo hello; echo '{"rows": 3}' > /dev/termination-log"#);

    term.handle.launch(vec![launch.clone()]).await?;
    let claim = term.claimed(launch.attempt).await?;
    let pod = fixture.pod(launch.attempt)?;
    let uid = pod["metadata"]["uid"].as_str().expect("it has one");
    assert_eq!(*claim, format!("default/{}/{uid}", fixture.namespace.name()));
    assert_eq!(pod["spec"]["schedulingGates"][0]["name"], "gridflow.io/confirm");
    assert!(pod["metadata"]["finalizers"].is_null());

    term.handle.confirm(vec![(launch.run, launch.attempt, claim)]).await?;
    let place = term.started(launch.attempt).await?;
    assert!(place.starts_with("gridflow-node/") && 15 < place.len(), "{place}");
    let finished = term.finished(launch.attempt).await?;
    assert_eq!(finished.outcome, AttemptOutcome::Exited { code: 0 });
    assert_eq!(finished.output.expect("it left one").value.to_string(), r#"{"rows":3}"#);
    assert_eq!(fixture.log(launch.attempt), "hello\n");
    assert_eq!(fixture.pod(launch.attempt)?["metadata"]["finalizers"][0], "gridflow.io/attempt");

    term.acknowledge(&launch).await?;
    fixture.until_no_pod(launch.attempt).await
}
