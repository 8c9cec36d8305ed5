use gridflow_core::{AttemptId, AttemptState, RunKey, Writes};

use super::fixture::*;
use crate::beside::{Waits, Word};

/// What is told of the attempt of a run that has not begun.
fn told(run: u64, reason: Option<&str>) -> Waits {
    let attempt = AttemptId(uuid(run + 1_000));
    Waits { run: RunKey(uuid(run)), attempt, has_started: false, reason: reason.map(Into::into) }
}

const WRITTEN: &str = "SELECT string_agg(coalesce(waits, '-'), ', ' ORDER BY attempt_id) FROM attempt";

async fn written(fixture: &Fixture) -> String {
    fixture.value::<String>(WRITTEN).await
}

async fn write(fixture: &Fixture, pass: crate::leader::Pass, waits: &[Waits]) -> Vec<AttemptId> {
    Waits::write(&mut fixture.conn().await, pass, waits).await.unwrap()
}

#[tokio::test]
async fn a_reason_is_written_changed_and_taken_back_until_the_attempt_starts() {
    let fixture = fixture().await;
    let mut leader = fixture.leader().await;
    leader.write_turn(&started_run(1), &[], now()).await.unwrap();
    leader.write_turn(&started_run(2), &[], now()).await.unwrap();
    let pass = leader.pass();
    assert!(write(&fixture, pass, &[told(1, Some("no node")), told(2, Some("quota"))]).await.is_empty());
    assert_eq!(written(&fixture).await, "no node, quota");
    assert!(write(&fixture, pass, &[told(1, None), told(2, Some("no image"))]).await.is_empty());
    assert_eq!(written(&fixture).await, "-, no image");

    let starts = attempt_write(2, 1_002, Some(AttemptState::Queued), AttemptState::Running);
    leader.write_turn(&Writes { attempts: vec![starts], ..Writes::default() }, &[], now()).await.unwrap();
    assert!(write(&fixture, pass, &[told(2, Some("too late"))]).await.is_empty());
    assert_eq!(written(&fixture).await, "-, no image", "readers know that it counts for nothing");
    assert!(
        write(&fixture, pass, &[Waits { has_started: true, ..told(2, Some("its node is silent")) }]).await.is_empty()
    );
    assert_eq!(written(&fixture).await, "-, its node is silent");

    let unknown = told(9, Some("nobody knows it"));
    assert!(write(&fixture, pass, &[unknown]).await.is_empty());
}

#[tokio::test]
async fn a_row_that_a_turn_has_in_its_hands_is_told_again_and_neither_waits_for_the_other() {
    let fixture = fixture().await;
    let mut leader = fixture.leader().await;
    leader.write_turn(&started_run(1), &[], now()).await.unwrap();
    leader.write_turn(&started_run(2), &[], now()).await.unwrap();
    let pass = leader.pass();
    let news = [told(1, Some("no node")), told(2, Some("quota"))];
    let turn = turn_with(&mut leader, 1_001).await;
    assert_eq!(write(&fixture, pass, &news).await, [AttemptId(uuid(1_001))]);
    turn.commit().await.unwrap();
    assert_eq!(written(&fixture).await, "-, quota");
    assert!(write(&fixture, pass, &news).await.is_empty());
    assert_eq!(written(&fixture).await, "no node, quota");
}

#[tokio::test]
async fn a_new_term_forgets_what_was_told_and_a_deposed_leader_tells_nothing_more() {
    let fixture = fixture().await;
    let mut first = fixture.leader().await;
    first.write_turn(&started_run(1), &[], now()).await.unwrap();
    let old = first.pass();
    write(&fixture, old, &[told(1, Some("no node"))]).await;
    first.resign().await.unwrap();
    eventually(&fixture, NOBODY_LEADS).await;

    let second = fixture.leader().await;
    assert!(!Waits::forget(&mut fixture.conn().await, old).await.unwrap());
    assert_eq!(write(&fixture, old, &[told(1, Some("an old word"))]).await, [AttemptId(uuid(1_001))]);
    assert_eq!(written(&fixture).await, "no node");
    assert!(Waits::forget(&mut fixture.conn().await, second.pass()).await.unwrap());
    assert_eq!(written(&fixture).await, "-");
    assert!(write(&fixture, second.pass(), &[told(1, Some("quota"))]).await.is_empty());
    assert_eq!(written(&fixture).await, "quota");
}
