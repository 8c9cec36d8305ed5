//! Pods that nobody stands for.

use std::time::Duration;

use anyhow::Result;
use gridflow_core::{AttemptOutcome, Turn};
use gridflow_executor::kubernetes::{Became, Running, clean};

use super::support::Fixture;

#[tokio::test(flavor = "multi_thread")]
async fn a_gated_pod_that_no_open_attempt_stands_for_is_swept_once_its_turn_is_known() -> Result<()> {
    let Some(fixture) = Fixture::new()? else { return Ok(()) };
    let mut old = fixture.term(Vec::new()).await?;
    let (early, late) = (fixture.launch("true"), fixture.launch_in(Turn(99), "true"));
    old.handle.launch(vec![early.clone(), late.clone()]).await?;
    old.claimed(early.attempt).await?;
    old.claimed(late.attempt).await?;
    drop(old);

    let mut term = fixture.term(Vec::new()).await?;
    assert_eq!(term.synced().await?, Turn(99));
    // Nothing is known yet of any turn; with this launch, everything up to its turn is.
    let next = fixture.launch_in(Turn(50), "true");
    term.begin(&next).await?;
    fixture.until_no_pod(early.attempt).await?;
    assert!(fixture.pod(late.attempt)?["metadata"]["deletionTimestamp"].is_null());
    assert_eq!(term.finished(next.attempt).await?.outcome, AttemptOutcome::Exited { code: 0 });
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_was_committed_but_not_acknowledged_is_tidied_up_by_the_next_leader() -> Result<()> {
    let Some(fixture) = Fixture::new()? else { return Ok(()) };
    let mut old = fixture.term(Vec::new()).await?;
    let launch = fixture.launch("true");
    old.begin(&launch).await?;
    old.finished(launch.attempt).await?;
    drop(old);

    let term = fixture.term(Vec::new()).await?;
    term.handle.launch(vec![fixture.launch_in(Turn(8), "true")]).await?;
    fixture.until_no_pod(launch.attempt).await
}

#[tokio::test(flavor = "multi_thread")]
async fn finished_pods_stay_as_long_as_the_policy_says() -> Result<()> {
    let Some(mut fixture) = Fixture::new()? else { return Ok(()) };
    fixture.config.clusters[0].keep.failed = Duration::from_secs(3600);
    let mut term = fixture.term(Vec::new()).await?;
    let (failing, good) = (fixture.launch("exit 1"), fixture.launch("true"));
    for launch in [&failing, &good] {
        term.begin(launch).await?;
        term.finished(launch.attempt).await?;
        term.acknowledge(launch).await?;
    }
    fixture.until_no_pod(good.attempt).await?;
    let kept = fixture.until_pod(failing.attempt, "released", |pod| pod["metadata"]["finalizers"].is_null()).await?;
    assert!(kept["metadata"]["deletionTimestamp"].is_null());
    drop(term);

    // Another leader, another policy.
    fixture.config.clusters[0].keep.failed = Duration::from_secs(1);
    let term = fixture.term(Vec::new()).await?;
    term.handle.launch(vec![fixture.launch_in(Turn(8), "true")]).await?;
    fixture.until_no_pod(failing.attempt).await
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_end_of_an_installation_everything_of_it_goes_and_what_runs_only_when_asked() -> Result<()> {
    let Some(fixture) = Fixture::new()? else { return Ok(()) };
    let mut term = fixture.term(Vec::new()).await?;
    let (gated, running, ended) = (fixture.launch("true"), fixture.launch("exec sleep 600"), fixture.launch("true"));
    term.handle.launch(vec![gated.clone()]).await?;
    term.claimed(gated.attempt).await?;
    for launch in [&running, &ended] {
        term.begin(launch).await?;
    }
    term.started(running.attempt).await?;
    term.finished(ended.attempt).await?;
    drop(term);

    let cleaned = clean(&fixture.config, Running::Leave).await?;
    let left: Vec<&str> = cleaned.iter().filter(|one| one.what == Became::Left).map(|one| one.name.as_str()).collect();
    assert_eq!((cleaned.len(), left), (3, vec![&*format!("gf-{}", running.attempt)]), "{cleaned:?}");
    fixture.until_no_pod(gated.attempt).await?;
    fixture.until_no_pod(ended.attempt).await?;
    let cleaned = clean(&fixture.config, Running::End).await?;
    assert_eq!((cleaned.len(), &cleaned[0].what), (1, &Became::Deleted), "{cleaned:?}");
    fixture.until_no_pod(running.attempt).await
}
