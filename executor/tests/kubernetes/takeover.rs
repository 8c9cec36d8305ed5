//! One leader goes, the next one goes on: at every step.

use std::sync::Arc;

use anyhow::Result;
use gridflow_core::{AttemptOutcome, AttemptState};

use super::support::{Fixture, open};

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_was_made_and_not_claimed_is_adopted() -> Result<()> {
    let Some(fixture) = Fixture::new()? else { return Ok(()) };
    let mut old = fixture.term(Vec::new()).await?;
    let launch = fixture.launch("true");
    old.handle.launch(vec![launch.clone()]).await?;
    let made = old.claimed(launch.attempt).await?;
    drop(old);

    let mut term = fixture.term(vec![open(&launch, AttemptState::Queued, None, None)]).await?;
    term.handle.launch(vec![launch.clone()]).await?;
    assert_eq!(term.claimed(launch.attempt).await?, made);
    let finished = term.confirm_and_finish(&launch).await?;
    assert_eq!(finished.outcome, AttemptOutcome::Exited { code: 0 });
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_was_committed_and_not_confirmed_is_confirmed() -> Result<()> {
    let Some(fixture) = Fixture::new()? else { return Ok(()) };
    let mut old = fixture.term(Vec::new()).await?;
    let launch = fixture.launch("true");
    old.handle.launch(vec![launch.clone()]).await?;
    let claim = old.claimed(launch.attempt).await?;
    drop(old);

    let mut term = fixture.term(vec![open(&launch, AttemptState::Queued, Some(&claim), None)]).await?;
    term.handle.confirm(vec![(launch.run, launch.attempt, claim)]).await?;
    assert_eq!(term.finished(launch.attempt).await?.outcome, AttemptOutcome::Exited { code: 0 });
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_whose_pod_went_meanwhile_is_lost() -> Result<()> {
    let Some(fixture) = Fixture::new()? else { return Ok(()) };
    let launch = fixture.launch("true");
    let claim = "00000000-0000-4000-8000-000000000000";
    let mut term = fixture.term(vec![open(&launch, AttemptState::Queued, Some(claim), None)]).await?;
    term.handle.confirm(vec![(launch.run, launch.attempt, claim.into())]).await?;
    let outcome = term.finished(launch.attempt).await?.outcome;
    assert!(matches!(outcome, AttemptOutcome::Lost { .. }), "{outcome:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_does_not_notice_and_its_log_is_whole() -> Result<()> {
    let Some(fixture) = Fixture::new()? else { return Ok(()) };
    let mut old = fixture.term(Vec::new()).await?;
    let launch = fixture.launch("echo one; sleep 4; echo two");
    let claim = old.begin(&launch).await?;
    let place = old.started(launch.attempt).await?;
    drop(old);

    let running = open(&launch, AttemptState::Running, Some(&claim), Some(&place));
    let mut term = fixture.term(vec![running]).await?;
    assert_eq!(term.finished(launch.attempt).await?.outcome, AttemptOutcome::Exited { code: 0 });
    assert_eq!(fixture.log(launch.attempt), "one\ntwo\n");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ended_meanwhile_is_collected_and_a_repeated_end_is_the_same() -> Result<()> {
    let Some(fixture) = Fixture::new()? else { return Ok(()) };
    let mut old = fixture.term(Vec::new()).await?;
    let launch = fixture.launch("echo one; exit 3");
    let claim = old.begin(&launch).await?;
    let place = old.started(launch.attempt).await?;
    let first = old.finished(launch.attempt).await?;
    drop(old);

    let mut term = fixture.term(vec![open(&launch, AttemptState::Running, Some(&claim), Some(&place))]).await?;
    assert_eq!(term.finished(launch.attempt).await?.outcome, first.outcome);
    assert!(fixture.log(launch.attempt).starts_with("one\ngridflow: "));
    term.acknowledge(&launch).await?;
    fixture.until_pod(launch.attempt, "released", |pod| pod["metadata"]["finalizers"].is_null()).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_goes_on_under_the_next_leader() -> Result<()> {
    let Some(fixture) = Fixture::new()? else { return Ok(()) };
    let mut old = fixture.term(Vec::new()).await?;
    let launch = fixture.launch("exec sleep 600");
    let claim = old.begin(&launch).await?;
    let place = old.started(launch.attempt).await?;
    drop(old);

    let canceling = open(&launch, AttemptState::Canceling, Some(&claim), Some(&place));
    let mut term = fixture.term(vec![canceling]).await?;
    term.cancel(&launch).await?;
    assert_eq!(term.finished(launch.attempt).await?.outcome, AttemptOutcome::Canceled);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_a_namespace_that_was_taken_out_goes_on_and_is_collected_when_it_is_back() -> Result<()> {
    let (Some(fixture), Some(other)) = (Fixture::new()?, Fixture::new()?) else { return Ok(()) };
    let mut old = fixture.term(Vec::new()).await?;
    let (runs, waits) = (fixture.launch("echo one; sleep 4; echo two"), fixture.launch("echo three"));
    let claim = old.begin(&runs).await?;
    let place = old.started(runs.attempt).await?;
    old.handle.launch(vec![waits.clone()]).await?;
    let waiting = old.claimed(waits.attempt).await?;
    drop(old);

    let open = [
        open(&runs, AttemptState::Running, Some(&claim), Some(&place)),
        open(&waits, AttemptState::Queued, Some(&waiting), None),
    ];
    let mut elsewhere = fixture.term_in(&other.namespace, open.to_vec()).await?;
    elsewhere.handle.confirm(vec![(waits.run, waits.attempt, Arc::clone(&waiting))]).await?;
    elsewhere.synced().await?;
    // Who is where it looks is served, and the others are as they were.
    let served = other.launch("true");
    elsewhere.begin(&served).await?;
    assert_eq!(elsewhere.finished(served.attempt).await?.outcome, AttemptOutcome::Exited { code: 0 });
    assert!(!elsewhere.has_heard_end_of(runs.attempt) && !elsewhere.has_heard_end_of(waits.attempt));
    drop(elsewhere);

    let mut term = fixture.term(open.to_vec()).await?;
    term.handle.confirm(vec![(waits.run, waits.attempt, waiting)]).await?;
    for launch in [&runs, &waits] {
        assert_eq!(term.finished(launch.attempt).await?.outcome, AttemptOutcome::Exited { code: 0 });
    }
    assert_eq!(fixture.log(runs.attempt), "one\ntwo\n");
    Ok(())
}
