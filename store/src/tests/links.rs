use gridflow_core::{AttemptId, RunKey};

use super::fixture::*;
use crate::beside::{Links, Word};

/// What is told of the attempt of a run.
fn told(run: u64, url: &str) -> Links {
    Links { run: RunKey(uuid(run)), attempt: AttemptId(uuid(run + 1_000)), links: [("UI", url.into())].into() }
}

async fn written(fixture: &Fixture) -> String {
    fixture.value("SELECT string_agg(coalesce(links->>'UI', '-'), ', ' ORDER BY attempt_id) FROM attempt").await
}

#[tokio::test]
async fn links_are_written_and_replaced_and_a_row_in_a_turns_hands_is_told_again() {
    let fixture = fixture().await;
    let mut leader = fixture.leader().await;
    leader.write_turn(&started_run(1), &[], now()).await.unwrap();
    leader.write_turn(&started_run(2), &[], now()).await.unwrap();
    let pass = leader.pass();
    let write = async |links: &[Links]| Links::write(&mut fixture.conn().await, pass, links).await.unwrap();
    assert!(write(&[told(1, "http://a"), told(2, "http://b")]).await.is_empty());
    assert_eq!(written(&fixture).await, "http://a, http://b");

    let turn = turn_with(&mut leader, 1_001).await;
    let news = [told(1, "http://c"), told(2, "http://d"), told(9, "http://nobody")];
    assert_eq!(write(&news).await, [AttemptId(uuid(1_001))]);
    turn.commit().await.unwrap();
    assert_eq!(written(&fixture).await, "http://a, http://d");
    assert!(write(&news).await.is_empty());
    assert_eq!(written(&fixture).await, "http://c, http://d");
}

#[tokio::test]
async fn a_deposed_leader_links_nothing() {
    let fixture = fixture().await;
    let mut first = fixture.leader().await;
    first.write_turn(&started_run(1), &[], now()).await.unwrap();
    let old = first.pass();
    first.resign().await.unwrap();
    eventually(&fixture, NOBODY_LEADS).await;
    let _second = fixture.leader().await;
    let again = Links::write(&mut fixture.conn().await, old, &[told(1, "http://a")]).await.unwrap();
    assert_eq!(again, [AttemptId(uuid(1_001))]);
    assert_eq!(written(&fixture).await, "-");
}
